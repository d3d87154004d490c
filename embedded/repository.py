"""One artifact out of a Maven repository, and what to say when that fails."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext, PythonResolver

from embedded.artifacts import Artifact, parts
from embedded.errors import EmbeddedKafkaError

_SILENCE_SECONDS = 10
_PAUSES_SECONDS = (1, 3)


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """The download was given up by whoever asked for it."""


class Tally:
    """Bytes fetched by all downloads together, and the one way to stop them."""

    def __init__(self, total: int, report: Callable[[int, int], None]) -> None:
        self._done = 0
        self._total = total
        self._report = report
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def add(self, count: int) -> None:
        """Raises Stopped once `stop` was called."""
        if self._stopped.is_set():
            raise Stopped
        with self._lock:
            self._done += count
            self._report(self._done, self._total)

    def stop(self) -> None:
        self._stopped.set()

    def pause(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise Stopped


class Repository:
    def __init__(self, url: str | None) -> None:
        self._base = (url or MAVEN_CENTRAL_URL).rstrip("/")

    def download(self, artifact: Artifact, folder: Path, tally: Tally) -> Path:
        """Return the file, somewhere under `folder`, unverified. Three tries.

        Raises EmbeddedKafkaError for the network's faults, OSError for the disk's.
        """
        for attempt, pause in enumerate(_PAUSES_SECONDS):
            try:
                return self._download_once(artifact, folder / str(attempt), tally)
            except EmbeddedKafkaError:
                tally.pause(pause)
        return self._download_once(artifact, folder / "last", tally)

    def _download_once(self, artifact: Artifact, folder: Path, tally: Tally) -> Path:
        received = 0

        def count(size: int) -> None:
            nonlocal received
            received += size
            tally.add(size)

        try:
            path = self._resolve(artifact, folder, count)
        except (requests.RequestException, RuntimeError, ValueError, IndexError) as error:
            tally.add(-received)
            raise EmbeddedKafkaError(
                f"{self.url(artifact)} cannot be fetched: {_reason(error)}. Embedded Kafka needs its files once: "
                "allow this host (through a proxy: HTTPS_PROXY), set embedded.maven_repository to a mirror, "
                "or set kafka.bootstrap to a Kafka of your own."
            ) from error
        tally.add(artifact.size - received)
        return path

    def _resolve(self, artifact: Artifact, folder: Path, count: Callable[[int], None]) -> Path:
        @contextmanager
        def bar(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
            yield count

        context = MavenContext(
            resolver=PythonResolver(progress_callback=bar),
            repo_cache=folder,
            remote_repos={"repository": self._base},
            timeout=_SILENCE_SECONDS,
        )
        group, name, packaging, classifier, version = parts(artifact.coordinate)
        return Path(
            context.project(group, name).at_version(version).artifact(classifier, packaging).resolve()
        )

    def url(self, artifact: Artifact) -> str:
        """Return the artifact's address, without a password that may stand in the repository's."""
        base = urlsplit(self._base)
        shown = base._replace(netloc=base.netloc.rpartition("@")[2]).geturl()
        return f"{shown}/{artifact.path}"


def _reason(error: Exception) -> str:
    match error:
        case requests.exceptions.SSLError():
            return "its certificate is not trusted (an authority of your own: REQUESTS_CA_BUNDLE)"
        case requests.exceptions.ProxyError():
            return "the proxy refuses"
        case requests.Timeout():
            return f"no answer within {_SILENCE_SECONDS} s"
        case requests.exceptions.ChunkedEncodingError():
            return "the transfer broke off"
        case requests.ConnectionError():
            return "the host cannot be reached"
        case requests.RequestException():
            return f"no usable address ({type(error).__name__})"
        case _:
            return "the host answers, but does not hand out the file"
