"""One sentence a line, so that a change of a sentence shows as one changed line."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GENERATED = {"docs/metrics.md", "docs/settings.md", "docs/operations/runbook.md"}
TWO_SENTENCES = re.compile(r"(?<=[a-z0-9`)\]*\"%])[.!?](?:\*\*|[*)\"])* +(?=[A-Z`*\[(\"])")
MARKER = re.compile(r"^\s*(?:- |\d+\. |> )")


def prose(text):
    """Yield number, line and next line of each line of prose; tables, headings, comments and code are left out."""
    fenced = False
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        fenced ^= line.lstrip().startswith("```")
        follows = lines[number] if number < len(lines) else ""
        indented_code = line.startswith("    ") and not text_before(lines, number - 1)
        if (
            not fenced
            and line.strip()
            and not indented_code
            and not line.lstrip().startswith(("#", "|", "<!--", "```"))
        ):
            yield number, line, follows


def text_before(lines, index):
    """Return whether the next line belongs to an item of a list, whose further lines are indented."""
    for line in reversed(lines[:index]):
        if MARKER.match(line):
            return True
        if line.strip() and not line.startswith(" "):
            return False
    return False


def faults(text):
    for number, line, follows in prose(text):
        if TWO_SENTENCES.search(MARKER.sub("", line)):
            yield f"{number}: two sentences"
        elif re.search(r"[A-Za-z0-9,]$", line) and re.match(r"\s*[A-Za-z(`*]", follows):
            yield f"{number}: the sentence goes on in the next line"


def pages():
    if not (ROOT / ".git").exists():
        pytest.skip("this copy of the repository has no history to ask which files are its own")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=True).stdout
    return sorted(
        name for name in listed.split("\0") if name and name not in GENERATED and (ROOT / name).exists()
    )


def test_pages_have_one_sentence_a_line():
    """No line of a page has two sentences, and no sentence is wrapped."""
    found = [f"{name}:{fault}" for name in pages() for fault in faults((ROOT / name).read_text("utf-8"))]

    assert found == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One sentence.\nAnother one.", []),
        ("One sentence. Another one.", ["1: two sentences"]),
        ("- **A claim.** A reason.", ["1: two sentences"]),
        ("1. A step.\n   Its reason.", []),
        ("A sentence that is\nwrapped.", ["1: the sentence goes on in the next line"]),
        ("| A cell. Two sentences. |", []),
        ("```\nCode. Code\ncode\n```", []),
        ("Version 1.2 of this.", []),
    ],
)
def test_a_second_sentence_and_a_wrapped_one_are_found(text, found):
    """Prose is checked in paragraphs and lists; tables and code are not."""
    assert list(faults(text)) == found
