"""The indexes of one flow of a Splunk as a destination."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import polars as pl

from consumer.destinations.contract import Body, Destination, Flow, Limits
from consumer.destinations.outcome import Outcome
from consumer.destinations.splunk import rows
from consumer.destinations.splunk.acknowledgements import Acknowledgements, AcknowledgementTiming
from consumer.destinations.splunk.client import HecClient
from consumer.destinations.splunk.collector import Collector
from consumer.destinations.splunk.config import SplunkConfig
from consumer.formats.encoded_rows import EncodedRows
from consumer.formats.replay_mark import is_replayed
from relay.aio import cancel_all

IN_FLIGHT_BYTES = 16_000_000
UNACKNOWLEDGED_BYTES = 48_000_000
"""Bytes in flight with acknowledgement: of a flow with 10 events a second, the events of the two minutes that a quiet index takes."""


class SplunkDestination:
    """Sends one flow to its index, and events of some organizations to theirs; the flows share the client."""

    def __init__(
        self,
        client: HecClient,
        name: str,
        config: SplunkConfig,
        flow: Flow,
        timeout_seconds: float,
        timing: AcknowledgementTiming,
    ) -> None:
        live = flow == "live"
        self._index = config.index if live else config.history_index
        routes = config.by_organization if live else config.history_by_organization
        self.limits = Limits(
            rows.body_format(config.max_body_bytes),
            in_flight_bytes=max(
                UNACKNOWLEDGED_BYTES if config.acknowledge else IN_FLIGHT_BYTES,
                config.max_requests * config.max_body_bytes,
            ),
            in_flight_bodies=config.max_requests,
            request_timeout_seconds=timeout_seconds,
            routes=routes,
        )
        self.address = f"{config.endpoint}, index {self._index or 'of the token'} ({flow})"
        self.config_hint = f"Check that the collector takes JSON events at its event endpoint (destinations.{name}.endpoint)."
        envelope = rows.Envelope(config.source, config.sourcetype, self._index, routes, config.format)
        self._rows = {replayed: envelope.row(replayed=replayed) for replayed in (False, True)}
        self._format = config.format
        self._acknowledgements = (
            Acknowledgements(config.acknowledge_timeout_seconds, timing) if config.acknowledge else None
        )
        self._collector = Collector(
            client, name, config.max_requests, timeout_seconds, self._acknowledgements
        )
        self._polling: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def polling(self) -> AsyncIterator[None]:
        """Ask for acknowledgements, if they are wanted, within the context."""
        if self._acknowledgements is None:
            yield
            return
        polling = self._acknowledgements.run(self._collector.poll)
        self._polling = asyncio.create_task(polling, name=f"acknowledgements of {self.address}")
        try:
            yield
        finally:
            await cancel_all([self._polling])

    def encode(self, events: pl.DataFrame) -> EncodedRows:
        return rows.encode_rows(events, self._rows[is_replayed(events)], self.limits.format, self._format)

    def body(self, rows_to_send: EncodedRows) -> bytes:
        return rows.encode_body(rows_to_send, self.limits.format)

    async def send(self, body: Body) -> Outcome:
        if self._polling is not None and self._polling.done():
            self._polling.result()  # a defect, which the delivery names
        return await self._collector.send(body.content, body.rows, body.route or self._index)

    async def probe(self) -> Outcome:
        """Ask for the health of the collector, and send a blank event to each index, which stores nothing."""
        return await self._collector.probe([self._index, *self.limits.routes.values()])


@asynccontextmanager
async def open_splunk(
    name: str,
    config: SplunkConfig,
    request_timeout_seconds: float,
    timing: AcknowledgementTiming | None = None,
) -> AsyncIterator[Mapping[Flow, Destination]]:
    """Open the flows. Raises RelayError for a token or a certificate that cannot be used."""
    timing = timing or AcknowledgementTiming()
    names: list[Flow] = ["live"] if config.history_index is None else ["live", "history"]
    async with HecClient(name, config) as client, AsyncExitStack() as stack:
        flows = {
            flow: SplunkDestination(client, name, config, flow, request_timeout_seconds, timing)
            for flow in names
        }
        for each in flows.values():
            await stack.enter_async_context(each.polling())
        yield flows
