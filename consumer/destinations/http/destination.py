"""One URL of an HTTP receiver as a destination."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import polars as pl

from consumer.destinations.contract import Body, Destination, Flow, Limits
from consumer.destinations.http import rows
from consumer.destinations.http.client import ReceiverClient
from consumer.destinations.http.config import HttpConfig
from consumer.destinations.outcome import Outcome
from consumer.formats.encoded_rows import EncodedRows
from relay.url_policy import split_url

IN_FLIGHT_BYTES = 16_000_000


class HttpDestination:
    """Sends to one URL; the URLs of a destination share the client."""

    def __init__(
        self,
        client: ReceiverClient,
        name: str,
        config: HttpConfig,
        flow: Flow,
        url: str,
        timeout_seconds: float,
    ) -> None:
        setting = {"live": "url", "history": "history_url"}[flow]
        self._client = client
        self._config = config
        self._url = url
        self.limits = Limits(
            rows.body_format(config),
            in_flight_bytes=max(IN_FLIGHT_BYTES, config.max_requests * config.max_body_bytes),
            in_flight_bodies=config.max_requests,
            request_timeout_seconds=timeout_seconds,
        )
        self.address = f"{split_url(url)[0].url} ({setting})"
        self.config_hint = f"Check that the receiver takes the format {config.format} (destinations.{name}.format), and read its own log."

    def encode(self, events: pl.DataFrame) -> EncodedRows:
        return rows.encode_rows(events, self._config.format, self.limits.format, self._config.event_format)

    def body(self, rows_to_send: EncodedRows) -> bytes:
        return rows.encode_body(rows_to_send, self._config, self.limits.format)

    async def send(self, body: Body) -> Outcome:
        return await self._client.send(self._url, body.content)

    async def probe(self) -> Outcome:
        """Send a body without events; with the format single, which has none, a HEAD request."""
        if self._config.format == "single":
            return await self._client.probe_head(self._url)
        return await self._client.send(self._url, self.body(EncodedRows()))


@asynccontextmanager
async def open_http(
    name: str, config: HttpConfig, request_timeout_seconds: float
) -> AsyncIterator[Mapping[Flow, Destination]]:
    """Open the URLs of the settings. Raises RelayError for headers, secrets or certificates that cannot be used."""
    urls: dict[Flow, str] = {"live": config.url.get_secret_value()}
    if config.history_url is not None:
        urls["history"] = config.history_url.get_secret_value()
    async with ReceiverClient(name, config, request_timeout_seconds) as client:
        yield {
            flow: HttpDestination(client, name, config, flow, url, request_timeout_seconds)
            for flow, url in urls.items()
        }
