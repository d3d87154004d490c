"""The client of an HTTP Event Collector: one call, one request."""

from collections.abc import Sequence
from typing import Self

import httpx
import orjson

from consumer.destinations.connection import open_client, read_beginning
from consumer.destinations.credential_files import CredentialFiles
from consumer.destinations.outcome import Outcome, Retry
from consumer.destinations.splunk.config import SplunkConfig
from consumer.destinations.splunk.credentials import load_token
from consumer.destinations.splunk.response import HecResponse
from relay.errors import describe, one_line

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
        self._config = config
        self._files = CredentialFiles(name, config, lambda: load_token(name, config), lambda token: [token])
        self._client = open_client(self._files.tls, config.max_requests, cookies=config.acknowledge)

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
        return self._files.explain(outcome)

    async def _request(
        self, method: str, path: str, content: bytes, headers: dict[str, str], channel: str | None
    ) -> HecResponse | Retry:
        if channel is not None:
            headers = headers | {CHANNEL_HEADER: channel}
        try:
            return await self._files.request(
                lambda: self._request_once(method, path, content, headers), _refuses_token
            )
        except Exception as error:  # noqa: BLE001 - the libraries below raise more than they document
            self._files.reload()  # a client certificate may have expired
            return Retry(f"The connection to Splunk failed: {one_line(self._files.redact(describe(error)))}.")

    async def _request_once(
        self, method: str, path: str, content: bytes, headers: dict[str, str]
    ) -> HecResponse:
        headers = headers | {"Authorization": f"Splunk {self._files.current}"}
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
        text = self._files.redact(found.decode("utf-8", "replace"))
        return HecResponse(response.status_code, response.headers, text.encode(), complete)


def _refuses_token(response: HecResponse) -> bool:
    return response.status in _TOKEN_REFUSED or response.code in _TOKEN_REFUSED_CODES
