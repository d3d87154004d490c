"""The client of an HTTP Event Collector: one call, one request."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import httpx
import orjson

from consumer.destinations.connection import load_certificate, open_client, read_beginning, tls_context
from consumer.destinations.outcome import Outcome, Paused, Retry
from consumer.destinations.splunk.config import SplunkConfig
from consumer.destinations.splunk.credentials import load_token
from consumer.destinations.splunk.response import HecResponse
from relay.credentials.redaction import Redactor
from relay.errors import RelayError, describe, one_line

EVENT_PATH = "/services/collector/event"
ACK_PATH = "/services/collector/ack"
HEALTH_PATH = "/services/collector/health"
CHANNEL_HEADER = "X-Splunk-Request-Channel"
MAX_ANSWER_BYTES = 262_144
"""Bytes of an answer that are read: the acknowledgement of a thousand requests has some 15,000."""
_TOKEN_REFUSED = frozenset({401, 403})
_TOKEN_REFUSED_CODES = frozenset({21, 22})
"""Codes of an invalid or disabled token that have status 400."""


class HecClient:
    """Sends requests to one collector; any number of calls at a time.

    A call makes one request, and one more if the answer refuses a token whose file has changed. The caller bounds its time; it
    raises nothing but CancelledError. Redirects are answers. Cookies are kept with acknowledgement alone: a load balancer keeps
    the node of a session by them.
    """

    def __init__(self, name: str, config: SplunkConfig) -> None:
        self._name = name
        self._config = config
        self._redact = Redactor()
        self._token = load_token(name, config)
        self._redact.add(self._token)
        self._tls = tls_context(name, config)
        self._file_fault: RelayError | None = None
        """Why a file that was read before cannot be read now."""
        self._client = open_client(self._tls, config.max_requests, cookies=config.acknowledge)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def post_events(self, content: bytes, channel: str | None) -> HecResponse | Retry:
        """Post a compressed body. `channel`: a GUID, with acknowledgement. After a Retry its events may be stored nevertheless."""
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        return await self._request("POST", EVENT_PATH, content, headers, channel)

    async def post_ids(self, channel: str, ids: Sequence[int]) -> HecResponse | Retry:
        """Ask which requests of a channel are indexed."""
        headers = {"Content-Type": "application/json"}
        return await self._request("POST", ACK_PATH, orjson.dumps({"acks": list(ids)}), headers, channel)

    async def get_health(self) -> HecResponse | Retry:
        return await self._request("GET", HEALTH_PATH, b"", {}, None)

    def explain(self, outcome: Outcome) -> Outcome:
        """Add to a Paused or a Retry why a file cannot be read."""
        if self._file_fault is not None and isinstance(outcome, Paused | Retry):
            return replace(outcome, reason=f"{outcome.reason} {self._file_fault}")
        return outcome

    async def _request(
        self, method: str, path: str, content: bytes, headers: dict[str, str], channel: str | None
    ) -> HecResponse | Retry:
        if channel is not None:
            headers = headers | {CHANNEL_HEADER: channel}
        try:
            used = self._token
            response = await self._request_once(method, path, content, headers)
            if _refuses_token(response):
                self._reload()
                if self._token != used:
                    return await self._request_once(method, path, content, headers)
            return response
        except Exception as error:  # noqa: BLE001 - the libraries below raise more than they document
            self._reload()  # a client certificate may have expired
            return Retry(f"The connection to Splunk failed: {one_line(self._redact(describe(error)))}.")

    async def _request_once(
        self, method: str, path: str, content: bytes, headers: dict[str, str]
    ) -> HecResponse:
        headers = headers | {"Authorization": f"Splunk {self._token}"}
        request = self._client.build_request(
            method, self._config.endpoint + path, content=content, headers=headers
        )
        response = await self._client.send(request, stream=True)
        try:
            return await self._read(response)
        finally:
            await response.aclose()

    async def _read(self, response: httpx.Response) -> HecResponse:
        found, complete = await read_beginning(response, MAX_ANSWER_BYTES)
        text = self._redact(found.decode("utf-8", "replace"))
        return HecResponse(response.status_code, response.headers, text.encode(), complete)

    def _reload(self) -> None:
        """Read the files again. A file that cannot be used may be half written: what was read before goes on."""
        try:
            self._token = load_token(self._name, self._config)
            load_certificate(self._tls, self._name, self._config)
            self._file_fault = None
        except RelayError as error:
            self._file_fault = error
        self._redact.add(self._token)


def _refuses_token(response: HecResponse) -> bool:
    return response.status in _TOKEN_REFUSED or response.code in _TOKEN_REFUSED_CODES
