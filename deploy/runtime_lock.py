#!/usr/bin/env python3
"""Print the part of requirements.lock that runs the program, hashes included: `python3 deploy/runtime_lock.py [NAME…]`.

The lock names, below each package, the packages that need it; a package is kept if the program needs it, also by others.
A NAME is kept too, with what it needs, such as the build tool. Needs nothing but Python.
"""

import re
import sys
from pathlib import Path

LOCK = Path(__file__).parents[1] / "requirements.lock"
PROGRAM = "jira-audit-relay (pyproject.toml)"
"""How the lock names what needs the dependencies and the extras; those of development have a `:dev`."""

_ENTRY = re.compile(r"^[a-z0-9].*\n(?:[ ].*\n)*", re.MULTILINE)
_PARENT = re.compile(r"^ +#(?: via)? +(\S.*)$", re.MULTILINE)


def runtime_lock(lock: str, *more: str) -> str:
    """Return the entries of a lock that the program needs, and those of `more`, in the lock's order.

    Raises ValueError if nothing in the lock says that the program needs it: then its form has changed.
    """
    entries = [(re.split(r"[=\[ ]", text, maxsplit=1)[0], text) for text in _ENTRY.findall(lock)]
    kept = {name for name, text in entries if PROGRAM in _PARENT.findall(text)}
    if not kept:
        raise ValueError(f"no entry of the lock is needed by {PROGRAM}")
    kept.update(more)
    size = 0
    while size != len(kept):
        size = len(kept)
        kept |= {name for name, text in entries if kept & set(_PARENT.findall(text))}
    return "".join(text for name, text in entries if name in kept)


if __name__ == "__main__":
    sys.stdout.write(runtime_lock(LOCK.read_text("utf-8"), *sys.argv[1:]))
