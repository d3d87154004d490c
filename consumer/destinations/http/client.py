"""The client of an HTTP receiver: one call, one request."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from typing import Self
from urllib.parse import unquote

from consumer.destinations.connection import open_client, read_beginning
from consumer.destinations.credential_files import CredentialFiles
from consumer.destinations.http.config import HttpConfig
from consumer.destinations.http.credentials import Credentials, load_credentials
from consumer.destinations.http.response import HttpResponse, classify, classify_head
from consumer.destinations.http.rows import CONTENT_TYPES
from consumer.destinations.outcome import Outcome, Retry
from consumer.destinations.request_headers import header_secrets
from relay.errors import describe, one_line
from relay.timestamps import now_ms
from relay.url_policy import split_url

MAX_ANSWER_BYTES = 16_384
"""Bytes of an answer that are read; the rest is of no use to the relay."""
MAX_INLINE_BYTES = 65_536
"""Bytes of a body that the event loop hashes itself; a thread hashes a larger one."""
CREDENTIAL_REFUSED = frozenset({401, 403})


class ReceiverClient:
    """Sends bodies to the URLs of one destination; any number of calls at a time.

    A call makes one request, and one more if the answer refuses a credential whose file has changed. It ends within
    `timeout_seconds`, and raises nothing but CancelledError. Redirects are answers, and cookies are not kept.
    """

    def __init__(self, name: str, config: HttpConfig, timeout_seconds: float) -> None:
        self._name = name
        self._config = config
        self._timeout_seconds = timeout_seconds
        self._files = CredentialFiles(name, config, lambda: load_credentials(name, config), self._secrets)
        self._client = open_client(self._files.tls, config.max_requests)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def send(self, url: str, content: bytes) -> Outcome:
        """Post a body to `url`. After a Retry its events may have been accepted nevertheless."""
        return self._outcome(await self._request(url, content, "POST"), classify)

    async def probe_head(self, url: str) -> Outcome:
        """Ask `url` without a body."""
        return self._outcome(await self._request(url, b"", "HEAD"), classify_head)

    def _outcome(
        self, response: HttpResponse | Retry, classify_response: Callable[[HttpResponse, str, int], Outcome]
    ) -> Outcome:
        outcome = (
            response if isinstance(response, Retry) else classify_response(response, self._name, now_ms())
        )
        return self._files.explain(outcome)

    async def _request(self, url: str, content: bytes, method: str) -> HttpResponse | Retry:
        """Return the answer of a request, or why there is none."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._files.request(
                    lambda: self._request_once(url, content, method),
                    lambda response: response.status in CREDENTIAL_REFUSED,
                )
        except TimeoutError:
            return Retry(f"The receiver did not answer within {self._timeout_seconds:g} s.")
        except Exception as error:  # noqa: BLE001 - the libraries below raise more than they document
            self._files.reload()  # a client certificate may have expired
            return Retry(
                f"The connection to the receiver failed: {one_line(self._files.redact(describe(error)))}."
            )

    async def _request_once(self, url: str, content: bytes, method: str) -> HttpResponse:
        headers = (
            self._headers(self._files.current, content)
            if len(content) < MAX_INLINE_BYTES
            else await asyncio.to_thread(self._headers, self._files.current, content)
        )
        async with self._client.stream(method, url, content=content, headers=headers) as response:
            # The status has come, and decides: a body that breaks off or never ends changes nothing.
            beginning, _ = await read_beginning(response, MAX_ANSWER_BYTES)
            text = self._files.redact(beginning.decode("utf-8", "replace"))
            return HttpResponse(response.status_code, response.headers, text)

    def _headers(self, credentials: Credentials, content: bytes) -> dict[str, str]:
        """Return the headers of one try. It hashes the body: 1 MB takes milliseconds."""
        message, timestamp = webhook_id(content), now_ms() // 1000
        headers = {
            **credentials.headers,
            "Content-Type": CONTENT_TYPES[self._config.format],
            "webhook-id": message,
            "webhook-timestamp": str(timestamp),
        }
        if self._config.compression == "gzip":
            headers["Content-Encoding"] = "gzip"
        if credentials.signing_keys:
            headers["webhook-signature"] = credentials.signature(message, timestamp, content)
        return headers

    def _secrets(self, credentials: Credentials) -> Iterator[str]:
        """Yield each text of the credentials, and of the URLs, that no text of the receiver or of a library may show."""
        yield from header_secrets(credentials.headers)
        for url in (self._config.url, self._config.history_url):
            if url is not None:
                yield from secret_parts(url.get_secret_value())


def secret_parts(url: str) -> list[str]:
    """Return what a text may not show of a URL: path and query, each alone, and each value that may be a secret by itself."""
    path, _, query = split_url(url)[1].partition("?")
    values = [each.partition("=")[2] for each in query.split("&")]
    parts = [f"{path.strip('/')}?{query}", path.strip("/"), query, *values, *path.split("/")[-1:]]
    return [form for part in parts for form in (part, unquote(part))]


def webhook_id(content: bytes) -> str:
    """Return the id of a message, the same on every try of an equal body, without the dot that signatures forbid.

    Offsets alone would not do: they begin again when a topic is made anew, and a receiver would drop the new events.
    """
    return f"msg_{hashlib.sha256(content).hexdigest()[:32]}"
