"""The client of a cluster: one call, one request."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Self

from consumer.destinations.connection import load_certificate, open_client, tls_context
from consumer.destinations.elasticsearch.config import ElasticsearchConfig
from consumer.destinations.elasticsearch.credentials import Credential, load_credential
from consumer.destinations.elasticsearch.response import ClusterResponse
from consumer.destinations.outcome import Outcome, Partial, Paused, Retry, Sent
from relay.credentials.redaction import Redactor
from relay.errors import RelayError, describe, one_line

NDJSON, JSON = "application/x-ndjson", "application/json"
_CREDENTIAL_REFUSED = frozenset({401, 403})
_PRODUCT_HEADER = "x-elastic-product"
"""Elasticsearch 7.14 and later sends it with every answer, and OpenSearch never."""


class ClusterClient:
    """Makes requests to one cluster; any number at a time. Redirects are answers, and cookies are not kept."""

    def __init__(self, name: str, config: ElasticsearchConfig, timeout_seconds: float) -> None:
        self._name = name
        self._config = config
        self._timeout_seconds = timeout_seconds
        self._redact = Redactor()
        self._credential = Credential(None)
        self._read_credential()
        self._tls = tls_context(name, config)
        self._file_fault: RelayError | None = None
        """Why a file that was read before cannot be read now."""
        self._client = open_client(self._tls, config.max_requests)
        self.is_elasticsearch = False
        """Whether an answer said so. False also before the first answer."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def bounded(self, make_requests: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Return the outcome of requests that end within the time; raises nothing but CancelledError.

        After a Retry the documents may have been created nevertheless.
        """
        outcome: Outcome
        try:
            async with asyncio.timeout(self._timeout_seconds):
                outcome = await make_requests()
        except TimeoutError:
            outcome = Retry(f"The cluster did not answer within {self._timeout_seconds:g} s.")
        except Exception as error:  # noqa: BLE001 - the libraries below raise more than they document
            self._reload()  # a client certificate may have expired
            outcome = Retry(
                f"The connection to the cluster failed: {one_line(self._redact(describe(error)))}."
            )
        return self._redacted(outcome)

    async def call(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        content_type: str = JSON,
        *,
        compressed: bool = False,
    ) -> ClusterResponse:
        """Make a request, and one more if its credential is refused and the file of the credential has changed.

        Raises what httpx raises.
        """
        headers = {"Content-Type": content_type} if content else {}
        if compressed:
            headers["Content-Encoding"] = "gzip"
        used = self._credential
        response = await self._call_once(method, path, content, headers)
        if response.status in _CREDENTIAL_REFUSED:
            self._reload()
            if self._credential != used:
                response = await self._call_once(method, path, content, headers)
        return response

    async def _call_once(
        self, method: str, path: str, content: bytes, headers: dict[str, str]
    ) -> ClusterResponse:
        if self._credential.header is not None:
            headers = {**headers, "Authorization": self._credential.header}
        url = f"{self._config.endpoint}{path}"
        response = await self._client.request(method, url, content=content, headers=headers)
        self.is_elasticsearch = self.is_elasticsearch or _PRODUCT_HEADER in response.headers
        return ClusterResponse(response.status_code, response.headers, response.content, self._redact)

    def _redacted(self, outcome: Outcome) -> Outcome:
        """Return an outcome whose texts show no secret, also where the cluster repeats one."""
        match outcome:
            case Sent():
                return outcome
            case Partial():
                rejected = {row: self._redact(reason) for row, reason in outcome.rejected.items()}
                return replace(outcome, rejected=rejected, reason=self._redact(outcome.reason))
            case Paused() | Retry() if self._file_fault is not None:
                return replace(outcome, reason=f"{self._redact(outcome.reason)} {self._file_fault}")
            case _:
                return replace(outcome, reason=self._redact(outcome.reason))

    def _reload(self) -> None:
        """Read the files again. A file that cannot be used may be half written: what was read before goes on."""
        try:
            self._read_credential()
            load_certificate(self._tls, self._name, self._config)
            self._file_fault = None
        except RelayError as error:
            self._file_fault = error

    def _read_credential(self) -> None:
        self._credential = load_credential(self._name, self._config)
        for secret in self._credential.secrets:
            self._redact.add(secret)
