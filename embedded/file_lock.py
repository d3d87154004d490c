"""Locks on files."""

import asyncio
import fcntl
import os
import time
from pathlib import Path


class FileLock:
    """A lock on an open file, which child processes inherit. Its content names the holder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.descriptor = -1

    def acquire(self) -> bool:
        """Take the lock, and return whether this process holds it."""
        if self.descriptor >= 0:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self.descriptor = descriptor
        self.write("")
        return True

    async def acquire_within(self, seconds: float) -> bool:
        """Try to take the lock for some seconds, and return whether this process holds it."""
        end = time.monotonic() + seconds
        while not self.acquire() and time.monotonic() < end:  # noqa: ASYNC110 - the system does not report a released lock
            await asyncio.sleep(0.05)
        return self.descriptor >= 0

    def write(self, holder: str) -> None:
        """Replace the content of the file."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, holder.encode(), 0)

    def holder(self) -> int | None:
        """Return the process id in the file. None if there is none."""
        text = self._path.read_text()
        return int(text) if text.isdigit() else None

    def release(self) -> None:
        """Release the lock, unless a child process inherited it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
