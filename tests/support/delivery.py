"""The sender of one assignment with a destination that answers as told."""

import asyncio
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from consumer.delivery.batch import Rows
from consumer.delivery.circuit_breaker import CircuitBreaker, RateLimit
from consumer.delivery.sender import Sender
from consumer.delivery.stream import DeliveryStream
from consumer.destinations.contract import BodyFormat, Limits
from consumer.destinations.outcome import Partial, Sent
from consumer.formats.encoded_rows import EncodedRows
from consumer.metrics import ConsumerMetrics
from consumer.offsets.delivered import DeliveryProgress
from consumer.offsets.tracker import OffsetTracker, TrackedRecords
from consumer.timing import Backoff, SenderTiming
from relay.kafka import TopicPartition
from relay.kafka.producer import TopicWriteError
from tests.support.messages import event, message

EVENTS = TopicPartition("events", 0)


LIMITS = Limits(BodyFormat(1_000_000, b"[", b",", b"]"))
QUICK = Backoff(0.01, 0.01)


class FakeDestination:
    """Answers as `answer` says; remembers the requests."""

    address = "fake.example"
    config_hint = "Check the fake."

    def __init__(self, answer=lambda _rows: Sent(), limits=LIMITS):
        self.answer = answer
        self.limits = limits
        self.held = {}
        """By row: an event that the answer to its body waits for."""
        self.requests = []
        self.accepted = []
        self.answering = asyncio.Event()
        self.answering.set()

    def body(self, encoded):
        return bytes(encoded.view)

    async def send(self, body):
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


class FakeDeadLetterWriter:
    def __init__(self, failures=0):
        self.put_records = []
        self.failures = failures

    async def put(self, record, reason, status=None):
        if self.failures:
            self.failures -= 1
            raise TopicWriteError("Kafka is away")
        self.put_records.append((record.offset, reason, status))


class SenderFixture:
    """The sender of one assignment, with the tracker of its offsets."""

    def __init__(self, destination, dead_letters=None, **timing):
        self.destination = destination
        self.dead_letters = dead_letters or FakeDeadLetterWriter()
        self.registry = CollectorRegistry()
        metrics = ConsumerMetrics(self.registry).for_pipeline("sentinel", "live")
        breaker = CircuitBreaker(RateLimit(), timing.pop("breaker", None), chance=lambda: 0.0)
        self.stream = DeliveryStream(
            destination, breaker, self.dead_letters, metrics, timing=SenderTiming(**timing)
        )
        self.tracker = OffsetTracker()
        self.tracker.start(EVENTS, DeliveryProgress.starting_at(0))
        self.sender = self.new_sender()
        self._next = 0

    def new_sender(self, membership_valid=None):
        async def wait_until_valid():
            if membership_valid is not None:
                await membership_valid.wait()

        return Sender(
            self.stream,
            self.tracker.mark_delivered,
            wait_until_valid,
        )

    def rows(self, count):
        first, self._next = self._next, self._next + count
        records = [message(event(number), offset=number) for number in range(first, self._next)]
        ((sequence, _),) = self.tracker.track(EVENTS, records)
        encoded = EncodedRows.of([b"%d" % record.offset for record in records], b",")
        return Rows(encoded, TrackedRecords(records, (sequence,)))

    @property
    def problem(self):
        return self.stream.state.problem or self.stream.breaker.problem

    def count(self, name, **labels):
        labels = {"destination": "sentinel", "flow": "live", **labels}
        return self.registry.get_sample_value(f"jira_relay_{name}_total", labels) or 0

    def committable(self):
        return self.tracker.progress({EVENTS: self._next})[EVENTS].offset


@asynccontextmanager
async def sender_fixture(destination, dead_letters=None, **timing):
    fixture = SenderFixture(destination, dead_letters, **timing)
    try:
        yield fixture
    finally:
        await fixture.sender.close(0)
        assert fixture.sender.defect is None
