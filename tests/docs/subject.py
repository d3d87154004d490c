"""Check the subject of a commit message: `python -m tests.docs.subject FILE`."""

import re
import sys
from pathlib import Path

MAX_CHARS = 72
_FORM = re.compile(r"[a-z][a-z, -]*: \S.*[^.\s]")
_MADE_BY_GIT = ("Merge ", "Revert ", "fixup! ", "squash! ")


def problem(message: str) -> str:
    """Return what is wrong with the subject of a message; empty: nothing."""
    subject = message.partition("\n")[0]
    if subject.startswith(_MADE_BY_GIT):
        return ""
    if len(subject) > MAX_CHARS:
        return f"The subject has {len(subject)} characters, at most {MAX_CHARS} are allowed: put the reason in the body."
    if not _FORM.fullmatch(subject):
        return "Begin the subject with its area, as in `consumer: retry when the answer breaks off`, without a full stop."
    return ""


if __name__ == "__main__":
    sys.exit(problem(Path(sys.argv[1]).read_text()) or None)
