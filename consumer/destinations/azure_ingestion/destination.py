"""One stream of a data collection rule as a destination."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import polars as pl

from consumer.destinations.azure_ingestion.body import BODY_FORMAT, encode_body
from consumer.destinations.azure_ingestion.client import IngestionClient
from consumer.destinations.azure_ingestion.config import IngestionSettings
from consumer.destinations.contract import Body, Destination, Flow, Limits
from consumer.destinations.outcome import Outcome
from consumer.formats.encoded_rows import EncodedRows

EncodeRows = Callable[[pl.DataFrame], EncodedRows]
"""Write one JSON object an event, as `Destination.encode` says; no value above `MAX_VALUE_BYTES` bytes."""


class IngestionDestination:
    """Sends to one stream of a rule; the streams of a rule share the client."""

    def __init__(
        self,
        client: IngestionClient,
        config: IngestionSettings,
        stream: str,
        encode_rows: EncodeRows,
        timeout_seconds: float,
    ) -> None:
        self._client = client
        self._stream = stream
        self._encode_rows = encode_rows
        self.limits = Limits(BODY_FORMAT, request_timeout_seconds=timeout_seconds)
        self.address = f"{config.endpoint}, rule {config.rule_id}, stream {stream}"
        self.config_hint = "Check that the rule's stream, transform and table match the relay's columns (redeploy deploy/azure)."

    def encode(self, events: pl.DataFrame) -> EncodedRows:
        return self._encode_rows(events)

    def body(self, rows_to_send: EncodedRows) -> bytes:
        return encode_body(rows_to_send)

    async def send(self, body: Body) -> Outcome:
        return await self._client.send(self._stream, body.content)

    async def probe(self) -> Outcome:
        """Send an array without rows, which the API accepts from those who may send rows."""
        return await self._client.send(self._stream, encode_body(EncodedRows()))


@asynccontextmanager
async def open_streams(
    name: str, config: IngestionSettings, request_timeout_seconds: float, encode_rows: EncodeRows
) -> AsyncIterator[Mapping[Flow, Destination]]:
    """Open both streams of the rule. Raises RelayError for an endpoint that is not Azure Monitor's."""
    async with IngestionClient(name, config, request_timeout_seconds) as client:
        streams: dict[Flow, str] = {"live": config.stream, "history": config.history_stream}
        yield {
            flow: IngestionDestination(client, config, stream, encode_rows, request_timeout_seconds)
            for flow, stream in streams.items()
        }
