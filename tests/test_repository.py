"""Rules for the repository as a whole."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from management import settings
from tests.support.scheduling import SLOW, WAITING
from tests.support.syntax import syntax_of

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
ROOMS = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
ENTRY_POINTS = {"cli", "sandbox", "embedded"}
LIBRARIES = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["embedded"]]
TOOLS = PROJECT["dependency-groups"]["dev"]

# Written so that no pattern finds itself.
ELSEWHERE = re.compile(
    r"/(?:work|root|Users)/"
    r"|pypi\.org|python[h]osted|npmjs\.|proxy\.golang|sum\.golang|crates\.io/|maven\.org|maven\.apache\.org|deb\.debian"
)
UNFINISHED = re.compile(r"\b(?:TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b")


def git(*arguments):
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=240, check=True
    )
    return done.stdout.split("\0")[:-1]


@pytest.fixture(scope="module")
def files():
    """Every file of the repository, also those that are not yet committed."""
    if not (ROOT / ".git").exists():
        pytest.skip("this copy of the repository has no history to ask which files are its own")
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return {name: ROOT / name for name in names if (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def texts(files):
    texts = {}
    for name, path in files.items():
        try:
            texts[name] = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
    return texts


def lines_with(pattern, texts):
    return [
        f"{name}:{number}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_the_import_rules_hold():
    """The import rules of pyproject.toml hold."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)

    assert done.returncode == 0, done.stdout


def reads_environment(tree):
    """Yield the lines that read the environment. `setdefault`, which sets a variable for a library, is no read."""
    nodes = list(ast.walk(tree))
    given = {
        id(node.value) for node in nodes if isinstance(node, ast.Attribute) and node.attr == "setdefault"
    }
    for node in nodes:
        if isinstance(node, ast.Attribute) and id(node) not in given:
            if ast.unparse(node) in {"os.environ", "os.environb", "os.getenv", "os.getenvb"}:
                yield node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (node.lineno for alias in node.names if "env" in alias.name)


def test_only_entry_points_read_the_environment(texts):
    """Rooms get values from the settings, which an entry point loads, and read no environment variable.

    The variables of HTTP clients (HTTPS_PROXY, SSL_CERT_FILE) are read in one place, instead of by each library in its own way.
    """
    rooms = set(ROOMS) - ENTRY_POINTS

    found = {
        name
        for name, text in texts.items()
        if name.endswith(".py") and name.split("/")[0] in rooms and any(reads_environment(syntax_of(text)))
    }

    assert found == {"management/settings.py", "relay/http.py", "relay/proxies.py"}


def imports_aiokafka(tree):
    """Lines that import aiokafka or a part of it."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names) if any(name.name.split(".")[0] == "aiokafka" for name in names):
                yield node.lineno
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] == "aiokafka":
                yield node.lineno


def test_only_relay_kafka_imports_aiokafka(texts):
    """No file of the program outside of relay/kafka imports aiokafka, new rooms included."""
    found = {
        name
        for name, text in texts.items()
        if name.endswith(".py") and name.split("/")[0] in ROOMS and any(imports_aiokafka(syntax_of(text)))
    }

    assert {name for name in found if not name.startswith("relay/kafka/")} == set()
    assert found


def changes_aiokafka(tree):
    """Lines that set an attribute of what was imported from aiokafka."""
    nodes = list(ast.walk(tree))
    imported = {
        (alias.asname or alias.name).split(".")[0]
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if (getattr(node, "module", None) or alias.name).split(".")[0] == "aiokafka"
    }
    for node in nodes:
        match node:
            case ast.Attribute(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()) if name in imported:
                yield node.lineno
            case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[ast.Name(id=name), *_]) if (
                name in imported
            ):
                yield node.lineno


def test_only_aiokafka_patches_touch_the_inside_of_aiokafka(texts):
    """In relay, private access and changes of aiokafka's modules are in relay/kafka/aiokafka_patches alone."""
    patches = "relay/kafka/aiokafka_patches/"
    relay = {name: text for name, text in texts.items() if name.startswith("relay/") and name.endswith(".py")}
    outside = {name: text for name, text in relay.items() if not name.startswith(patches)}

    changes = {name for name, text in relay.items() if any(changes_aiokafka(syntax_of(text)))}

    assert lines_with(re.compile(r"noqa:.*SLF001"), outside) == []
    assert changes == {f"{patches}oauth.py"}


def test_no_file_names_a_machine(texts):
    """No file names a directory of a developer's machine or the host of a package registry."""
    assert lines_with(ELSEWHERE, texts) == []


def test_nothing_is_marked_as_unfinished(texts):
    """No file marks unfinished work."""
    assert lines_with(UNFINISHED, texts) == []


def test_every_test_is_a_claim(texts):
    """Each test has a docstring, or a name of several words."""
    silent = [
        f"{name}:{node.lineno} {node.name}"
        for name, text in texts.items()
        if name.startswith("tests/") and name.endswith(".py")
        for node in ast.walk(syntax_of(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        if not ast.get_docstring(node) and node.name.count("_") < 3
    ]

    assert silent == []


def distribution(requirement):
    return re.split(r"[\[<>=!~; ]", requirement)[0]


def test_every_dependency_has_a_reason():
    """Each dependency is named in docs/decisions, with its purpose."""
    pages = "".join(page.read_text("utf-8") for page in (ROOT / "docs" / "decisions").glob("*.md"))

    named = {distribution(requirement) for requirement in [*LIBRARIES, *TOOLS]}

    assert {name for name in named if f"`{name}`" not in pages} == set()


def test_every_dependency_is_locked():
    """The lock pins each dependency with hashes, and names no index."""
    lock = (ROOT / "requirements.lock").read_text("utf-8")

    pinned = set(re.findall(r"^([a-z0-9.-]+)==\S+(?: ; [^\\]+)? \\\n    --hash=sha256:", lock, re.MULTILINE))

    assert {distribution(requirement) for requirement in [*LIBRARIES, *TOOLS]} <= pinned
    assert pinned == set(re.findall(r"^([^\s#=@]+)", lock, re.MULTILINE))
    assert "://" not in lock


def test_the_wheel_has_every_file_of_the_rooms(files, tmp_path):
    """The built distribution has every file of every room, schemas included, and no other file."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(build, cwd=ROOT, capture_output=True, timeout=240, check=True)

    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert packed == {name for name in files if name.split("/")[0] in ROOMS}
    assert {"schemas/audit_event.avsc", "schemas/released/audit_event/1.avsc"} <= packed


def test_the_changelog_begins_with_the_version():
    """The first version in the changelog is that of the distribution."""
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")

    first = re.search(r"\b\d+\.\d+\.\d+\b", changelog.split("\n## ", 1)[1])

    assert first
    assert first[0] == PROJECT["project"]["version"]


def test_the_commands_of_the_readme_exist():
    """Each `make` command of the pages for people is a verb of the Makefile."""
    verbs = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))

    for page in ("README.md", "CONTRIBUTING.md", ".ci/run"):
        named = set(re.findall(r"(?m)(?:`|^ +|^step )make ([a-z]+)", (ROOT / page).read_text("utf-8")))
        assert named, page
        assert named <= verbs, page


def test_the_files_that_pages_name_exist(texts):
    """Every file that a page names or links to exists."""
    named = {
        (page, name)
        for page, text in texts.items()
        if page.endswith(".md")
        for name in re.findall(r"`((?:[a-z]+/)+(?:\w+\.\w+)?)`", text) + linked(page, text)
    }

    assert sorted(f"{page}: {name}" for page, name in named if not (ROOT / name).exists()) == []


def linked(page, text):
    """Return the files that a page links to, as paths from the root of the repository."""
    targets = re.findall(r"\]\((?!\w+:|#)([^)#]+)", text)
    return [str((ROOT / page).parent.joinpath(target).resolve().relative_to(ROOT)) for target in targets]


def test_the_settings_of_the_readme_are_settings(tmp_path, monkeypatch):
    """The examples of README.md form one file that the program accepts."""
    monkeypatch.chdir(tmp_path)
    examples = "\n".join(re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL))
    for name in set(re.findall(r"/run/secrets/([\w-]+)", examples)):
        (tmp_path / name).write_text("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n")
    (tmp_path / "relay.toml").write_text(examples.replace("/run/secrets", str(tmp_path)))

    loaded = settings.load(None, {})

    assert loaded.kafka.bootstrap
    assert loaded.secrets.key_file
    assert loaded.destinations.keys() == {"sentinel"}


@pytest.mark.parametrize("failing", ["nothing", "setup", "check", "test"])
def test_continuous_integration_runs_what_a_developer_runs(failing, tmp_path):
    """.ci/run runs `make check` and `make test`, shows what both print, and fails when one of them does."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    make = tmp_path / "make"
    make.write_text(f'#!/bin/sh\necho "made $1"\n[ "$1" != {failing} ]\n')
    make.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    run = [str(tmp_path / ".ci" / "run")]
    ended = subprocess.run(run, env={"PATH": path}, capture_output=True, text=True, timeout=60, check=False)

    made = {"setup"} if failing == "setup" else {"setup", "check", "test"}
    assert {*re.findall(r"^made (\w+)$", ended.stdout, re.MULTILINE)} == made
    assert (ended.returncode == 0) == (failing == "nothing")


def test_each_slow_path_of_the_tests_exists():
    """A file that was renamed would no longer start first."""
    assert [path for path in (*SLOW, *WAITING) if not list(ROOT.glob(f"{path}*"))] == []
