"""Many artifacts at once into a folder, each seen whole there or not at all."""

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from embedded.artifacts import Artifact
from embedded.cache import Progress, is_intact
from embedded.errors import EmbeddedKafkaError
from embedded.repository import Repository, Tally

_PARALLEL = 8
_ABANDONED_SECONDS = 86_400
# Java's archive of classes is only good for jars as old as they were when it was made.
_MODIFIED = 1_700_000_000


async def into(
    folder: Path, artifacts: Sequence[Artifact], repository: str | None, progress: Progress | None
) -> None:
    """Raises EmbeddedKafkaError. Cancelled, the downloads give up soon after."""
    loop = asyncio.get_running_loop()

    def report(done: int, total: int) -> None:
        if progress:
            loop.call_soon_threadsafe(progress, done, total)

    tally = Tally(sum(artifact.size for artifact in artifacts), report)
    try:
        await asyncio.to_thread(_fetch, artifacts, folder, Repository(repository), tally)
    except OSError as error:
        raise EmbeddedKafkaError(
            f"The cache folder {folder} cannot be written ({error.strerror or error}): "
            "make room, or set XDG_CACHE_HOME to a folder that can be."
        ) from error
    finally:
        tally.stop()


def _fetch(artifacts: Sequence[Artifact], folder: Path, repository: Repository, tally: Tally) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder, time.time())
    with (
        tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as partial,
        ThreadPoolExecutor(_PARALLEL) as pool,
    ):
        downloads = [
            pool.submit(_fetch_one, artifact, folder, Path(partial), repository, tally)
            for artifact in artifacts
        ]
        try:
            for download in downloads:
                download.result()
        except BaseException:
            tally.stop()
            pool.shutdown(cancel_futures=True)
            raise


def _fetch_one(artifact: Artifact, folder: Path, partial: Path, repository: Repository, tally: Tally) -> None:
    path = repository.download(artifact, partial / artifact.file_name, tally)
    if not is_intact(artifact, path):
        raise EmbeddedKafkaError(
            f"{repository.url(artifact)} is not the file it should be (its sha512 differs from the one this program knows) "
            "and was thrown away: have the mirror or proxy in between checked, or set embedded.maven_repository to another."
        )
    with path.open("rb") as content:
        os.fsync(content.fileno())
    os.utime(path, (_MODIFIED, _MODIFIED))
    path.replace(folder / artifact.file_name)


def _remove_abandoned(folder: Path, now: float) -> None:
    for leftover in folder.glob(".partial-*"):
        with contextlib.suppress(FileNotFoundError):
            if now - leftover.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)
