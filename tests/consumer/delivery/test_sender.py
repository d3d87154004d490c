import asyncio
import zlib
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from consumer.delivery.batch import Rows
from consumer.delivery.circuit_breaker import CircuitBreaker, RateLimit
from consumer.delivery.sender import Sender
from consumer.delivery.stream import DeliveryStream
from consumer.destinations.contract import BodyFormat, Limits, OffsetRange
from consumer.destinations.outcome import Partial, Paused, Reject, Retry, Sent, Split
from consumer.formats.encoded_rows import EncodedRows
from consumer.metrics import ConsumerMetrics
from consumer.offsets.delivered import DeliveryProgress
from consumer.offsets.tracker import OffsetTracker, TrackedRecords
from consumer.timing import Backoff, BreakerTiming, SenderTiming
from relay.kafka import TopicPartition
from relay.kafka.producer import TopicWriteError
from tests.support.messages import event, message
from tests.support.pipeline_world import wait_until

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


async def test_bodies_in_flight_together_are_delivered_in_any_order():
    """The second body is answered while the first is not: nothing is committable until the first one is."""
    destination = FakeDestination()
    destination.held[b"0"] = asyncio.Event()
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(3))
        fixture.sender.start(fixture.rows(2))
        assert fixture.sender.bytes > len("[0,1,2]") + len("[3,4]")
        await wait_until(lambda: destination.accepted == [b"3", b"4"])
        await wait_until(lambda: fixture.tracker.delivered_count() == 2)
        assert fixture.committable() == 0
        destination.held[b"0"].set()
        assert await fixture.sender.wait_until_finished(5)
        assert destination.accepted == [b"3", b"4", b"0", b"1", b"2"]
        assert fixture.committable() == 5
        assert fixture.sender.bytes == 0


async def test_what_fails_transiently_is_sent_again_until_it_is_accepted():
    answers = iter([Retry("busy", 429, after=0.0), Retry("reset"), Sent()])
    destination = FakeDestination(lambda _rows: next(answers))
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(2))
        await wait_until(lambda: fixture.problem is not None)
        assert fixture.committable() == 0
        assert await fixture.sender.wait_until_finished(10)
        assert destination.requests == [[b"0", b"1"]] * 3
        assert fixture.problem is None


async def test_a_body_that_is_too_large_is_halved():
    destination = FakeDestination(lambda rows: Sent() if len(rows) <= 2 else Split("413", 413))
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(7))
        assert await fixture.sender.wait_until_finished(5)
        assert sorted(destination.accepted) == [b"%d" % number for number in range(7)]
        assert fixture.dead_letters.put_records == []


async def test_a_dead_letter_counts_only_when_it_is_written():
    destination = FakeDestination(lambda rows: Reject("400", 400) if b"1" in rows else Sent())
    async with sender_fixture(destination, FakeDeadLetterWriter(failures=1)) as fixture:
        fixture.sender.start(fixture.rows(3))
        await wait_until(lambda: fixture.dead_letters.failures == 0)
        assert fixture.committable() <= 1
        assert await fixture.sender.wait_until_finished(10)
        assert fixture.committable() == 3
        assert fixture.dead_letters.put_records == [(1, "400", 400)]


async def test_while_dead_letters_cannot_be_written_the_destination_says_so():
    """A dead-letter topic that rejects writes holds up its records until an operator knows of it."""
    writer = FakeDeadLetterWriter(failures=10**9)
    async with sender_fixture(FakeDestination(), writer, dead_letter=QUICK) as fixture:
        fixture.sender.dead_letter(fixture.rows(1).tracked, ["not Avro"])
        await wait_until(lambda: fixture.problem is not None)
        fixture.sender.start(fixture.rows(1))
        await wait_until(lambda: fixture.stream.state.accepted)
        assert isinstance(fixture.problem, Paused)
        assert "Kafka is away" in fixture.problem.reason
        fixture.dead_letters.failures = 0
        assert await fixture.sender.wait_until_finished(5)
        assert fixture.problem is None


async def test_a_dead_letter_that_cannot_be_written_holds_no_other_body_up():
    destination = FakeDestination(lambda rows: Reject("400", 400) if {b"1", b"5"} & set(rows) else Sent())
    async with sender_fixture(destination, FakeDeadLetterWriter(failures=10**9)) as fixture:
        fixture.sender.start(fixture.rows(3))
        await wait_until(lambda: fixture.problem)
        fixture.sender.start(fixture.rows(4))
        await wait_until(lambda: len(destination.accepted) == 5)
        fixture.dead_letters.failures = 0
        assert await fixture.sender.wait_until_finished(10)
        assert sorted(fixture.dead_letters.put_records) == [(1, "400", 400), (5, "400", 400)]
        assert fixture.committable() == 7


async def test_dead_letters_that_somebody_else_has_to_write_now_are_no_problem_of_ours():
    async with sender_fixture(FakeDestination(), FakeDeadLetterWriter(failures=10**9)) as fixture:
        fixture.sender.dead_letter(fixture.rows(1).tracked, ["not Avro"])
        await wait_until(lambda: fixture.problem is not None)
        await fixture.sender.close(5)
        assert fixture.problem is None


@pytest.mark.parametrize("end", ["accepted", "closed"])
async def test_a_stream_that_refuses_everything_has_a_problem_until_it_accepts(end):
    """Also while it is tried again, or the status would tell every half minute that all is well."""
    refuses = True
    destination = FakeDestination(lambda _rows: Reject("no column fits", 400) if refuses else Sent())
    async with sender_fixture(destination, rejection=QUICK) as fixture:
        fixture.sender.start(fixture.rows(50))
        await wait_until(lambda: fixture.problem is not None)
        for _ in range(100):
            destination.answering.clear()
            requests_before = len(destination.requests)
            await wait_until(
                lambda requests_before=requests_before: len(destination.requests) > requests_before
            )
            assert isinstance(fixture.problem, Paused)
            assert "no column fits" in fixture.problem.reason
            destination.answering.set()
        refuses = False
        if end == "accepted":
            assert await fixture.sender.wait_until_finished(5)
            assert fixture.committable() == 50
        else:
            await fixture.sender.close(0)
        assert fixture.problem is None


async def test_however_many_bodies_are_refused_they_try_again_no_more_often():
    """An event a second, for hours in which nothing is accepted: to try again is one body's turn, and then another's."""
    refuses = True
    destination = FakeDestination(lambda _rows: Reject("400", 400) if refuses else Sent())
    async with sender_fixture(destination, rejection=Backoff(0.05, 0.05)) as fixture:
        for _ in range(50):
            fixture.sender.start(fixture.rows(1))
        await wait_until(lambda: len(fixture.stream.state._suspected) == 50)
        requests_before = len(destination.requests)
        await asyncio.sleep(2)
        assert 5 < len(destination.requests) - requests_before < 200
        refuses = False
        assert await fixture.sender.wait_until_finished(1)


async def test_once_something_is_accepted_no_body_waits_for_the_turn_of_another():
    """Of those before it each may be refused for ever."""
    bad = {b"%d" % number for number in range(9)}
    destination = FakeDestination(lambda rows: Reject("400", 400) if bad & set(rows) else Sent())
    async with sender_fixture(destination, rejection=Backoff(0.5, 0.5)) as fixture:
        for number in range(9):
            fixture.sender.start(fixture.rows(1))
            await wait_until(lambda doubts=number + 1: len(fixture.stream.state._suspected) == doubts)
        bad.remove(b"8")
        fixture.sender.start(fixture.rows(1))
        await wait_until(lambda: destination.accepted == [b"9", b"8"], seconds=2)


async def test_unreadable_records_become_dead_letters_of_their_own():
    async with sender_fixture(FakeDestination()) as fixture:
        fixture.sender.dead_letter(fixture.rows(2).tracked, ["not Avro", "too short"])
        assert await fixture.sender.wait_until_finished(5)
        assert fixture.dead_letters.put_records == [(0, "not Avro", None), (1, "too short", None)]
        assert fixture.committable() == 2


async def test_many_dead_letters_are_written_together_and_each_until_it_is():
    async with sender_fixture(FakeDestination(), FakeDeadLetterWriter(failures=70)) as fixture:
        fixture.sender.dead_letter(fixture.rows(350).tracked, ["not Avro"] * 350)
        assert await fixture.sender.wait_until_finished(10)
        assert sorted(offset for offset, *_ in fixture.dead_letters.put_records) == list(range(350))
        assert fixture.committable() == 350


async def test_after_the_end_no_request_starts_and_an_answer_still_counts():
    destination = FakeDestination()
    destination.answering.clear()
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(2))
        await wait_until(lambda: destination.requests)
        fixture.sender.stop_accepting()
        fixture.sender.start(fixture.rows(2))
        closing = asyncio.create_task(fixture.sender.close(5))
        await asyncio.sleep(0.05)
        destination.answering.set()
        await closing

        assert destination.requests == [[b"0", b"1"]]
        assert fixture.committable() == 2


async def test_after_the_end_nothing_is_tried_again():
    destination = FakeDestination(lambda _rows: Retry("busy", 429))
    destination.answering.clear()
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(2))
        await wait_until(lambda: destination.requests)
        fixture.sender.stop_accepting()
        destination.answering.set()
        await fixture.sender.close(5)
        assert len(destination.requests) == 1
        assert fixture.committable() == 0


async def test_what_waits_ends_at_once_and_what_is_asked_ends_in_time():
    destination = FakeDestination(lambda _rows: Paused("no role", 403))
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(1))
        await wait_until(lambda: isinstance(fixture.problem, Paused))
        destination.answering.clear()
        async with asyncio.timeout(2):
            await fixture.sender.close(60)
        assert fixture.committable() == 0


async def test_the_permit_of_a_probe_that_was_given_up_is_taken_by_the_next_assignment():
    answers = iter([Retry("busy", 429, after=0.0)])
    destination = FakeDestination(lambda _rows: next(answers, Sent()))
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(1))
        await wait_until(lambda: fixture.problem)
        destination.answering.clear()
        await wait_until(lambda: len(destination.requests) == 2)
        await fixture.sender.close(0)
        destination.answering.set()
        later = fixture.new_sender()
        later.start(fixture.rows(1))
        assert await later.wait_until_finished(5)
        assert destination.accepted == [b"1"]


@pytest.mark.parametrize(
    "limits",
    [
        Limits(LIMITS.format, in_flight_bytes=5),
        Limits(LIMITS.format, in_flight_bodies=1),
    ],
    ids=["bytes", "bodies"],
)
async def test_capacity_is_waited_for(limits):
    destination = FakeDestination(limits=limits)
    destination.answering.clear()
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(5))
        waiting = asyncio.create_task(fixture.sender.wait_for_capacity())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        destination.answering.set()
        async with asyncio.timeout(5):
            await waiting


@pytest.mark.parametrize("step", ["body", "send"])
async def test_a_defect_is_named_and_tried_again(step):
    """An exception out of a destination's code ends no membership, drops no row, and is over when the code works."""

    class Broken(FakeDestination):
        broken = True

        def body(self, encoded):
            if self.broken and step == "body":
                raise KeyError("made up")
            return super().body(encoded)

        async def send(self, body):
            if self.broken and step == "send":
                raise zlib.error("made up")
            return await super().send(body)

    destination = Broken()
    timing = {"defect": QUICK, "breaker": BreakerTiming(QUICK, QUICK)}
    async with sender_fixture(destination, **timing) as fixture:
        fixture.sender.start(fixture.rows(2))
        name = {"body": "KeyError", "send": "error: made up"}[step]
        await wait_until(lambda: fixture.problem is not None and name in fixture.problem.reason)
        assert fixture.sender.defect is None
        destination.broken = False
        assert await fixture.sender.wait_until_finished(5)
        assert fixture.problem is None
        assert destination.accepted == [b"0", b"1"]


async def test_a_request_that_does_not_end_is_given_up():
    """The contract says that `send` ends within its timeout; the sender does not rely on it."""
    destination = FakeDestination(limits=Limits(LIMITS.format, request_timeout_seconds=0.05))
    destination.answering.clear()
    timing = {"request_grace_seconds": 0.05, "breaker": BreakerTiming(QUICK, QUICK)}
    async with sender_fixture(destination, **timing) as fixture:
        fixture.sender.start(fixture.rows(1))
        await wait_until(lambda: len(destination.requests) > 1)
        destination.answering.set()
        assert await fixture.sender.wait_until_finished(5)


async def test_a_cancellation_from_within_a_client_is_no_end_of_the_delivery():
    """A library that cancels its own call must not look like a revocation."""

    class Cancelling(FakeDestination):
        async def send(self, body):
            if not self.requests:
                self.requests.append([])
                raise asyncio.CancelledError
            return await super().send(body)

    async with sender_fixture(Cancelling(), breaker=BreakerTiming(QUICK, QUICK)) as fixture:
        fixture.sender.start(fixture.rows(1))
        assert await fixture.sender.wait_until_finished(5)
        assert fixture.committable() == 1


class ByRow(FakeDestination):
    """Judges each row: rejects some for ever, wants others again a few times, accepts the rest."""

    def __init__(self, bad=(), throttled=(), times=1):
        super().__init__(self.judge)
        self.bad, self.throttled, self.times = set(bad), set(throttled), times
        self.outcomes = []

    def judge(self, rows):
        rejected = {index: f"bad {row!r}" for index, row in enumerate(rows) if row in self.bad}
        again = (
            {index for index, row in enumerate(rows) if row in self.throttled} if self.times > 0 else set()
        )
        self.times -= bool(again)
        outcome = Partial(rejected, frozenset(again), 0.0, 200) if rejected or again else Sent()
        self.outcomes.append(outcome)
        return outcome


async def test_rows_to_retry_go_on_alone_and_keep_their_offsets():
    """Accepted rows are never sent again, and the offset of a row to retry holds the commit back until it is accepted."""
    destination = ByRow(throttled=[b"1", b"4"], times=2)
    slow = BreakerTiming(Backoff(0.2, 0.2), QUICK)
    async with sender_fixture(destination, breaker=slow) as fixture:
        fixture.sender.start(fixture.rows(6))
        await wait_until(lambda: fixture.tracker.delivered_count() == 4)
        assert fixture.committable() == 1
        assert isinstance(fixture.problem, Retry)
        assert await fixture.sender.wait_until_finished(5)
        assert destination.requests == [[b"%d" % n for n in range(6)], [b"1", b"4"], [b"1", b"4"]]
        assert sorted(destination.accepted) == [b"%d" % n for n in range(6)]
        assert fixture.committable() == 6
        assert fixture.count("events_accepted") == 6
        assert fixture.count("destination_retries", why="retry") == 2


async def test_a_rejected_row_with_a_witness_in_its_answer_is_a_dead_letter_at_once():
    destination = ByRow(bad=[b"500"])
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(1000))
        assert await fixture.sender.wait_until_finished(5)
        assert fixture.dead_letters.put_records == [(500, "bad b'500'", 200)]
        assert len(destination.requests) == 1
        assert fixture.committable() == 1000
        assert (fixture.count("events_accepted"), fixture.count("events_dead_lettered", why="refused")) == (
            999,
            1,
        )


@pytest.mark.parametrize("throttled", [[], [b"2"]], ids=["all rejected", "rejected and retried"])
async def test_without_a_witness_no_row_becomes_a_dead_letter(throttled):
    """Every row of the answer is rejected: the configuration may be wrong, so the rows wait for other evidence."""
    destination = ByRow(bad=[b"0", b"1"], throttled=throttled, times=10**9)
    quick = {"breaker": BreakerTiming(QUICK, QUICK), "rejection": QUICK}
    async with sender_fixture(destination, **quick) as fixture:
        fixture.sender.start(fixture.rows(2 + len(throttled)))
        await wait_until(lambda: isinstance(fixture.problem, Paused))
        await wait_until(lambda: len(destination.requests) > 10)
        assert "bad" in fixture.problem.reason
        assert fixture.dead_letters.put_records == []
        destination.throttled = set()
        for _ in range(8):
            fixture.sender.start(fixture.rows(1))
            await asyncio.sleep(0.05)
        assert await fixture.sender.wait_until_finished(10)
        assert sorted(offset for offset, *_ in fixture.dead_letters.put_records) == [0, 1]


async def test_an_answer_about_rows_that_were_not_sent_is_no_answer():
    answers = iter([Partial({7: "bad"}), Partial({0: "bad"}, frozenset({0}))])
    destination = FakeDestination(lambda _rows: next(answers, Sent()))
    async with sender_fixture(destination, breaker=BreakerTiming(QUICK, QUICK)) as fixture:
        fixture.sender.start(fixture.rows(2))
        assert await fixture.sender.wait_until_finished(5)
        assert len(destination.requests) == 3
        assert fixture.dead_letters.put_records == []
        assert fixture.committable() == 2


async def test_a_body_knows_its_offsets():
    """Names and ids of a destination are made of them, and are the same on every try."""
    bodies = []

    class Naming(FakeDestination):
        async def send(self, body):
            bodies.append(body)
            return Retry("again") if len(bodies) == 1 else Sent()

    async with sender_fixture(Naming(), breaker=BreakerTiming(QUICK, QUICK)) as fixture:
        fixture.rows(3)
        fixture.sender.start(fixture.rows(4))
        assert await fixture.sender.wait_until_finished(5)
        assert bodies[0] == bodies[1]
        assert bodies[0].offsets == (OffsetRange("events", 0, 3, 6),)
        assert (bodies[0].rows, bodies[0].raw_bytes) == (4, len("[3,4,5,6]"))


@pytest.mark.parametrize("bad", [False, True], ids=["request", "dead letter"])
async def test_nothing_is_sent_while_the_partitions_may_be_somebody_elses(bad):
    """Whoever wakes up after a freeze waits for the group's word before the next request; to end does not need it."""
    destination = FakeDestination()
    async with sender_fixture(destination) as fixture:
        membership_valid = asyncio.Event()
        for confirmed in (True, False):
            later = fixture.new_sender(membership_valid)
            rows = fixture.rows(1)
            if bad:
                later.dead_letter(rows.tracked, ["unreadable"])
            else:
                later.start(rows)
            assert not await later.wait_until_finished(0.05)
            assert (destination.requests, fixture.dead_letters.put_records) == ([], [])
            if confirmed:
                membership_valid.set()
                assert await later.wait_until_finished(5)
                assert len(destination.accepted) + len(fixture.dead_letters.put_records) == 1
                destination.requests, fixture.dead_letters.put_records = [], []
                membership_valid.clear()
            else:
                await later.close(5)
                assert (destination.requests, fixture.dead_letters.put_records) == ([], [])
