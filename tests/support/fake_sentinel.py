"""A destination that writes Sentinel's rows and remembers its bodies."""

import asyncio
from typing import Any

import orjson
import polars as pl

from consumer.destinations.azure_ingestion.body import BODY_FORMAT
from consumer.destinations.contract import Body, Limits
from consumer.destinations.outcome import Outcome, Sent
from consumer.destinations.sentinel import rows as sentinel
from consumer.formats.encoded_rows import EncodedRows


class FakeSentinel:
    """Accepts every body it answers."""

    address = "fake.example"
    config_hint = "Check the fake."

    def __init__(self, **limits: Any) -> None:
        self.limits = Limits(BODY_FORMAT, **limits)
        self.sent: list[Body] = []
        """Every body, in the order of the requests."""
        self.bodies: list[int] = []
        """The number of rows of each."""
        self.accepted: list[int] = []
        """The id of each accepted event."""
        self.answering = asyncio.Event()
        self.answering.set()
        self.unanswered: set[int] = set()
        """Bodies with one of these events are never answered."""

    def encode(self, events: pl.DataFrame) -> EncodedRows:
        return sentinel.encode_rows(events)

    def body(self, rows: EncodedRows) -> bytes:
        return BODY_FORMAT.framed(rows)

    async def send(self, body: Body) -> Outcome:
        self.sent.append(body)
        self.bodies.append(body.rows)
        await self.answering.wait()
        rows = [row["EventId"] for row in orjson.loads(body.content)]
        if self.unanswered & set(rows):
            await asyncio.Event().wait()
        self.accepted += rows
        return Sent()

    async def probe(self) -> Outcome:
        return Sent()

    @property
    def rows(self) -> int:
        return sum(self.bodies)
