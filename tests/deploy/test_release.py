"""The files of a release: the lock of what runs, the notes, archives that are the same each time, a wheel that runs alone."""

import hashlib
import importlib.metadata
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RELEASE = runpy.run_path(str(ROOT / "deploy/release.py"))
runtime_lock = runpy.run_path(str(ROOT / "deploy/runtime_lock.py"))["runtime_lock"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
VERSION = PROJECT["project"]["version"]


def names(lock):
    return set(re.findall(r"^([a-z0-9.-]+)==", lock, re.MULTILINE))


def distributions(requirements):
    return {re.split(r"[\[<>=!~; ]", each)[0] for each in requirements}


def test_the_lock_of_what_runs_has_no_tool_of_development():
    """It has each dependency and each extra with its hashes, and no tool that only development needs; a name can be added."""
    project = PROJECT["project"]
    extras = [each for extra in project["optional-dependencies"].values() for each in extra]
    needed = distributions([*project["dependencies"], *extras])
    kept = runtime_lock(LOCK)

    assert needed <= names(kept) < names(LOCK)
    assert not (distributions(PROJECT["dependency-groups"]["dev"]) - needed) & names(kept)
    assert kept.count("--hash=sha256:") > len(names(kept))
    assert {"hatchling", "pluggy"} <= names(runtime_lock(LOCK, "hatchling")) - names(kept)


def test_a_lock_of_another_form_is_refused():
    """A lock that does not say what needs what would install nothing."""
    with pytest.raises(ValueError, match="needed by"):
        runtime_lock("rich==15.0 \\\n    --hash=sha256:0\n    # via somebody\n")


def test_the_notes_are_the_section_of_the_version():
    """The changelog has a dated section of the version, and the notes end before the next one."""
    notes = RELEASE["notes_of"](
        "# C\n\n## [Unreleased]\n\nx\n\n## [1.0.0] - 2026-01-02\n\n- a\n\n## [0.9.0] - 2025-01-02\n\n- b\n",
        "1.0.0",
    )

    assert notes == "- a\n"
    assert "- Polls" in RELEASE["notes_of"]((ROOT / "CHANGELOG.md").read_text("utf-8"), VERSION)
    with pytest.raises(ValueError, match="cut the version"):
        RELEASE["notes_of"]("## [1.0.0]\n\n- a\n", "1.0.0")


def test_a_chart_of_the_version_is_packed_the_same_each_time(tmp_path):
    """The archive has every file of the chart under its name, and the version of the program is the chart's."""
    for name in ("one.tgz", "two.tgz"):
        RELEASE["pack"](RELEASE["CHART"], tmp_path / name, "jira-audit-relay", 1_700_000_000)

    assert (tmp_path / "one.tgz").read_bytes() == (tmp_path / "two.tgz").read_bytes()
    with tarfile.open(tmp_path / "one.tgz") as archive:
        meta = archive.extractfile("jira-audit-relay/Chart.yaml").read().decode()
    assert f"\nversion: {VERSION}\n" in meta
    assert f'\nappVersion: "{VERSION}"\n' in meta


def test_checksums_are_those_that_sha256sum_reads(tmp_path):
    """Each file has a line with its hash, two spaces and its name."""
    (tmp_path / "a.whl").write_bytes(b"a")
    RELEASE["write_checksums"](tmp_path)

    assert (tmp_path / "SHA256SUMS").read_text() == f"{hashlib.sha256(b'a').hexdigest()}  a.whl\n"


def test_an_image_of_a_source_archive_has_a_time(tmp_path):
    """Without a history, `make image` passes a number of seconds: the build refuses an empty one."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "docker").write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    (tmp_path / "docker").chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "MAKE"))}
    environment = kept | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "GIT_CEILING_DIRECTORIES": str(tmp_path.parent),
    }

    done = subprocess.run(
        ["make", "--silent", "image"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )

    assert {"SOURCE_DATE_EPOCH=1580601600", "REVISION=unknown", f"VERSION={VERSION}"} <= {
        *done.stdout.split()
    }


def test_the_components_are_those_of_what_runs(tmp_path):
    """The list of components has each package of the lock of what runs, with its hashes."""
    RELEASE["write_components"](tmp_path, VERSION)

    (found,) = tmp_path.glob("*.cdx.json")
    document = json.loads(found.read_text("utf-8"))
    components = {each["name"].lower() for each in document["components"]}
    assert document["metadata"]["component"]["name"] == "jira-audit-relay"
    assert components == names((tmp_path / f"jira-audit-relay-{VERSION}-requirements.txt").read_text("utf-8"))


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Wheel and source archive, which were built twice and compared."""
    folder = tmp_path_factory.mktemp("packages")
    RELEASE["build_packages"](folder, 1_700_000_000)
    return folder


def offer_what_runs(folder):
    """Link the installed packages that the program needs, and no others, into a folder; return it."""
    folder.mkdir()
    for name in names(runtime_lock(LOCK)):
        try:
            files = importlib.metadata.files(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform
        for top in {Path(each).parts[0] for each in files} - {"..", "__pycache__"}:
            source = Path(importlib.metadata.distribution(name).locate_file(top))
            if source.exists() and not (folder / top).exists():
                (folder / top).symlink_to(source)
    return folder


def test_the_wheel_runs_without_the_tools_of_development(packages, tmp_path):
    """The wheel, alone in a new environment beside what it needs, starts the program and reads settings."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv/bin/python"
    (wheel,) = packages.glob(f"jira_audit_relay-{VERSION}-py3-none-any.whl")
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        "--quiet",
    ]
    subprocess.run([*install, wheel], check=True, timeout=240, cwd=tmp_path)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(offer_what_runs(tmp_path / "what-runs"))}

    def run(*arguments):
        command = [tmp_path / "venv/bin/jira-relay", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
        )

    assert run("--version").stdout == f"jira-relay {VERSION}\n"
    assert "organizations" in run("--help").stdout
    checked = run("config", "check")
    assert (checked.returncode, "valid" in checked.stdout) == (0, True), checked.stderr
    probe = "import importlib.util as u; print(u.find_spec('pytest'), u.find_spec('cli').origin)"
    shown = subprocess.run(
        [python, "-c", probe],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    ).stdout
    assert shown.startswith(f"None {tmp_path}")
