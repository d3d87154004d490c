"""The user's cache folder: fetched once, and nothing used whose sha512 is not the lock file's."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from embedded.artifacts import Artifact
from embedded.errors import EmbeddedKafkaError
from embedded.repository import Repository, Tally

Progress = Callable[[int, int], None]

_PARALLEL = 8
_ABANDONED_SECONDS = 86_400


def default_folder(environ: Mapping[str, str], home: Path, platform: str = sys.platform) -> Path:
    if base := environ.get("XDG_CACHE_HOME"):
        return Path(base) / "jira-audit-relay"
    return home / ("Library/Caches" if platform == "darwin" else ".cache") / "jira-audit-relay"


async def fetch(
    artifacts: Sequence[Artifact],
    folder: Path,
    repository: str | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Return the artifacts' files in `folder`, each verified just now; what is missing or broken is fetched.

    Any number of processes may do this at once. `progress` is called in the event loop with the bytes fetched so far and the
    bytes to fetch in all; never, if nothing is missing. Raises EmbeddedKafkaError.
    """
    missing = await asyncio.to_thread(_missing, artifacts, folder)
    if missing:
        loop = asyncio.get_running_loop()

        def report(done: int, total: int) -> None:
            if progress:
                loop.call_soon_threadsafe(progress, done, total)

        tally = Tally(sum(artifact.size for artifact in missing), report)
        try:
            await asyncio.to_thread(_fetch, missing, folder, Repository(repository), tally)
        finally:
            tally.stop()
    return [folder / artifact.file_name for artifact in artifacts]


def _missing(artifacts: Sequence[Artifact], folder: Path) -> list[Artifact]:
    with ThreadPoolExecutor(_PARALLEL) as pool:
        intact = pool.map(lambda artifact: is_intact(artifact, folder / artifact.file_name), artifacts)
        return [artifact for artifact, good in zip(artifacts, intact, strict=True) if not good]


def is_intact(artifact: Artifact, path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as content:
        return hashlib.file_digest(content, "sha512").hexdigest() == artifact.sha512
    return False


def _fetch(artifacts: list[Artifact], folder: Path, repository: Repository, tally: Tally) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder, time.time())
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as partial:
            _fetch_all(artifacts, folder, Path(partial), repository, tally)
    except OSError as error:
        raise EmbeddedKafkaError(
            f"The cache folder {folder} cannot be written ({error.strerror or error}): "
            "make room, or set XDG_CACHE_HOME to a folder that can be."
        ) from error


def _fetch_all(
    artifacts: list[Artifact], folder: Path, partial: Path, repository: Repository, tally: Tally
) -> None:
    with ThreadPoolExecutor(_PARALLEL) as pool:
        downloads = [pool.submit(_fetch_one, a, folder, partial, repository, tally) for a in artifacts]
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
    path.replace(folder / artifact.file_name)


def _remove_abandoned(folder: Path, now: float) -> None:
    for leftover in folder.glob(".partial-*"):
        with contextlib.suppress(FileNotFoundError):
            if now - leftover.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)
