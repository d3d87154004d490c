"""One file of a spool directory as a destination."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import polars as pl

from consumer.destinations.contract import Body, Destination, Flow, Limits
from consumer.destinations.outcome import Outcome
from consumer.formats.encoded_rows import EncodedRows
from tests.contracts.file_destination import rows
from tests.contracts.file_destination.client import SpoolClient
from tests.contracts.file_destination.config import FileConfig


class FileDestination:
    """Appends to one file of the directory, and to those of organizations that have their own."""

    def __init__(self, client: SpoolClient, config: FileConfig, flow: Flow, timeout_seconds: float) -> None:
        file = f"{flow}.jsonl"
        self._client = client
        self._file = file
        self.limits = Limits(
            rows.BODY_FORMAT,
            request_timeout_seconds=timeout_seconds,
            linger_seconds=0.05,
            max_uncommitted=2_000,
            routes=config.by_organization if flow == "live" else {},
        )
        self.address = f"{config.directory}, file {file}"
        self.config_hint = "Check that the spool directory is not closed."

    def encode(self, events: pl.DataFrame) -> EncodedRows:
        return rows.encode_rows(events)

    def body(self, encoded: EncodedRows) -> bytes:
        return rows.BODY_FORMAT.framed(encoded)

    async def send(self, body: Body) -> Outcome:
        return await self._client.append(body.route or self._file, body.content)

    async def probe(self) -> Outcome:
        return await self._client.append(self._file, b"")


@asynccontextmanager
async def open_file(
    name: str, config: FileConfig, request_timeout_seconds: float
) -> AsyncIterator[Mapping[Flow, Destination]]:
    """Open both files of the directory."""
    client = SpoolClient(name, config, request_timeout_seconds)
    flows: tuple[Flow, ...] = ("live", "history")
    yield {flow: FileDestination(client, config, flow, request_timeout_seconds) for flow in flows}
