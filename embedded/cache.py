"""The cache folder of the user. Each artifact is downloaded once, and used only with the sha512 of the lock file."""

import asyncio
import contextlib
import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from embedded import download
from embedded.artifacts import Artifact
from embedded.errors import EmbeddedKafkaError
from embedded.repository import DEFAULT_TIMING, DownloadTiming

Progress = Callable[[int, int], None]

_PARALLEL = 8


def home_folder() -> Path | None:
    """Return the user's home folder. None: the user has none, as in many containers."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def default_folder(environ: Mapping[str, str], home: Path | None, platform: str = sys.platform) -> Path:
    """Return the cache folder that the system prescribes. Raises EmbeddedKafkaError without a home folder."""
    if base := environ.get("XDG_CACHE_HOME"):
        return Path(base) / "jira-audit-relay"
    if home is None:
        raise EmbeddedKafkaError(
            "The files of the embedded Kafka have no place: this user has no home folder. Set HOME or XDG_CACHE_HOME."
        )
    return home / ("Library/Caches" if platform == "darwin" else ".cache") / "jira-audit-relay"


async def fetch(
    artifacts: Sequence[Artifact],
    folder: Path,
    repository: str | None = None,
    progress: Progress | None = None,
    timing: DownloadTiming = DEFAULT_TIMING,
) -> list[Path]:
    """Return the artifacts' files in `folder`, each verified now. Missing and corrupt ones are downloaded.

    Any number of processes may do this at once. Raises EmbeddedKafkaError.
    `progress` gets the bytes downloaded so far and the bytes in all; it is not called if nothing is missing.
    """
    absent = await asyncio.to_thread(_find_missing, artifacts, folder)
    if absent:
        await download.download_all(folder, absent, repository, progress or _ignore_progress, timing)
    return [folder / artifact.file_name for artifact in artifacts]


def _find_missing(artifacts: Sequence[Artifact], folder: Path) -> list[Artifact]:
    with ThreadPoolExecutor(_PARALLEL) as pool:
        intact = pool.map(lambda artifact: _is_intact(artifact, folder / artifact.file_name), artifacts)
        return [artifact for artifact, good in zip(artifacts, intact, strict=True) if not good]


def _ignore_progress(done: int, total: int) -> None:
    """Ignore the progress."""


def _is_intact(artifact: Artifact, path: Path) -> bool:
    with contextlib.suppress(OSError), path.open("rb") as content:
        return hashlib.file_digest(content, "sha512").hexdigest() == artifact.sha512
    return False
