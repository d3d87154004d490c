"""The commands that pages show are commands of the program, with these options and arguments."""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import typer

from cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]
_LINE = re.compile(r"^ *(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?jira-relay +(\S.*?)$", re.MULTILINE)
_INLINE = re.compile(r"`(?:\.venv/bin/)?jira-relay ([^`]+)`")
_SHELL = re.compile(r" +[#|>&].*|  .*| *\\$|\)\".*")
"""What follows a command on its line: a comment, a pipe, a file, an explanation after two spaces."""
_UsageError = typer.BadParameter.__mro__[1]
"""What the parser raises; typer gives it no public name."""


@cache
def program():
    root = typer.main.get_command(app)
    return root, root.make_context("jira-relay", ["check"], resilient_parsing=True)


def names_of_commands():
    root, context = program()
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        for inner in getattr(command, "commands", [None]):
            yield name if inner is None else f"{name} {inner}"


def parse(text, *, complete):
    """Parse a command. `complete`: its required arguments and options must be there; else its words and options must exist.

    Raises what the parser raises.
    """
    root, context = program()
    words = shlex.split(_SHELL.sub("", text))
    while words[:1] == ["--config"]:
        words = words[2:]
    command = root
    if words[0].startswith("-"):
        return
    while hasattr(command, "get_command") and words:
        name = words.pop(0)
        command = command.get_command(context, name)
        assert command is not None, f"{name} of `jira-relay {text}` is no command"
    command.make_context(command.name, words, parent=context, resilient_parsing=not complete)
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    unknown = {word.partition("=")[0] for word in words if word.startswith("--")} - known - {"--help"}
    assert not unknown, f"{unknown} of `jira-relay {text}` are no options"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_command_of_a_page_exists(page):
    """A command on a line of its own has all that it needs; one within a sentence names a command and its options."""
    text = page.read_text("utf-8")
    for found in _LINE.findall(text):
        parse(found, complete=True)
    for found in _INLINE.findall(text):
        if "…" not in found:
            parse(" ".join(found.split()), complete=False)


@pytest.mark.parametrize(
    "text", ["fly", "organizations fly", "organizations list --fly", "organizations show"]
)
def test_a_wrong_command_is_found(text):
    """A command, a group's command and an option that do not exist, and a missing argument, fail the test above."""
    with pytest.raises((AssertionError, _UsageError)):
        parse(text, complete=True)


def test_the_messages_of_the_troubleshooting_page_are_those_of_the_program():
    """Each message of the table is in the code, between the parts that are filled in."""
    page = (ROOT / "docs/troubleshooting.md").read_text("utf-8")
    table = page.split("## A command or a service ends at once")[1].split("\n## ")[0]
    messages = [row.split(" | ")[0].removeprefix("| ") for row in table.splitlines()[4:] if row]
    parts = {part.strip(" `.:") for message in messages for part in re.split(r"…|`|\. ", message)} - {""}
    code = "".join(
        path.read_text("utf-8")
        for room in ("cli", "relay", "management", "consumer")
        for path in (ROOT / room).rglob("*.py")
    )

    assert len(messages) >= 8
    assert {part for part in parts if part not in code} == set()


def test_the_page_of_commands_has_each_command():
    """docs/commands.md has a row for each command, and no other."""
    rows = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs/commands.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(names_of_commands())


def test_each_verb_of_make_that_a_page_shows_exists():
    """`make VERB` on a line of its own, or within a sentence, is a verb of the Makefile."""
    verbs = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    shown = {
        (page.name, verb)
        for page in PAGES
        for verb in re.findall(r"(?m)(?:`|^ +)make ([a-z]+)", page.read_text("utf-8"))
    }

    assert {(page, verb) for page, verb in shown if verb not in verbs} == set()
    assert ("start.md", "sandbox") in shown
