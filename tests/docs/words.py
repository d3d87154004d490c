"""Finds banned words: `python -m tests.docs.words` prints each place with one, and ends with 1 if there is any."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SUFFIXES = {".py", ".md", ".toml", ".yml", ".yaml"}

# docs/development/style.md has a replacement for each.
BANNED = (
    "stand",
    "stands",
    "standing",
    "be told",
    "is told",
    "are told",
    "be had",
    "of ours",
    "let go",
    "whoever",
)
LISTS = {"docs/development/style.md", "tests/docs/words.py", "tests/docs/test_words.py"}
"""Files that must contain the words."""

_WORDS = "|".join(re.escape(words).replace(r"\ ", r"(?:[\s_]|\s+#\s*)+") for words in BANNED)
_PATTERN = re.compile(rf"(?<![A-Za-z])(?:{_WORDS})(?![A-Za-z])", re.IGNORECASE)


def findings(name: str, text: str) -> list[str]:
    """Return `file:line: words` for each banned word, in prose and within names_that_are_joined, also across a line break."""
    return [
        f"{name}:{text.count(chr(10), 0, found.start()) + 1}: {' '.join(found[0].split())}"
        for found in _PATTERN.finditer(text)
    ]


def held(name: str) -> bool:
    """Return whether a file of the repository must be free of banned words."""
    return Path(name).suffix in SUFFIXES and name not in LISTS


def all_findings(root: Path) -> list[str]:
    """Return the findings of every file of the repository, also of files that are not committed yet."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=240, check=True).stdout
    names = sorted(name for name in listed.split("\0") if held(name) and (root / name).is_file())
    return [each for name in names for each in findings(name, (root / name).read_text("utf-8"))]


if __name__ == "__main__":
    found = all_findings(ROOT)
    for line in found:
        print(line)  # noqa: T201
    sys.exit(f"{len(found)} banned words; docs/development/style.md has the replacements." if found else 0)
