"""A destination that writes Sentinel's rows and remembers its bodies."""

import asyncio

import orjson

from consumer.destinations.contract import Limits
from consumer.destinations.outcome import Sent
from consumer.destinations.sentinel import rows as sentinel


class FakeDestination:
    address = "fake.example"
    config_hint = "Check the fake."

    def __init__(self, **limits):
        self.limits = Limits(sentinel.BODY_FORMAT, **limits)
        self.sent = []
        """Every body, in the order of the requests."""
        self.bodies = []
        self.accepted = []
        self.answering = asyncio.Event()
        self.answering.set()
        self.unanswered = set()
        """Bodies with one of these rows are never answered."""

    def encode(self, events):
        return sentinel.encode_rows(events)

    def body(self, encoded):
        return sentinel.BODY_FORMAT.framed(encoded)

    async def send(self, body):
        self.sent.append(body)
        self.bodies.append(body.rows)
        await self.answering.wait()
        rows = [row["EventId"] for row in orjson.loads(body.content)]
        if self.unanswered & set(rows):
            await asyncio.Event().wait()
        self.accepted += rows
        return Sent()

    @property
    def rows(self):
        return sum(self.bodies)
