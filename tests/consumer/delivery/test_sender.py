import asyncio
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from consumer.delivery import sender
from consumer.delivery.batch import Rows
from consumer.delivery.circuit_breaker import CircuitBreaker, RateLimit
from consumer.delivery.sender import Sender, StreamState
from consumer.destinations.outcome import Paused, Reject, Retry, Sent, Split
from consumer.metrics import ConsumerMetrics
from consumer.offsets.delivered import DeliveryProgress
from consumer.offsets.tracker import OffsetTracker
from relay.kafka import TopicPartition
from relay.kafka.producer import TopicWriteError
from tests.support.messages import event, message
from tests.support.pipeline_world import wait_until

EVENTS = TopicPartition("events", 0)


class SentinelConfig:
    """Answers as `answer` says; remembers what was asked."""

    def __init__(self, answer=lambda _rows: Sent()):
        self.answer = answer
        self.requests = []
        self.accepted = []
        self.answering = asyncio.Event()
        self.answering.set()

    def body(self, encoded):
        return b",".join(encoded)

    async def send(self, body):
        rows = body.split(b",")
        self.requests.append(rows)
        await self.answering.wait()
        outcome = self.answer(rows)
        if outcome == Sent():
            self.accepted += rows
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
    """Deliveries of one assignment, with the offsets that they settle."""

    def __init__(self, destination, dead_letters=None):
        self.destination = destination
        self.dead_letters = dead_letters or FakeDeadLetterWriter()
        metrics = ConsumerMetrics(CollectorRegistry()).for_pipeline("sentinel", "live")
        self.stream = StreamState(
            destination, CircuitBreaker(RateLimit(), chance=lambda: 0.0), self.dead_letters, metrics
        )
        self.tracker = OffsetTracker()
        self.tracker.start(EVENTS, DeliveryProgress.starting_at(0))
        self.sender = self.new_sender()
        self._next = 0

    def new_sender(self, membership_valid=None):
        async def confirmed():
            if membership_valid is not None:
                await membership_valid.wait()

        return Sender(
            self.stream, lambda rows: self.tracker.mark_delivered(rows.sequences, rows.records), confirmed
        )

    def rows(self, count):
        first, self._next = self._next, self._next + count
        records = [message(event(number), offset=number) for number in range(first, self._next)]
        ((span, _),) = self.tracker.track(EVENTS, records)
        return Rows([b"%d" % record.offset for record in records], records, (span,))

    def committable(self):
        return self.tracker.progress({EVENTS: self._next})[EVENTS].offset


@asynccontextmanager
async def sender_fixture(destination, dead_letters=None):
    fixture = SenderFixture(destination, dead_letters)
    try:
        yield fixture
    finally:
        await fixture.sender.close(0)
        assert fixture.sender.defect is None


async def test_bodies_under_way_together_settle_in_any_order():
    first = asyncio.Event()
    destination = SentinelConfig()
    async with sender_fixture(destination) as there:
        there.sender.start(there.rows(3))
        there.sender.start(there.rows(2))
        assert there.sender.bytes > len("[0,1,2]") + len("[3,4]")
        assert await there.sender.wait_until_finished(5)
        assert there.committable() == 5
        assert there.sender.bytes == 0
        first.set()


async def test_what_passes_is_sent_again_until_it_is_accepted():
    answers = iter([Retry("busy", 429, after=0.0), Retry("reset"), Sent()])
    destination = SentinelConfig(lambda _rows: next(answers))
    async with sender_fixture(destination) as there:
        there.sender.start(there.rows(2))
        await wait_until(lambda: there.stream.problem is not None)
        assert there.committable() == 0
        assert await there.sender.wait_until_finished(10)
        assert destination.requests == [[b"0", b"1"]] * 3
        assert there.stream.problem is None


async def test_a_body_that_is_too_large_is_halved():
    destination = SentinelConfig(lambda rows: Sent() if len(rows) <= 2 else Split("413", 413))
    async with sender_fixture(destination) as there:
        there.sender.start(there.rows(7))
        assert await there.sender.wait_until_finished(5)
        assert sorted(destination.accepted) == [b"%d" % number for number in range(7)]
        assert there.dead_letters.put_records == []


async def test_a_dead_letter_counts_only_when_it_is_written():
    destination = SentinelConfig(lambda rows: Reject("400", 400) if b"1" in rows else Sent())
    async with sender_fixture(destination, FakeDeadLetterWriter(failures=1)) as there:
        there.sender.start(there.rows(3))
        await wait_until(lambda: there.dead_letters.failures == 0)
        assert there.committable() <= 1
        assert await there.sender.wait_until_finished(10)
        assert there.committable() == 3
        assert there.dead_letters.put_records == [(1, "400", 400)]


async def test_while_dead_letters_cannot_be_written_the_destination_says_so(monkeypatch):
    """A dead-letter topic to which we may not write holds its records up for as long as nobody knows of it."""
    monkeypatch.setattr(sender, "backoff_seconds", lambda *_args, **_rest: 0.01)
    async with sender_fixture(SentinelConfig(), FakeDeadLetterWriter(failures=10**9)) as there:
        there.sender.dead_letter(there.rows(1), ["not Avro"])
        await wait_until(lambda: there.stream.problem is not None)
        there.sender.start(there.rows(1))
        await wait_until(lambda: there.stream.accepted)
        assert isinstance(there.stream.problem, Paused)
        assert "Kafka is away" in there.stream.problem.reason
        there.dead_letters.failures = 0
        assert await there.sender.wait_until_finished(5)
        assert there.stream.problem is None


async def test_a_dead_letter_that_cannot_be_written_holds_no_other_body_up():
    destination = SentinelConfig(lambda rows: Reject("400", 400) if {b"1", b"5"} & set(rows) else Sent())
    async with sender_fixture(destination, FakeDeadLetterWriter(failures=10**9)) as there:
        there.sender.start(there.rows(3))
        await wait_until(lambda: there.stream.dead_letter_failures)
        there.sender.start(there.rows(4))
        await wait_until(lambda: len(destination.accepted) == 5)
        there.dead_letters.failures = 0
        assert await there.sender.wait_until_finished(10)
        assert sorted(there.dead_letters.put_records) == [(1, "400", 400), (5, "400", 400)]
        assert there.committable() == 7


async def test_dead_letters_that_somebody_else_has_to_write_now_are_no_trouble_of_ours():
    async with sender_fixture(SentinelConfig(), FakeDeadLetterWriter(failures=10**9)) as there:
        there.sender.dead_letter(there.rows(1), ["not Avro"])
        await wait_until(lambda: there.stream.problem is not None)
        await there.sender.close(5)
        assert there.stream.problem is None


@pytest.mark.parametrize("end", ["accepted", "closed"])
async def test_a_stream_that_refuses_everything_is_in_trouble_until_it_accepts(end, monkeypatch):
    """Also while it is tried again, or the status would tell every half minute that all is well."""
    monkeypatch.setattr(sender, "backoff_seconds", lambda *_args, **_rest: 0.01)
    refuses = True
    destination = SentinelConfig(lambda _rows: Reject("no column fits", 400) if refuses else Sent())
    async with sender_fixture(destination) as there:
        there.sender.start(there.rows(50))
        await wait_until(lambda: there.stream.problem is not None)
        for _ in range(100):
            destination.answering.clear()
            asked = len(destination.requests)
            await wait_until(lambda asked=asked: len(destination.requests) > asked)
            assert isinstance(there.stream.problem, Paused)
            assert "no column fits" in there.stream.problem.reason
            destination.answering.set()
        refuses = False
        if end == "accepted":
            assert await there.sender.wait_until_finished(5)
            assert there.committable() == 50
        else:
            await there.sender.close(0)
        assert there.stream.problem is None


async def test_however_many_bodies_are_refused_they_try_again_no_more_often(monkeypatch):
    """An event a second, for hours in which nothing is accepted: to try again is one body's turn, and then another's."""
    monkeypatch.setattr(sender, "backoff_seconds", lambda *_args, **_rest: 0.05)
    refuses = True
    destination = SentinelConfig(lambda _rows: Reject("400", 400) if refuses else Sent())
    async with sender_fixture(destination) as there:
        for _ in range(50):
            there.sender.start(there.rows(1))
        await wait_until(lambda: len(there.stream.suspected_config_fault) == 50)
        asked = len(destination.requests)
        await asyncio.sleep(2)
        assert 5 < len(destination.requests) - asked < 200
        refuses = False
        assert await there.sender.wait_until_finished(1)


async def test_once_something_is_accepted_no_body_waits_for_the_turn_of_another(monkeypatch):
    """Of those before it each may be refused for ever."""
    monkeypatch.setattr(sender, "backoff_seconds", lambda *_args, **_rest: 0.5)
    bad = {b"%d" % number for number in range(9)}
    destination = SentinelConfig(lambda rows: Reject("400", 400) if bad & set(rows) else Sent())
    async with sender_fixture(destination) as there:
        for number in range(9):
            there.sender.start(there.rows(1))
            await wait_until(lambda doubts=number + 1: len(there.stream.suspected_config_fault) == doubts)
        bad.remove(b"8")
        there.sender.start(there.rows(1))
        await wait_until(lambda: destination.accepted == [b"9", b"8"], seconds=2)


async def test_unreadable_records_become_dead_letters_of_their_own():
    async with sender_fixture(SentinelConfig()) as there:
        there.sender.dead_letter(there.rows(2), ["not Avro", "too short"])
        assert await there.sender.wait_until_finished(5)
        assert there.dead_letters.put_records == [(0, "not Avro", None), (1, "too short", None)]
        assert there.committable() == 2


async def test_many_dead_letters_are_written_together_and_each_until_it_is():
    async with sender_fixture(SentinelConfig(), FakeDeadLetterWriter(failures=70)) as there:
        there.sender.dead_letter(there.rows(350), ["not Avro"] * 350)
        assert await there.sender.wait_until_finished(10)
        assert sorted(offset for offset, *_ in there.dead_letters.put_records) == list(range(350))
        assert there.committable() == 350


async def test_after_the_end_no_request_starts_and_an_answer_still_counts():
    destination = SentinelConfig()
    destination.answering.clear()
    async with sender_fixture(destination) as there:
        there.sender.start(there.rows(2))
        await wait_until(lambda: destination.requests)
        there.sender.stop_accepting()
        there.sender.start(there.rows(2))
        closing = asyncio.create_task(there.sender.close(5))
        await asyncio.sleep(0.05)
        destination.answering.set()
        await closing

        assert destination.requests == [[b"0", b"1"]]
        assert there.committable() == 2


async def test_after_the_end_nothing_is_tried_again():
    destination = SentinelConfig(lambda _rows: Retry("busy", 429))
    destination.answering.clear()
    async with sender_fixture(destination) as there:
        there.sender.start(there.rows(2))
        await wait_until(lambda: destination.requests)
        there.sender.stop_accepting()
        destination.answering.set()
        await there.sender.close(5)
        assert len(destination.requests) == 1
        assert there.committable() == 0


async def test_what_waits_ends_at_once_and_what_is_asked_ends_in_time():
    destination = SentinelConfig(lambda _rows: Paused("no role", 403))
    async with sender_fixture(destination) as there:
        there.sender.start(there.rows(1))
        await wait_until(lambda: isinstance(there.stream.problem, Paused))
        destination.answering.clear()
        async with asyncio.timeout(2):
            await there.sender.close(60)
        assert there.committable() == 0


async def test_the_place_of_a_probe_that_was_given_up_is_taken_by_the_next_assignment():
    answers = iter([Retry("busy", 429, after=0.0)])
    destination = SentinelConfig(lambda _rows: next(answers, Sent()))
    async with sender_fixture(destination) as there:
        there.sender.start(there.rows(1))
        await wait_until(lambda: there.stream.problem)
        destination.answering.clear()
        await wait_until(lambda: len(destination.requests) == 2)
        await there.sender.close(0)
        destination.answering.set()
        later = there.new_sender()
        later.start(there.rows(1))
        assert await later.wait_until_finished(5)
        assert destination.accepted == [b"1"]


async def test_room_is_waited_for():
    destination = SentinelConfig()
    destination.answering.clear()
    async with sender_fixture(destination) as there:
        there.sender.start(there.rows(5))
        waiting = asyncio.create_task(there.sender.wait_for_capacity(5))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        destination.answering.set()
        async with asyncio.timeout(5):
            await waiting


async def test_a_defect_is_noticed():
    class Broken(SentinelConfig):
        def body(self, encoded):
            raise KeyError(encoded[0])

    there = SenderFixture(Broken())
    there.sender.start(there.rows(1))
    await there.sender.wait_until_finished(5)
    assert isinstance(there.sender.defect, KeyError)
    assert there.committable() == 0


@pytest.mark.parametrize("bad", [False, True], ids=["request", "dead letter"])
async def test_nothing_is_sent_while_the_partitions_may_be_somebody_elses(bad):
    """Whoever wakes up after a freeze waits for the group's word before the next request; to end does not need it."""
    destination = SentinelConfig()
    async with sender_fixture(destination) as there:
        ours = asyncio.Event()
        for confirmed in (True, False):
            deliveries = there.new_sender(ours)
            rows = there.rows(1)
            if bad:
                deliveries.dead_letter(rows, ["unreadable"])
            else:
                deliveries.start(rows)
            assert not await deliveries.wait_until_finished(0.05)
            assert (destination.requests, there.dead_letters.put_records) == ([], [])
            if confirmed:
                ours.set()
                assert await deliveries.wait_until_finished(5)
                assert len(destination.accepted) + len(there.dead_letters.put_records) == 1
                destination.requests, there.dead_letters.put_records = [], []
                ours.clear()
            else:
                await deliveries.close(5)
                assert (destination.requests, there.dead_letters.put_records) == ([], [])
