"""The image, checked without an engine."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
NOT_IN_THE_IMAGE = {"sandbox", "simulators", "embedded"}


def find_instructions(word):
    """Return the arguments of each such instruction, with continued lines joined."""
    text = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE.read_text("utf-8"), flags=re.MULTILINE))
    return [" ".join(rest.split()) for rest in re.findall(rf"^{word} (.*)", text, re.MULTILINE)]


def copied_paths():
    """Return the paths that the image copies from the repository."""
    copies = [copy.split() for copy in find_instructions("COPY") if "--from" not in copy]
    return [source for words in copies for source in words[:-1] if not source.startswith("--")]


def test_hadolint_finds_no_fault():
    """The Dockerfile passes hadolint without exceptions."""
    hadolint = Path(sys.executable).with_name("hadolint")

    found = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, timeout=240, check=False)

    assert (found.stdout, found.returncode) == ("", 0)


def test_pip_installs_only_locked_packages():
    """Each call of pip checks hashes or uses no index."""
    calls = [
        call for run in find_instructions("RUN") for call in run.split("&&") if re.match(r"\s*pip ", call)
    ]

    assert len(calls) == 3
    assert all("--require-hashes" in call or "--no-index" in call for call in calls)


def test_the_image_has_every_room_that_serves():
    """The image copies every room of the distribution except sandbox, simulators and embedded, and no tests."""
    rooms = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])

    directories = {name for name in copied_paths() if (ROOT / name).is_dir()}

    assert directories == rooms - NOT_IN_THE_IMAGE


def test_no_mode_of_a_clone_gets_into_the_image():
    """What the last stage copies from the repository has a mode of its own; a wheel has the same modes in every clone."""
    last = DOCKERFILE.read_text("utf-8").rpartition("\nFROM ")[2]
    copies = re.findall(r"^COPY (?!--from)(.*)", last, re.MULTILINE)

    assert copies
    assert all(copy.startswith("--chmod=") for copy in copies)


def test_the_build_sees_what_it_copies_and_nothing_else():
    """.dockerignore admits exactly the paths that the Dockerfile copies."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()

    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == set(copied_paths())
    assert lines.index("*") == 1


def excluded_paths():
    """Return the paths that .dockerignore excludes from the admitted folders."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    return [line for line in lines if line and line[0] not in "!#*"]


@pytest.fixture
def unpacked_wheel(tmp_path):
    """The unpacked wheel that the image installs."""
    for name in copied_paths():
        source, target = ROOT / name, tmp_path / "context" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    for name in excluded_paths():
        (tmp_path / "context" / name).unlink()
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(build, cwd=tmp_path / "context", capture_output=True, timeout=240, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "site")
    return tmp_path / "site"


IMPORT_ALL = """
import importlib, pkgutil, sys
site, *absent = sys.argv[1:]
sys.path.insert(0, site)
sys.modules.update(dict.fromkeys(absent))
for module in pkgutil.walk_packages([site]):
    importlib.import_module(module.name)
    print(module.name)
"""


def test_every_module_of_the_image_can_be_imported_there(unpacked_wheel):
    """Every module can be imported without sandbox, simulators, embedded and the tools of development."""
    tools = PROJECT["dependency-groups"]["dev"] + PROJECT["project"]["optional-dependencies"]["embedded"]
    outside = {re.split(r"[\[<>=]", tool)[0] for tool in tools}
    absent = {name for name, owners in packages_distributions().items() if outside & set(owners)}

    command = [sys.executable, "-c", IMPORT_ALL, unpacked_wheel, *NOT_IN_THE_IMAGE, *absent, "tests"]
    done = subprocess.run(
        command, cwd=unpacked_wheel, capture_output=True, text=True, timeout=240, check=False
    )

    assert done.stderr.splitlines()[-1:] == []
    assert {"schemas", "relay", "producer", "consumer", "management", "cli"} <= set(done.stdout.split())


def test_the_image_does_not_run_as_root():
    """The user is a number, so that an orchestrator can see that it is not root."""
    assert find_instructions("USER") == ["10001:10001"]


def test_a_stop_of_the_container_reaches_the_program():
    """The container's stop signal is SIGTERM, and its process is the program."""
    assert find_instructions("STOPSIGNAL") == ["SIGTERM"]
    assert find_instructions("ENTRYPOINT") == ['["jira-relay"]']
    assert "jira-relay" in PROJECT["project"]["scripts"]
