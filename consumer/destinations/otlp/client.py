"""The client of an OTLP backend: one call, one request."""

import asyncio
from collections.abc import Mapping
from typing import Self

from consumer.destinations.connection import open_client, read_beginning
from consumer.destinations.credential_files import CredentialFiles
from consumer.destinations.otlp.config import LOGS_PATH, OtlpConfig
from consumer.destinations.otlp.response import OtlpResponse, Request, classify
from consumer.destinations.otlp.rows import CONTENT_TYPES
from consumer.destinations.outcome import Outcome, Retry
from consumer.destinations.request_headers import header_secrets, load_headers
from relay.errors import describe, one_line
from relay.timestamps import now_ms

MAX_ANSWER_BYTES = 65_536
"""Bytes of an answer that are read: a partial success is a number and a message."""
CREDENTIAL_REFUSED = frozenset({401, 403})


class OtlpClient:
    """Sends bodies to the endpoints of one destination; any number of calls at a time.

    A call makes one request, and one more if the answer refuses a credential whose file has changed. It ends within
    `timeout_seconds`, and raises nothing but CancelledError. Redirects are answers, and cookies are not kept.
    """

    def __init__(self, name: str, config: OtlpConfig, timeout_seconds: float) -> None:
        self._name = name
        self._config = config
        self._timeout_seconds = timeout_seconds
        self._files: CredentialFiles[Mapping[str, str]] = CredentialFiles(
            name, config, lambda: load_headers(name, config), header_secrets
        )
        self._client = open_client(self._files.tls, config.max_requests)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def send(self, endpoint: str, content: bytes, rows: int) -> Outcome:
        """Post a body of `rows` rows. After a Retry its events may have been stored nevertheless."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                response = await self._files.request(
                    lambda: self._post(endpoint + LOGS_PATH, content),
                    lambda response: response.status in CREDENTIAL_REFUSED,
                )
        except TimeoutError:
            return self._files.explain(
                Retry(f"The backend did not answer within {self._timeout_seconds:g} s.")
            )
        except Exception as error:  # noqa: BLE001 - the libraries below raise more than they document
            self._files.reload()  # a client certificate may have expired
            reason = one_line(self._files.redact(describe(error)))
            return self._files.explain(Retry(f"The connection to the backend failed: {reason}."))
        request = Request(self._name, rows, self._config.partial_success == "halve")
        return self._files.explain(classify(response, request, now_ms()))

    async def _post(self, url: str, content: bytes) -> OtlpResponse:
        headers = {**self._files.current, "Content-Type": CONTENT_TYPES[self._config.encoding]}
        if self._config.compression == "gzip":
            headers["Content-Encoding"] = "gzip"
        async with self._client.stream("POST", url, content=content, headers=headers) as response:
            found, complete = await read_beginning(response, MAX_ANSWER_BYTES)
            ended = complete or len(found) == MAX_ANSWER_BYTES  # what is longer is no OTLP
            return OtlpResponse(response.status_code, response.headers, found, ended, self._files.redact)
