import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import words

STYLE = words.ROOT / "docs/development/style.md"


def test_no_text_uses_a_banned_word():
    """Every text file of the repository is free of banned words."""
    if not (words.ROOT / ".git").exists():
        pytest.skip("this copy of the repository has no history to ask which files are its own")

    assert words.all_findings(words.ROOT) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It stands there.", ["x.py:1: stands"]),
        ("a\n# Standing water", ["x.py:2: Standing"]),
        ("def let_go(): ...", ["x.py:1: let_go"]),
        ("LAST_STANDING = 1", ["x.py:1: STANDING"]),
        ("the operator is\ntold so", ["x.py:1: is told"]),
        ("# a clock of\n# ours", ["x.py:1: of # ours"]),
        ("understand, standard, told, outstanding, standalone, hours", []),
    ],
)
def test_banned_words_are_found_in_prose_and_in_names(text, found):
    """A banned word is found in any case, within a name, and across a line break, but not within another word."""
    assert words.findings("x.py", text) == found


def test_the_style_page_has_a_replacement_for_each_banned_word():
    """The table of docs/development/style.md lists exactly the banned words."""
    table = STYLE.read_text("utf-8").split("## Banned words")[1].split("\n## ")[0]

    listed = {
        word
        for row in re.findall(r"^\| ([^|]+) \| [^|]+ \|$", table, re.MULTILINE)
        for word in row.split(", ")
    }

    assert listed - {"banned"} == set(words.BANNED)


def test_the_command_fails_where_a_banned_word_is_used(tmp_path):
    """A banned word in a new page is named with its line; a data file is not checked."""
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / "page.md").write_text("Fine.\nWhoever reads this.\n")
    (tmp_path / "data.json").write_text('"whoever"')

    assert words.all_findings(tmp_path) == ["page.md:2: Whoever"]


def test_the_command_succeeds_in_this_repository():
    """`python -m tests.docs.words` ends with 0, so `make check` goes on."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs.words"],
        cwd=words.ROOT,
        capture_output=True,
        timeout=240,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, b"")


@pytest.mark.parametrize("name", ["LICENSE", *sorted(words.LISTS)])
def test_some_files_are_not_checked(name):
    """The licence and the files that must contain the words are left out."""
    assert not words.held(name)


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "pyproject.toml",
        "docs/metrics.md",
        "tests/producer/test_service.py",
        ".pre-commit-config.yaml",
    ],
)
def test_pages_and_settings_are_checked(name):
    """Pages and settings files of the project are checked."""
    assert words.held(name)
    assert Path(name).suffix in words.SUFFIXES
