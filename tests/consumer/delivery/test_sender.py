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


class FakeDestination:
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
    """The sender of one assignment, with the tracker of its offsets."""

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
        async def wait_until_valid():
            if membership_valid is not None:
                await membership_valid.wait()

        return Sender(
            self.stream,
            lambda rows: self.tracker.mark_delivered(rows.sequences, rows.records),
            wait_until_valid,
        )

    def rows(self, count):
        first, self._next = self._next, self._next + count
        records = [message(event(number), offset=number) for number in range(first, self._next)]
        ((sequence, _),) = self.tracker.track(EVENTS, records)
        return Rows([b"%d" % record.offset for record in records], records, (sequence,))

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


async def test_bodies_in_flight_together_are_delivered_in_any_order():
    first = asyncio.Event()
    destination = FakeDestination()
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(3))
        fixture.sender.start(fixture.rows(2))
        assert fixture.sender.bytes > len("[0,1,2]") + len("[3,4]")
        assert await fixture.sender.wait_until_finished(5)
        assert fixture.committable() == 5
        assert fixture.sender.bytes == 0
        first.set()


async def test_what_fails_transiently_is_sent_again_until_it_is_accepted():
    answers = iter([Retry("busy", 429, after=0.0), Retry("reset"), Sent()])
    destination = FakeDestination(lambda _rows: next(answers))
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(2))
        await wait_until(lambda: fixture.stream.problem is not None)
        assert fixture.committable() == 0
        assert await fixture.sender.wait_until_finished(10)
        assert destination.requests == [[b"0", b"1"]] * 3
        assert fixture.stream.problem is None


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


async def test_while_dead_letters_cannot_be_written_the_destination_says_so(monkeypatch):
    """A dead-letter topic to which we may not write holds its records up for as long as nobody knows of it."""
    monkeypatch.setattr(sender, "backoff_seconds", lambda *_args, **_rest: 0.01)
    async with sender_fixture(FakeDestination(), FakeDeadLetterWriter(failures=10**9)) as fixture:
        fixture.sender.dead_letter(fixture.rows(1), ["not Avro"])
        await wait_until(lambda: fixture.stream.problem is not None)
        fixture.sender.start(fixture.rows(1))
        await wait_until(lambda: fixture.stream.accepted)
        assert isinstance(fixture.stream.problem, Paused)
        assert "Kafka is away" in fixture.stream.problem.reason
        fixture.dead_letters.failures = 0
        assert await fixture.sender.wait_until_finished(5)
        assert fixture.stream.problem is None


async def test_a_dead_letter_that_cannot_be_written_holds_no_other_body_up():
    destination = FakeDestination(lambda rows: Reject("400", 400) if {b"1", b"5"} & set(rows) else Sent())
    async with sender_fixture(destination, FakeDeadLetterWriter(failures=10**9)) as fixture:
        fixture.sender.start(fixture.rows(3))
        await wait_until(lambda: fixture.stream.dead_letter_failures)
        fixture.sender.start(fixture.rows(4))
        await wait_until(lambda: len(destination.accepted) == 5)
        fixture.dead_letters.failures = 0
        assert await fixture.sender.wait_until_finished(10)
        assert sorted(fixture.dead_letters.put_records) == [(1, "400", 400), (5, "400", 400)]
        assert fixture.committable() == 7


async def test_dead_letters_that_somebody_else_has_to_write_now_are_no_problem_of_ours():
    async with sender_fixture(FakeDestination(), FakeDeadLetterWriter(failures=10**9)) as fixture:
        fixture.sender.dead_letter(fixture.rows(1), ["not Avro"])
        await wait_until(lambda: fixture.stream.problem is not None)
        await fixture.sender.close(5)
        assert fixture.stream.problem is None


@pytest.mark.parametrize("end", ["accepted", "closed"])
async def test_a_stream_that_refuses_everything_has_a_problem_until_it_accepts(end, monkeypatch):
    """Also while it is tried again, or the status would tell every half minute that all is well."""
    monkeypatch.setattr(sender, "backoff_seconds", lambda *_args, **_rest: 0.01)
    refuses = True
    destination = FakeDestination(lambda _rows: Reject("no column fits", 400) if refuses else Sent())
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(50))
        await wait_until(lambda: fixture.stream.problem is not None)
        for _ in range(100):
            destination.answering.clear()
            requests_before = len(destination.requests)
            await wait_until(
                lambda requests_before=requests_before: len(destination.requests) > requests_before
            )
            assert isinstance(fixture.stream.problem, Paused)
            assert "no column fits" in fixture.stream.problem.reason
            destination.answering.set()
        refuses = False
        if end == "accepted":
            assert await fixture.sender.wait_until_finished(5)
            assert fixture.committable() == 50
        else:
            await fixture.sender.close(0)
        assert fixture.stream.problem is None


async def test_however_many_bodies_are_refused_they_try_again_no_more_often(monkeypatch):
    """An event a second, for hours in which nothing is accepted: to try again is one body's turn, and then another's."""
    monkeypatch.setattr(sender, "backoff_seconds", lambda *_args, **_rest: 0.05)
    refuses = True
    destination = FakeDestination(lambda _rows: Reject("400", 400) if refuses else Sent())
    async with sender_fixture(destination) as fixture:
        for _ in range(50):
            fixture.sender.start(fixture.rows(1))
        await wait_until(lambda: len(fixture.stream.suspected_config_fault) == 50)
        requests_before = len(destination.requests)
        await asyncio.sleep(2)
        assert 5 < len(destination.requests) - requests_before < 200
        refuses = False
        assert await fixture.sender.wait_until_finished(1)


async def test_once_something_is_accepted_no_body_waits_for_the_turn_of_another(monkeypatch):
    """Of those before it each may be refused for ever."""
    monkeypatch.setattr(sender, "backoff_seconds", lambda *_args, **_rest: 0.5)
    bad = {b"%d" % number for number in range(9)}
    destination = FakeDestination(lambda rows: Reject("400", 400) if bad & set(rows) else Sent())
    async with sender_fixture(destination) as fixture:
        for number in range(9):
            fixture.sender.start(fixture.rows(1))
            await wait_until(lambda doubts=number + 1: len(fixture.stream.suspected_config_fault) == doubts)
        bad.remove(b"8")
        fixture.sender.start(fixture.rows(1))
        await wait_until(lambda: destination.accepted == [b"9", b"8"], seconds=2)


async def test_unreadable_records_become_dead_letters_of_their_own():
    async with sender_fixture(FakeDestination()) as fixture:
        fixture.sender.dead_letter(fixture.rows(2), ["not Avro", "too short"])
        assert await fixture.sender.wait_until_finished(5)
        assert fixture.dead_letters.put_records == [(0, "not Avro", None), (1, "too short", None)]
        assert fixture.committable() == 2


async def test_many_dead_letters_are_written_together_and_each_until_it_is():
    async with sender_fixture(FakeDestination(), FakeDeadLetterWriter(failures=70)) as fixture:
        fixture.sender.dead_letter(fixture.rows(350), ["not Avro"] * 350)
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
        await wait_until(lambda: isinstance(fixture.stream.problem, Paused))
        destination.answering.clear()
        async with asyncio.timeout(2):
            await fixture.sender.close(60)
        assert fixture.committable() == 0


async def test_the_permit_of_a_probe_that_was_given_up_is_taken_by_the_next_assignment():
    answers = iter([Retry("busy", 429, after=0.0)])
    destination = FakeDestination(lambda _rows: next(answers, Sent()))
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(1))
        await wait_until(lambda: fixture.stream.problem)
        destination.answering.clear()
        await wait_until(lambda: len(destination.requests) == 2)
        await fixture.sender.close(0)
        destination.answering.set()
        later = fixture.new_sender()
        later.start(fixture.rows(1))
        assert await later.wait_until_finished(5)
        assert destination.accepted == [b"1"]


async def test_capacity_is_waited_for():
    destination = FakeDestination()
    destination.answering.clear()
    async with sender_fixture(destination) as fixture:
        fixture.sender.start(fixture.rows(5))
        waiting = asyncio.create_task(fixture.sender.wait_for_capacity(5))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        destination.answering.set()
        async with asyncio.timeout(5):
            await waiting


async def test_a_defect_is_reported():
    class Broken(FakeDestination):
        def body(self, encoded):
            raise KeyError(encoded[0])

    fixture = SenderFixture(Broken())
    fixture.sender.start(fixture.rows(1))
    await fixture.sender.wait_until_finished(5)
    assert isinstance(fixture.sender.defect, KeyError)
    assert fixture.committable() == 0


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
                later.dead_letter(rows, ["unreadable"])
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
