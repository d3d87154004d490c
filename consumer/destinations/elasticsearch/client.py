"""The client of a cluster: one call, one request."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Self

from consumer.destinations.connection import open_client
from consumer.destinations.credential_files import CredentialFiles
from consumer.destinations.elasticsearch.config import ElasticsearchConfig
from consumer.destinations.elasticsearch.credentials import load_credential
from consumer.destinations.elasticsearch.response import ClusterResponse
from consumer.destinations.outcome import Outcome, Partial, Retry, Sent
from relay.errors import describe, one_line

NDJSON, JSON = "application/x-ndjson", "application/json"
_CREDENTIAL_REFUSED = frozenset({401, 403})
_PRODUCT_HEADER = "x-elastic-product"
"""Elasticsearch 7.14 and later sends it with every answer, and OpenSearch never."""


class ClusterClient:
    """Makes requests to one cluster; any number at a time. Redirects are answers, and cookies are not kept."""

    def __init__(self, name: str, config: ElasticsearchConfig, timeout_seconds: float) -> None:
        self._config = config
        self._timeout_seconds = timeout_seconds
        self._files = CredentialFiles(
            name, config, lambda: load_credential(name, config), lambda credential: credential.secrets
        )
        self.redact = self._files.redact
        self._client = open_client(self._files.tls, config.max_requests)
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
            self._files.reload()  # a client certificate may have expired
            outcome = Retry(
                f"The connection to the cluster failed: {one_line(self._files.redact(describe(error)))}."
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
        return await self._files.request(
            lambda: self._call_once(method, path, content, headers),
            lambda response: response.status in _CREDENTIAL_REFUSED,
        )

    async def _call_once(
        self, method: str, path: str, content: bytes, headers: dict[str, str]
    ) -> ClusterResponse:
        if (header := self._files.current.header) is not None:
            headers = {**headers, "Authorization": header}
        url = f"{self._config.endpoint}{path}"
        response = await self._client.request(method, url, content=content, headers=headers)
        self.is_elasticsearch = self.is_elasticsearch or _PRODUCT_HEADER in response.headers
        return ClusterResponse(response.status_code, response.headers, response.content, self._files.redact)

    def _redacted(self, outcome: Outcome) -> Outcome:
        """Return an outcome whose texts show no secret, also where the cluster repeats one."""
        redact = self._files.redact
        match outcome:
            case Sent():
                return outcome
            case Partial():
                rejected = {row: redact(reason) for row, reason in outcome.rejected.items()}
                return replace(outcome, rejected=rejected, reason=redact(outcome.reason))
            case _:
                return self._files.explain(replace(outcome, reason=redact(outcome.reason)))
