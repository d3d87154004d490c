"""Kafka's own log file: bounded in size, and read when Kafka has ended."""

import shutil
import signal
from pathlib import Path

MAX_BYTES = 10_000_000
_READ_BYTES = 64_000
_SHOWN_LINES = 8
_SHOWN_CHARACTERS = 300
_FULL_BYTES = 1_000_000

DISK_FULL = "the disk is full: free some space"

_CAUSES = {
    "Address already in use": "another program uses its port: set embedded.port to another one",
    "No space left on device": DISK_FULL,
    "Disk quota exceeded": "the disk quota of this user is used up: free some space, or raise the quota",
    "File too large": "the limit on the size of a file is too small for Kafka: raise it (ulimit -f)",
    "Permission denied": "files in the data directory belong to another user: correct their owner",
    "Read-only file system": "the data directory is read-only: set embedded.data_dir to another directory",
    "OutOfMemoryError": "its heap is too small for the data: set kafka.bootstrap to a Kafka of your own",
    "Too many open files": "too many files are open: raise the limit (ulimit -n)",
    "Could not reserve enough space": "the machine has too little free memory: stop other programs",
}


def rotate(path: Path) -> None:
    """Move the log to NAME.1, which replaces an earlier one."""
    if path.exists():
        path.replace(path.with_name(f"{path.name}.1"))


def limit_size(path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Empty a log that is larger than `max_bytes`, after copying it to NAME.1. Its writer must open it for appending."""
    if path.stat().st_size > max_bytes:
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        with path.open("r+b") as log:
            log.truncate(0)


def tail(path: Path) -> str:
    """Return the end of the log."""
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _READ_BYTES))
        return log.read().decode(errors="replace")


def explain(path: Path, code: int | None) -> str:
    """Return the reason of Kafka's end, from its exit code, the disk and its log, and the last lines of the log.

    `code`: exit code; None while it runs.
    """
    text = tail(path)
    lines = [
        line[:_SHOWN_CHARACTERS]
        for line in text.splitlines()
        if line.strip() and not line.startswith("\tat ")
    ]
    full = shutil.disk_usage(path.parent).free < _FULL_BYTES
    return "\n  ".join(
        (f"{cause(text, code, full=full)}. Last lines:", *(lines[-_SHOWN_LINES:] or ["(none)"]))
    )


def cause(text: str, code: int | None, *, full: bool) -> str:
    """Return the likely cause of Kafka's end, and the remedy."""
    if code == -signal.SIGKILL:
        return "it was killed, by kill -9 or because the machine was out of memory"
    known = next((why for sign, why in _CAUSES.items() if sign in text), "see its log for the reason")
    return DISK_FULL if full else known
