"""Download artifacts in parallel. Each file appears complete or not at all."""

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from embedded.artifacts import Artifact
from embedded.errors import EmbeddedKafkaError
from embedded.repository import DEFAULT_TIMING, DownloadTiming, MavenRepository, open_client

_MAX_PARALLEL = 8
_ABANDONED_SECONDS = 86_400
# Java uses a class archive only while the jars have the modification times of its creation.
_MODIFIED_AT = 1_700_000_000


async def download_all(
    folder: Path,
    artifacts: Sequence[Artifact],
    repository: str | None,
    progress: Callable[[int, int], None],
    timing: DownloadTiming = DEFAULT_TIMING,
) -> None:
    """Download artifacts into `folder`. Raises EmbeddedKafkaError. An interruption leaves no partial artifact."""
    total = sum(artifact.size for artifact in artifacts)
    done = 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        progress(done, total)

    try:
        async with open_client(timing) as http:
            with _partial_directory(folder) as partial:
                source = MavenRepository(repository, http, timing)
                await _download_all(artifacts, folder, partial, source, count)
    except OSError as error:
        raise EmbeddedKafkaError(
            f"The cache folder {folder} cannot be written ({error.strerror or error}): "
            "free some space, or set XDG_CACHE_HOME to a writable folder."
        ) from error


async def _download_all(
    artifacts: Sequence[Artifact],
    folder: Path,
    partial: Path,
    repository: MavenRepository,
    count: Callable[[int], None],
) -> None:
    turns = asyncio.Semaphore(_MAX_PARALLEL)

    async def one(artifact: Artifact) -> None:
        async with turns:
            with _atomic_file(partial / artifact.file_name, folder / artifact.file_name) as file:
                await repository.download(artifact, file, count)

    downloads = [asyncio.create_task(one(artifact)) for artifact in artifacts]
    try:
        await asyncio.gather(*downloads)
    finally:
        for download in downloads:
            download.cancel()
        await asyncio.wait(downloads)


@contextlib.contextmanager
def _partial_directory(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder, time.time())
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as partial:
        yield Path(partial)


@contextlib.contextmanager
def _atomic_file(partial: Path, target: Path) -> Iterator[BinaryIO]:
    """Yield a file that moves to `target` only if the block ends without an error."""
    with partial.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.utime(partial, (_MODIFIED_AT, _MODIFIED_AT))
    partial.replace(target)


def _remove_abandoned(folder: Path, now: float) -> None:
    for leftover in folder.glob(".partial-*"):
        with contextlib.suppress(FileNotFoundError):
            if now - leftover.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)
