"""One endpoint of OTLP as a destination."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import polars as pl

from consumer.destinations.contract import Body, Destination, Flow, Limits
from consumer.destinations.otlp import rows
from consumer.destinations.otlp.client import OtlpClient
from consumer.destinations.otlp.config import OtlpConfig
from consumer.destinations.outcome import Outcome
from consumer.formats.encoded_rows import EncodedRows

IN_FLIGHT_BYTES = 16_000_000


class OtlpDestination:
    """Sends the events of one flow; the flows of a destination share the client."""

    def __init__(
        self, client: OtlpClient, name: str, config: OtlpConfig, flow: Flow, timeout_seconds: float
    ) -> None:
        is_live = flow == "live"
        self._client = client
        self._config = config
        self._flow = flow
        self._endpoint = config.endpoint if is_live else config.history_endpoint or ""
        self._time = config.time if is_live else config.history_time or config.time
        self.limits = Limits(
            rows.body_format(config, flow),
            in_flight_bytes=max(IN_FLIGHT_BYTES, config.max_requests * config.max_body_bytes),
            in_flight_bodies=config.max_requests,
            request_timeout_seconds=timeout_seconds,
        )
        self.address = f"{self._endpoint} ({'endpoint' if is_live else 'history_endpoint'})"
        self.config_hint = (
            f"Read the backend's own log; it may drop records by their age (destinations.{name}.time and .history_time), or take"
            " fewer attributes than the relay sends."
        )

    def encode(self, events: pl.DataFrame) -> EncodedRows:
        return rows.encode_rows(events, self._config, self._time, self.limits.format)

    def body(self, rows_to_send: EncodedRows) -> bytes:
        return rows.encode_body(rows_to_send, self._config, self._flow, self.limits.format)

    async def send(self, body: Body) -> Outcome:
        return await self._client.send(self._endpoint, body.content, body.rows)

    async def probe(self) -> Outcome:
        """Send a request without records."""
        return await self._client.send(self._endpoint, self.body(EncodedRows()), 0)


@asynccontextmanager
async def open_otlp(
    name: str, config: OtlpConfig, request_timeout_seconds: float
) -> AsyncIterator[Mapping[Flow, Destination]]:
    """Open the endpoints of the settings. Raises RelayError for headers or certificates that cannot be used."""
    flows: tuple[Flow, ...] = ("live",) if config.history_endpoint is None else ("live", "history")
    async with OtlpClient(name, config, request_timeout_seconds) as client:
        yield {flow: OtlpDestination(client, name, config, flow, request_timeout_seconds) for flow in flows}
