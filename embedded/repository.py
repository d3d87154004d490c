"""Download one artifact from a Maven repository, and explain a failure."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import httpx

from embedded.artifacts import Artifact
from embedded.errors import EmbeddedKafkaError
from relay.http import open_transport

_CHUNK_BYTES = 65_536
_MAX_ARTIFACT_BYTES = 1024 * 1024 * 1024
"""More than any artifact has; a download breaks off behind the size in its lock file anyway."""


@dataclass(frozen=True, slots=True)
class DownloadTiming:
    """How long a download waits, in seconds."""

    answer_seconds: float = 10
    """For each step: connecting, sending, receiving more bytes."""
    retry_delays_seconds: tuple[float, ...] = (1, 3)
    """Before each further attempt; their number is the number of further attempts."""


DEFAULT_TIMING = DownloadTiming()


def open_client(timing: DownloadTiming = DEFAULT_TIMING) -> httpx.AsyncClient:
    """Open a client. Proxies and CA certificates come from the environment: HTTPS_PROXY, SSL_CERT_FILE."""
    return httpx.AsyncClient(
        transport=open_transport(max_body_bytes=_MAX_ARTIFACT_BYTES),
        trust_env=False,
        timeout=timing.answer_seconds,
        follow_redirects=True,
        headers={"Accept-Encoding": "identity"},
    )


class MavenRepository:
    """A Maven repository at one address."""

    def __init__(
        self, address: str | None, http: httpx.AsyncClient, timing: DownloadTiming = DEFAULT_TIMING
    ) -> None:
        """Use the repository at `address`; None: Maven Central. Raises EmbeddedKafkaError if it is not a URL."""
        try:
            url = httpx.URL((address or _default_address()).rstrip("/"))
        except httpx.InvalidURL as error:
            raise EmbeddedKafkaError(
                f"embedded.maven_repository is not an http or https URL ({error}): correct it."
            ) from error
        # The address is shown in messages, so the password must leave it.
        self._base = url.copy_with(userinfo=b"")
        self._auth = httpx.BasicAuth(url.username, url.password) if url.userinfo else None
        self._http = http
        self._timing = timing

    async def download(self, artifact: Artifact, file: BinaryIO, count: Callable[[int], None]) -> None:
        """Download an artifact into `file`, and verify it.
        `count` gets the bytes of each chunk; a retry subtracts its own.

        Raises EmbeddedKafkaError for a fault of the network, OSError for one of the disk.
        """
        for pause in (*self._timing.retry_delays_seconds, None):
            try:
                return await self._download_once(artifact, file, count)
            except httpx.HTTPError as error:
                if pause is None or not _is_retriable(error):
                    raise EmbeddedKafkaError(
                        f"{self._base}/{artifact.path} cannot be downloaded: {_reason(error, self._timing)}. "
                        "Embedded Kafka downloads its files once: allow this host (or a proxy: HTTPS_PROXY), "
                        "set embedded.maven_repository to a mirror, or set kafka.bootstrap to your own Kafka."
                    ) from error
            count(-file.tell())
            await asyncio.sleep(pause)
        return None

    async def _download_once(self, artifact: Artifact, file: BinaryIO, count: Callable[[int], None]) -> None:
        file.seek(0)
        file.truncate()
        digest = hashlib.sha512()
        async with self._http.stream("GET", f"{self._base}/{artifact.path}", auth=self._auth) as response:
            response.raise_for_status()
            async for chunk in response.aiter_bytes(_CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
                count(len(chunk))
                if file.tell() > artifact.size:
                    break
        if digest.hexdigest() != artifact.sha512:
            raise EmbeddedKafkaError(
                f"{self._base}/{artifact.path} has another sha512 than this program expects and was deleted. "
                "Check the mirror or proxy on the way, or set embedded.maven_repository to another mirror."
            )


def _default_address() -> str:
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415 - an extra

    return str(MAVEN_CENTRAL_URL)


def _is_retriable(error: httpx.HTTPError) -> bool:
    match error:
        case httpx.HTTPStatusError(response=response):
            return response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error
        case httpx.UnsupportedProtocol():
            return False
        case _:
            return isinstance(error, httpx.TransportError)


def _reason(error: httpx.HTTPError, timing: DownloadTiming) -> str:
    match error:
        case httpx.HTTPStatusError(response=response):
            return f"the host answers {response.status_code} {response.reason_phrase}"
        case httpx.TimeoutException():
            return f"no answer within {timing.answer_seconds:g} s"
        case httpx.ProxyError():
            return "the proxy refuses the request"
        case httpx.UnsupportedProtocol():
            return "the URL is not http or https"
        case httpx.ConnectError() if "CERTIFICATE" in str(error):
            return "its certificate is not trusted (for a CA of your own: SSL_CERT_FILE)"
        case httpx.ConnectError():
            return "the host cannot be reached"
        case _:
            return f"the transfer broke off ({type(error).__name__})"
