import asyncio
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from consumer.delivery import sender
from consumer.delivery.batch import Rows
from consumer.delivery.circuit_breaker import Gate, Throttle
from consumer.delivery.sender import Deliveries, Outlet
from consumer.destinations.outcome import Paused, Reject, Retry, Sent, Split
from consumer.metrics import Metrics
from consumer.offsets.delivered import Progress
from consumer.offsets.tracker import Offsets
from relay.kafka import TopicPartition
from relay.kafka.producer import TopicWriteError
from tests.support.messages import event, message
from tests.support.pipeline_world import until

EVENTS = TopicPartition("events", 0)


class Destination:
    """Answers as `answer` says; remembers what was asked."""

    def __init__(self, answer=lambda _rows: Sent()):
        self.answer = answer
        self.requests = []
        self.accepted = []
        self.held = asyncio.Event()
        self.held.set()

    def body(self, encoded):
        return b",".join(encoded)

    async def send(self, body):
        rows = body.split(b",")
        self.requests.append(rows)
        await self.held.wait()
        outcome = self.answer(rows)
        if outcome == Sent():
            self.accepted += rows
        return outcome


class Letters:
    def __init__(self, failures=0):
        self.put_records = []
        self.failures = failures

    async def put(self, record, reason, status=None):
        if self.failures:
            self.failures -= 1
            raise TopicWriteError("Kafka is away")
        self.put_records.append((record.offset, reason, status))


class Flow:
    """Deliveries of one assignment, with the offsets that they settle."""

    def __init__(self, destination, letters=None):
        self.destination = destination
        self.letters = letters or Letters()
        metrics = Metrics(CollectorRegistry()).of("sentinel", "live")
        self.outlet = Outlet(destination, Gate(Throttle(), chance=lambda: 0.0), self.letters, metrics)
        self.offsets = Offsets()
        self.offsets.begin(EVENTS, Progress.at(0))
        self.deliveries = self.another()
        self._next = 0

    def another(self, ours=None):
        async def confirmed():
            if ours is not None:
                await ours.wait()

        return Deliveries(self.outlet, lambda rows: self.offsets.settle(rows.spans, rows.records), confirmed)

    def rows(self, count):
        first, self._next = self._next, self._next + count
        records = [message(event(number), offset=number) for number in range(first, self._next)]
        ((span, _),) = self.offsets.hand_out(EVENTS, records)
        return Rows([b"%d" % record.offset for record in records], records, (span,))

    def committable(self):
        return self.offsets.progress({EVENTS: self._next})[EVENTS].offset


@asynccontextmanager
async def flow(destination, letters=None):
    there = Flow(destination, letters)
    try:
        yield there
    finally:
        await there.deliveries.close(0)
        assert there.deliveries.failure is None


async def test_bodies_under_way_together_settle_in_any_order():
    first = asyncio.Event()
    destination = Destination()
    async with flow(destination) as there:
        there.deliveries.start(there.rows(3))
        there.deliveries.start(there.rows(2))
        assert there.deliveries.bytes > len("[0,1,2]") + len("[3,4]")
        assert await there.deliveries.finished(5)
        assert there.committable() == 5
        assert there.deliveries.bytes == 0
        first.set()


async def test_what_passes_is_sent_again_until_it_is_accepted():
    answers = iter([Retry("busy", 429, after=0.0), Retry("reset"), Sent()])
    destination = Destination(lambda _rows: next(answers))
    async with flow(destination) as there:
        there.deliveries.start(there.rows(2))
        await until(lambda: there.outlet.trouble is not None)
        assert there.committable() == 0
        assert await there.deliveries.finished(10)
        assert destination.requests == [[b"0", b"1"]] * 3
        assert there.outlet.trouble is None


async def test_a_body_that_is_too_large_is_halved():
    destination = Destination(lambda rows: Sent() if len(rows) <= 2 else Split("413", 413))
    async with flow(destination) as there:
        there.deliveries.start(there.rows(7))
        assert await there.deliveries.finished(5)
        assert sorted(destination.accepted) == [b"%d" % number for number in range(7)]
        assert there.letters.put_records == []


async def test_a_dead_letter_counts_only_when_it_is_written():
    destination = Destination(lambda rows: Reject("400", 400) if b"1" in rows else Sent())
    async with flow(destination, Letters(failures=1)) as there:
        there.deliveries.start(there.rows(3))
        await until(lambda: there.letters.failures == 0)
        assert there.committable() <= 1
        assert await there.deliveries.finished(10)
        assert there.committable() == 3
        assert there.letters.put_records == [(1, "400", 400)]


async def test_while_dead_letters_cannot_be_written_the_destination_says_so(monkeypatch):
    """A dead-letter topic to which we may not write holds its records up for as long as nobody knows of it."""
    monkeypatch.setattr(sender, "backoff_seconds", lambda *_args, **_rest: 0.01)
    async with flow(Destination(), Letters(failures=10**9)) as there:
        there.deliveries.bury(there.rows(1), ["not Avro"])
        await until(lambda: there.outlet.trouble is not None)
        there.deliveries.start(there.rows(1))
        await until(lambda: there.outlet.accepted)
        assert isinstance(there.outlet.trouble, Paused)
        assert "Kafka is away" in there.outlet.trouble.reason
        there.letters.failures = 0
        assert await there.deliveries.finished(5)
        assert there.outlet.trouble is None


async def test_a_dead_letter_that_cannot_be_written_holds_no_other_body_up():
    destination = Destination(lambda rows: Reject("400", 400) if {b"1", b"5"} & set(rows) else Sent())
    async with flow(destination, Letters(failures=10**9)) as there:
        there.deliveries.start(there.rows(3))
        await until(lambda: there.outlet.unwritten)
        there.deliveries.start(there.rows(4))
        await until(lambda: len(destination.accepted) == 5)
        there.letters.failures = 0
        assert await there.deliveries.finished(10)
        assert sorted(there.letters.put_records) == [(1, "400", 400), (5, "400", 400)]
        assert there.committable() == 7


async def test_dead_letters_that_somebody_else_has_to_write_now_are_no_trouble_of_ours():
    async with flow(Destination(), Letters(failures=10**9)) as there:
        there.deliveries.bury(there.rows(1), ["not Avro"])
        await until(lambda: there.outlet.trouble is not None)
        await there.deliveries.close(5)
        assert there.outlet.trouble is None


@pytest.mark.parametrize("end", ["accepted", "closed"])
async def test_a_stream_that_refuses_everything_is_in_trouble_until_it_accepts(end, monkeypatch):
    """Also while it is tried again, or the status would tell every half minute that all is well."""
    monkeypatch.setattr(sender, "backoff_seconds", lambda *_args, **_rest: 0.01)
    refuses = True
    destination = Destination(lambda _rows: Reject("no column fits", 400) if refuses else Sent())
    async with flow(destination) as there:
        there.deliveries.start(there.rows(50))
        await until(lambda: there.outlet.trouble is not None)
        for _ in range(100):
            destination.held.clear()
            asked = len(destination.requests)
            await until(lambda asked=asked: len(destination.requests) > asked)
            assert isinstance(there.outlet.trouble, Paused)
            assert "no column fits" in there.outlet.trouble.reason
            destination.held.set()
        refuses = False
        if end == "accepted":
            assert await there.deliveries.finished(5)
            assert there.committable() == 50
        else:
            await there.deliveries.close(0)
        assert there.outlet.trouble is None


async def test_however_many_bodies_are_refused_they_try_again_no_more_often(monkeypatch):
    """An event a second, for hours in which nothing is accepted: to try again is one body's turn, and then another's."""
    monkeypatch.setattr(sender, "backoff_seconds", lambda *_args, **_rest: 0.05)
    refuses = True
    destination = Destination(lambda _rows: Reject("400", 400) if refuses else Sent())
    async with flow(destination) as there:
        for _ in range(50):
            there.deliveries.start(there.rows(1))
        await until(lambda: len(there.outlet.doubts) == 50)
        asked = len(destination.requests)
        await asyncio.sleep(2)
        assert 5 < len(destination.requests) - asked < 200
        refuses = False
        assert await there.deliveries.finished(1)


async def test_once_something_is_accepted_no_body_waits_for_the_turn_of_another(monkeypatch):
    """Of those before it each may be refused for ever."""
    monkeypatch.setattr(sender, "backoff_seconds", lambda *_args, **_rest: 0.5)
    bad = {b"%d" % number for number in range(9)}
    destination = Destination(lambda rows: Reject("400", 400) if bad & set(rows) else Sent())
    async with flow(destination) as there:
        for number in range(9):
            there.deliveries.start(there.rows(1))
            await until(lambda doubts=number + 1: len(there.outlet.doubts) == doubts)
        bad.remove(b"8")
        there.deliveries.start(there.rows(1))
        await until(lambda: destination.accepted == [b"9", b"8"], seconds=2)


async def test_unreadable_records_become_dead_letters_of_their_own():
    async with flow(Destination()) as there:
        there.deliveries.bury(there.rows(2), ["not Avro", "too short"])
        assert await there.deliveries.finished(5)
        assert there.letters.put_records == [(0, "not Avro", None), (1, "too short", None)]
        assert there.committable() == 2


async def test_many_dead_letters_are_written_together_and_each_until_it_is():
    async with flow(Destination(), Letters(failures=70)) as there:
        there.deliveries.bury(there.rows(350), ["not Avro"] * 350)
        assert await there.deliveries.finished(10)
        assert sorted(offset for offset, *_ in there.letters.put_records) == list(range(350))
        assert there.committable() == 350


async def test_after_the_end_no_request_starts_and_an_answer_still_counts():
    destination = Destination()
    destination.held.clear()
    async with flow(destination) as there:
        there.deliveries.start(there.rows(2))
        await until(lambda: destination.requests)
        there.deliveries.start_no_more()
        there.deliveries.start(there.rows(2))
        closing = asyncio.create_task(there.deliveries.close(5))
        await asyncio.sleep(0.05)
        destination.held.set()
        await closing

        assert destination.requests == [[b"0", b"1"]]
        assert there.committable() == 2


async def test_after_the_end_nothing_is_tried_again():
    destination = Destination(lambda _rows: Retry("busy", 429))
    destination.held.clear()
    async with flow(destination) as there:
        there.deliveries.start(there.rows(2))
        await until(lambda: destination.requests)
        there.deliveries.start_no_more()
        destination.held.set()
        await there.deliveries.close(5)
        assert len(destination.requests) == 1
        assert there.committable() == 0


async def test_what_waits_ends_at_once_and_what_is_asked_ends_in_time():
    destination = Destination(lambda _rows: Paused("no role", 403))
    async with flow(destination) as there:
        there.deliveries.start(there.rows(1))
        await until(lambda: isinstance(there.outlet.trouble, Paused))
        destination.held.clear()
        async with asyncio.timeout(2):
            await there.deliveries.close(60)
        assert there.committable() == 0


async def test_the_place_of_a_probe_that_was_given_up_is_taken_by_the_next_assignment():
    answers = iter([Retry("busy", 429, after=0.0)])
    destination = Destination(lambda _rows: next(answers, Sent()))
    async with flow(destination) as there:
        there.deliveries.start(there.rows(1))
        await until(lambda: there.outlet.trouble)
        destination.held.clear()
        await until(lambda: len(destination.requests) == 2)
        await there.deliveries.close(0)
        destination.held.set()
        later = there.another()
        later.start(there.rows(1))
        assert await later.finished(5)
        assert destination.accepted == [b"1"]


async def test_room_is_waited_for():
    destination = Destination()
    destination.held.clear()
    async with flow(destination) as there:
        there.deliveries.start(there.rows(5))
        waiting = asyncio.create_task(there.deliveries.room(5))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        destination.held.set()
        async with asyncio.timeout(5):
            await waiting


async def test_a_defect_is_noticed():
    class Broken(Destination):
        def body(self, encoded):
            raise KeyError(encoded[0])

    there = Flow(Broken())
    there.deliveries.start(there.rows(1))
    await there.deliveries.finished(5)
    assert isinstance(there.deliveries.failure, KeyError)
    assert there.committable() == 0


@pytest.mark.parametrize("bad", [False, True], ids=["request", "dead letter"])
async def test_nothing_is_sent_while_the_partitions_may_be_somebody_elses(bad):
    """Whoever wakes up after a freeze waits for the group's word before the next request; to end does not need it."""
    destination = Destination()
    async with flow(destination) as there:
        ours = asyncio.Event()
        for confirmed in (True, False):
            deliveries = there.another(ours)
            rows = there.rows(1)
            if bad:
                deliveries.bury(rows, ["unreadable"])
            else:
                deliveries.start(rows)
            assert not await deliveries.finished(0.05)
            assert (destination.requests, there.letters.put_records) == ([], [])
            if confirmed:
                ours.set()
                assert await deliveries.finished(5)
                assert len(destination.accepted) + len(there.letters.put_records) == 1
                destination.requests, there.letters.put_records = [], []
                ours.clear()
            else:
                await deliveries.close(5)
                assert (destination.requests, there.letters.put_records) == ([], [])
