"""Kafka's own log file: bounded in size, and read when Kafka has died."""

import shutil
import signal
from pathlib import Path

MAX_BYTES = 10_000_000
_READ_BYTES = 64_000
_SHOWN_LINES = 8
_SHOWN_CHARACTERS = 300
_FULL_BYTES = 1_000_000

DISK_FULL = "the disk is full: make room"

_CAUSES = {
    "Address already in use": "its port is taken by another program: set embedded.port to another one",
    "No space left on device": DISK_FULL,
    "Disk quota exceeded": "the disk quota of this user is used up: make room, or have it raised",
    "File too large": "a file may not grow as large as Kafka needs it: raise the limit (ulimit -f)",
    "Permission denied": "files in the data directory are not ours: check their owner",
    "Read-only file system": "the data directory is read-only: set embedded.data_dir to another directory",
    "OutOfMemoryError": "its heap is too small for the data",
    "Too many open files": "too many files are open: raise the limit (ulimit -n)",
    "Could not reserve enough space": "the machine has not enough free memory",
}


def rotate(path: Path) -> None:
    """One former log is kept, as NAME.1."""
    if path.exists():
        path.replace(path.with_name(f"{path.name}.1"))


def limit_size(path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Empty a log that has grown too large while it is written to (by appending), keeping a copy as NAME.1."""
    if path.stat().st_size > max_bytes:
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        with path.open("r+b") as log:
            log.truncate(0)


def tail(path: Path) -> str:
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _READ_BYTES))
        return log.read().decode(errors="replace")


def explain(path: Path, code: int | None) -> str:
    """Return why Kafka failed, as far as its exit code, the disk and the end of its log tell, and the last lines of that log."""
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
    if code == -signal.SIGKILL:
        return "it was killed (kill -9, or the system was short of memory)"
    known = next((why for sign, why in _CAUSES.items() if sign in text), "its log has the reason")
    return DISK_FULL if full else known
