"""Whole log lines of several processes that write to one stream."""

import contextlib
import fcntl
import logging
import time
from collections.abc import Iterator
from typing import TextIO

WAIT_SECONDS, PAUSE_SECONDS = 1.0, 0.001


class WholeLines(logging.StreamHandler[TextIO]):
    """Writes each line under a lock of the stream's file, which all processes on this stream take.

    A pipe takes a line above 4 KiB in parts while its reader is slow, and a line of another process may come between them.
    Source: POSIX, write(), PIPE_BUF.
    """

    def __init__(self, stream: TextIO, wait_seconds: float = WAIT_SECONDS) -> None:
        """`wait_seconds`: for the lock; then the line is written without it, since a frozen process must not silence the others."""
        super().__init__(stream)
        self._wait_seconds = wait_seconds

    def emit(self, record: logging.LogRecord) -> None:
        with _locked(self.stream, self._wait_seconds):
            super().emit(record)


@contextlib.contextmanager
def _locked(stream: TextIO, wait_seconds: float) -> Iterator[None]:
    try:
        file = stream.fileno()
        taken = _lock(file, wait_seconds)
    except OSError:  # a stream without a file, or a file that cannot be locked
        taken = False
    try:
        yield
    finally:
        if taken:
            fcntl.lockf(file, fcntl.LOCK_UN)


def _lock(file: int, wait_seconds: float) -> bool:
    """Return whether this process has the lock. Raises OSError if there can be none."""
    end = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(PAUSE_SECONDS)
        else:
            return True
