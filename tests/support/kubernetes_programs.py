"""Build kube-apiserver and kube-controller-manager of Kubernetes: `python -m tests.support.kubernetes_programs FOLDER`.

Needs Go and the module proxy, and takes ten minutes of two cores. The programs then need nothing but an etcd.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

VERSION = "1.34.4"
PROGRAMS = {
    "kube-apiserver": "NewAPIServerCommand",
    "kube-controller-manager": "NewControllerManagerCommand",
}
_MAIN = """package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/{program}/app"
)

func main() {{ os.Exit(cli.Run(app.{command}())) }}
"""


def module_file(kubernetes: str) -> str:
    """Return a go.mod for the go.mod of Kubernetes: it requires its staged modules as v0.0.0, which exist under its own version alone."""
    go = re.findall(r"^go (\S+)$", kubernetes, re.MULTILINE)[0]
    staged = re.findall(r"^\s+(k8s\.io/\S+) v0\.0\.0$", kubernetes, re.MULTILINE)
    released = VERSION.replace("1.", "0.", 1)
    return "\n".join([
        f"module programs\n\ngo {go}\n",
        f"require k8s.io/kubernetes v{VERSION}",
        f"require k8s.io/component-base v{released}\n",
        *(f"replace {name} => {name} v{released}" for name in staged),
        "",
    ])  # fmt: skip


def build(folder: Path) -> None:
    """Build both programs into a folder. Raises CalledProcessError."""
    folder.mkdir(parents=True, exist_ok=True)
    found = json.loads(_go(folder, "mod", "download", "-json", f"k8s.io/kubernetes@v{VERSION}"))
    (folder / "go.mod").write_text(module_file(Path(found["GoMod"]).read_text("utf-8")), "utf-8")
    for program, command in PROGRAMS.items():
        source = folder / "source" / program
        source.mkdir(parents=True, exist_ok=True)
        (source / "main.go").write_text(_MAIN.format(program=program, command=command), "utf-8")
    _go(folder, "mod", "tidy")
    # A chart asks for the version, which the linker sets.
    flags = f"-s -w -X k8s.io/component-base/version.gitVersion=v{VERSION}"
    for program in PROGRAMS:
        _go(folder, "build", "-ldflags", flags, "-o", program, f"./source/{program}")


def _go(folder: Path, *arguments: str) -> bytes:
    environment = os.environ | {"GOFLAGS": "-buildvcs=false"}
    return subprocess.run(
        ["go", *arguments], cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, timeout=7200
    ).stdout


if __name__ == "__main__":
    build(Path(sys.argv[1]).absolute())
