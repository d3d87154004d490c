"""A directory as a store: files appear whole, under names that are free, and survive a crash of the machine."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from consumer.destinations.object_store.response import directory_fault
from consumer.destinations.object_store.store import Part, StoreFault

T = TypeVar("T")

UNFINISHED = "_relay/unfinished"
"""Folder of files that are being written. Readers of data sets skip names that begin with an underscore."""
_ABANDONED_SECONDS = 86_400.0
_THREADS = 4


class DirectoryStore:
    """Files below one directory, which must exist. Each call is made in a thread of its own: a network file system may hang."""

    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self._name = name
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"files of {name}")
        self._swept = False

    async def create(self, key: str, content: bytes) -> bool:
        return await self._call(lambda: self._create(key, content))

    async def read(self, key: str, start: int, stop: int) -> Part | None:
        return await self._call(lambda: self._read(key, start, stop))

    async def names(self, folder: str, after: str) -> AsyncIterator[str]:
        for name in await self._call(lambda: self._names(folder, after)):
            yield name

    async def folders(self, folder: str) -> list[str]:
        return await self._call(lambda: self._folders(folder))

    async def delete(self, key: str) -> None:
        with contextlib.suppress(StoreFault):
            await self._call(lambda: (self._root / key).unlink(missing_ok=True))

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _call(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            raise StoreFault(directory_fault(error, f"file://{self._root}", self._name)) from error

    def _create(self, key: str, content: bytes) -> bool:
        """Write a file under a name of its own, then link it: linking fails where the name is taken.

        1. The content is on the disk before the name: a crash leaves no name without content.
        2. The name is on the disk before the call returns, in both cases: another process may have linked it a moment ago.
        """
        path = self._root / key
        unfinished = self._make_folder(UNFINISHED)
        folder = self._make_folder(str(Path(key).parent))
        self._sweep(unfinished)
        temporary = unfinished / uuid4().hex
        try:
            _write_durably(temporary, content)
            created = _link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(folder)
        return created

    def _make_folder(self, relative: str) -> Path:
        """Create a folder below the root, durably; the root itself must exist."""
        folder = self._root
        for part in Path(relative).parts:
            parent, folder = folder, folder / part
            if not folder.is_dir():
                with contextlib.suppress(FileExistsError):
                    folder.mkdir()
                _sync_folder(parent)
        return folder

    def _sweep(self, unfinished: Path) -> None:
        """Delete files that a killed process left a day ago, once."""
        if self._swept:
            return
        self._swept = True
        for path in unfinished.iterdir():
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                    path.unlink()

    def _read(self, key: str, start: int, stop: int) -> Part | None:
        path = self._root / key
        try:
            with path.open("rb") as file:
                file.seek(start)
                found = Part(file.read(stop - start), os.fstat(file.fileno()).st_size)
        except FileNotFoundError:
            return None
        _sync_folder(path.parent)
        return found

    def _names(self, folder: str, after: str) -> list[str]:
        try:
            return sorted(path.name for path in (self._root / folder).iterdir() if path.name > after)
        except FileNotFoundError:
            self._root.stat()  # raises where the root itself is absent
            return []

    def _folders(self, folder: str) -> list[str]:
        """Return folders with something in them: that of a day whose objects were deleted is no folder in a bucket either."""
        try:
            return sorted(
                path.name
                for path in (self._root / folder).iterdir()
                if path.is_dir() and next(path.iterdir(), None) is not None
            )
        except FileNotFoundError:
            self._root.stat()  # raises where the root itself is absent
            return []


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
