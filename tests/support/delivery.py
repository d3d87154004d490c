"""The sender of one assignment with a destination that answers as told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import polars as pl
from prometheus_client import CollectorRegistry

from consumer.delivery.batch import Rows
from consumer.delivery.circuit_breaker import RateLimit
from consumer.delivery.dead_letters import DeadLetterWriter
from consumer.delivery.flow import DeliveryFlow
from consumer.delivery.route_states import RouteStates
from consumer.delivery.sender import Sender
from consumer.destinations.contract import Body, BodyFormat, Limits
from consumer.destinations.outcome import Outcome, Partial, Paused, Retry, Sent
from consumer.formats.encoded_rows import EncodedRows
from consumer.metrics import ConsumerMetrics
from consumer.offsets.delivered import DeliveryProgress
from consumer.offsets.tracker import OffsetTracker, TrackedRecords
from consumer.timing import BackoffCurve, SenderTiming
from relay.aio import Signal
from relay.kafka import TopicPartition
from tests.support.dead_letters import FakeDeadLetterWriter
from tests.support.messages import event, message

EVENTS = TopicPartition("events", 0)


LIMITS = Limits(BodyFormat(1_000_000, b"[", b",", b"]"))
QUICK = BackoffCurve(0.01, 0.01)

Answer = Callable[[list[bytes]], Outcome]


class FakeDestination:
    """Answers as `answer` says; remembers the requests."""

    address = "fake.example"
    config_hint = "Check the fake."

    def __init__(self, answer: Answer = lambda _rows: Sent(), limits: Limits = LIMITS) -> None:
        self.answer = answer
        self.limits = limits
        self.held: dict[bytes, asyncio.Event] = {}
        """By row: an event that the answer to its body waits for."""
        self.requests: list[list[bytes]] = []
        self.accepted: list[bytes] = []
        self.answering = asyncio.Event()
        self.answering.set()

    def encode(self, events: pl.DataFrame) -> EncodedRows:
        raise NotImplementedError

    async def probe(self) -> Outcome:
        return Sent()

    def body(self, rows: EncodedRows) -> bytes:
        return bytes(rows.view)

    async def send(self, body: Body) -> Outcome:
        rows = body.content.split(b",")
        self.requests.append(rows)
        for row in rows:
            if row in self.held:
                await self.held[row].wait()
        await self.answering.wait()
        outcome = self.answer(rows)
        if outcome == Sent():
            self.accepted += rows
        if isinstance(outcome, Partial):
            named = outcome.rejected.keys() | outcome.retry
            self.accepted += [row for index, row in enumerate(rows) if index not in named]
        return outcome


class SenderFixture:
    """The sender of one assignment, with the tracker of its offsets."""

    def __init__(
        self, destination: FakeDestination, dead_letters: FakeDeadLetterWriter | None = None, **timing: Any
    ) -> None:
        self.destination = destination
        self.dead_letters = dead_letters or FakeDeadLetterWriter()
        self.registry = CollectorRegistry()
        metrics = ConsumerMetrics(self.registry).for_pipeline("sentinel", "live")
        routes = RouteStates(
            RateLimit(), timing.pop("breaker", None), destination.limits.routes, jitter=lambda: 0.0
        )
        self.flow = DeliveryFlow(
            destination,
            routes,
            cast("DeadLetterWriter", self.dead_letters),
            metrics,
            timing=SenderTiming(**timing),
        )
        self.tracker = OffsetTracker()
        self.tracker.start(EVENTS, DeliveryProgress.starting_at(0))
        self.sender = self.new_sender()
        self._next = 0

    def new_sender(self, membership_valid: asyncio.Event | None = None) -> Sender:
        """Return the sender of another assignment, which sends while `membership_valid` is set; None: always."""

        async def wait_until_valid() -> None:
            if membership_valid is not None:
                await membership_valid.wait()

        return Sender(
            self.flow,
            self.tracker.mark_delivered,
            wait_until_valid,
            Signal(),
        )

    def rows(self, count: int) -> Rows:
        """Return the next `count` rows: the offsets as text."""
        first, self._next = self._next, self._next + count
        records: list[Any] = [message(event(number), offset=number) for number in range(first, self._next)]
        ((sequence, _),) = self.tracker.track(EVENTS, records)
        encoded = EncodedRows.of([b"%d" % record.offset for record in records], b",")
        return Rows(encoded, TrackedRecords(records, (sequence,)))

    @property
    def problem(self) -> Retry | Paused | None:
        return self.flow.problem

    def count(self, name: str, **labels: str) -> float:
        """Return a counter."""
        labels = {"destination": "sentinel", "flow": "live", **labels}
        found = self.registry.get_sample_value(f"jira_relay_consumer_{name}_total", labels)
        assert found is not None, f"{name} has no series {labels}; each begins at 0"
        return found

    def committable(self) -> int:
        """Return the offset before which every record is delivered."""
        return self.tracker.progress({EVENTS: self._next})[EVENTS].offset


@asynccontextmanager
async def sender_fixture(
    destination: FakeDestination, dead_letters: FakeDeadLetterWriter | None = None, **timing: Any
) -> AsyncIterator[SenderFixture]:
    """Run a sender, whose own code must not fail. `timing`: fields of SenderTiming, and `breaker`."""
    fixture = SenderFixture(destination, dead_letters, **timing)
    try:
        yield fixture
    finally:
        await fixture.sender.close(0)
        assert fixture.sender.defect is None


async def feed_until(fixture: SenderFixture, condition: Callable[[], bool], count: int = 1) -> None:
    """Send `count` further rows again and again until a condition holds: each acceptance may be evidence for a rejected row.

    How many it takes depends on which attempts of the rejected rows fall between them.
    """
    async with asyncio.timeout(60):
        while not condition():
            await fixture.sender.wait_for_capacity()
            fixture.sender.start(fixture.rows(count))
            await asyncio.sleep(0.05)
