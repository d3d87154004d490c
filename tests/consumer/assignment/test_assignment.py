"""Partitions that are taken away and come back, with a Kafka on paper that refuses commits when it is told to."""

import asyncio

import orjson
import pytest
from prometheus_client import CollectorRegistry

from consumer.assignment.assignment import Job
from consumer.assignment.handler import Forwarder
from consumer.assignment.start_offsets import Beginner, Mirror
from consumer.delivery.circuit_breaker import Gate, Throttle
from consumer.delivery.sender import Outlet
from consumer.destinations.outcome import Retry, Sent
from consumer.destinations.sentinel import rows as sentinel
from consumer.metrics import Metrics
from relay.kafka import KafkaError, OffsetAndMetadata, OffsetMetadataTooLargeError, TopicPartition
from tests.support.messages import KNOWN, event, message
from tests.support.pipeline_world import until

A, B = TopicPartition("events", 0), TopicPartition("events", 1)


class Paper:
    """What a group, its topic and a membership are (relay.kafka.positions.Positions)."""

    def __init__(self, count, committed=0):
        self.log = [message(event(number), offset=number) for number in range(count)]
        self.told = None if committed is None else OffsetAndMetadata(committed, "")
        self.at = 0
        self.paused = True
        self.unreliable = False
        self.refuses = False
        self.refused = 0
        self.most_metadata = 4096
        self.commits = []

    @property
    def group(self):
        return None if self.told is None else self.told.offset

    def seek(self, _partition, offset):
        self.at = offset

    def pause(self, _partitions):
        self.paused = True

    def resume(self, _partitions):
        self.paused = False

    async def renewed(self):
        pass

    def corrupt_batch(self, _partition):
        return None

    async def position(self, _partition):
        return self.at

    async def commit(self, offsets):
        if self.refuses:
            self.refused += 1
            raise KafkaError("the group has moved on")
        if any(len(each.metadata) > self.most_metadata for each in offsets.values()):
            raise OffsetMetadataTooLargeError
        if A not in offsets:
            return
        self.told = offsets[A]
        self.commits.append(self.group)

    async def committed(self, partitions):
        return dict.fromkeys(partitions, self.told)

    async def first_offsets(self, partitions):
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions):
        return dict.fromkeys(partitions, len(self.log))

    async def offsets_for_time(self, partitions, at_ms):
        found = next((record.offset for record in self.log if record.timestamp >= at_ms), None)
        return dict.fromkeys(partitions, found)

    def poll(self, count):
        records = [] if self.paused else self.log[self.at : self.at + count]
        self.at += len(records)
        return {A: records}


class Sink:
    def __init__(self):
        self.bodies = []
        self.accepted = []
        self.open = asyncio.Event()
        self.open.set()
        self.hangs = set()
        """Bodies with one of these rows are never answered."""

    def body(self, encoded):
        return list(encoded)

    async def send(self, body):
        self.bodies.append(len(body))
        await self.open.wait()
        rows = [orjson.loads(row)["EventId"] for row in body]
        if self.hangs & set(rows):
            await asyncio.Event().wait()
        self.accepted += rows
        return Sent()

    @property
    def rows(self):
        return sum(self.bodies)


class Known:
    async def known(self, _records):
        return KNOWN


def forwarder(kafka, sink, start="earliest"):
    async def no_mirror():
        return Mirror({}, 0)

    async def records_at(offsets):
        return {each: kafka.log[offset] for each, offset in offsets.items()}

    metrics = Metrics(CollectorRegistry()).of("sentinel", "live")
    outlet = Outlet(sink, Gate(Throttle()), None, metrics)
    beginner = Beginner(start, no_mirror, records_at, metrics)
    return Forwarder(Job(beginner, Known(), sentinel.rows, outlet, sentinel.LARGEST_BODY, 0.01))


async def assigned(one, kafka):
    one.assigned(kafka, {A})
    await until(lambda: one.ready)


async def test_what_was_accepted_is_not_sent_again_though_its_commit_was_refused():
    """Bodies in flight are answered while Kafka is away; the same process gets the partition back and knows it."""
    kafka, sink = Paper(30), Sink()
    one = forwarder(kafka, sink)
    await assigned(one, kafka)
    sink.open.clear()
    await one.records(kafka.poll(20))
    await until(lambda: sink.rows == 20)
    kafka.refuses = True
    sink.open.set()
    await one.revoked({A})
    assert kafka.group == 0

    kafka.refuses = False
    await assigned(one, kafka)
    assert kafka.group == 20
    assert kafka.at == 19  # the last record is read again, for the epoch of its leader
    await one.records(kafka.poll(11))
    await until(lambda: kafka.group == 30)
    await one.closed()
    assert sink.rows == 30


@pytest.mark.parametrize(("longest", "again"), [(4096, 0), (100, 60), (10, 80)])
async def test_another_consumer_sends_nothing_that_was_accepted_behind_a_body_that_waits(
    longest, again, monkeypatch
):
    """While the destination throttles, bodies overtake each other; what is accepted is told with the group's offset, as far as
    Kafka takes the text.
    """
    monkeypatch.setattr("consumer.assignment.handler.ANSWER_SECONDS", 0.05)
    monkeypatch.setattr("consumer.assignment.assignment.AGAIN_SECONDS", 0.01)
    kafka, sink = Paper(120), Sink()
    kafka.most_metadata = longest
    sink.hangs = {0, 30, 50, 51, 90}
    one = forwarder(kafka, sink)
    await assigned(one, kafka)
    for number in range(12):
        await one.records(kafka.poll(10))
        await until(lambda bodies=number + 1: len(sink.bodies) == bodies)
    await until(lambda: len(sink.accepted) == 80)
    await one.revoked({A})
    assert kafka.group == 0

    sink.hangs = set()
    another = forwarder(kafka, sink)
    await assigned(another, kafka)
    await another.records(kafka.poll(120))
    await until(lambda: kafka.group == 120)
    await another.closed()
    assert set(sink.accepted) == set(range(120))
    assert len(sink.accepted) - 120 == again


async def test_an_operator_who_sets_the_group_back_is_obeyed():
    kafka, sink = Paper(30), Sink()
    one = forwarder(kafka, sink)
    await assigned(one, kafka)
    await one.records(kafka.poll(30))
    await until(lambda: kafka.group == 30)
    await one.revoked({A})
    kafka.told = OffsetAndMetadata(10, "")

    await assigned(one, kafka)
    assert kafka.at == 10
    await one.records(kafka.poll(30))
    await until(lambda: kafka.group == 30)
    await one.closed()
    assert sink.rows == 50


async def test_a_first_beginning_is_committed_before_anything_is_read():
    """A start at the end that nobody noted down would be at another end after a crash, and what came between skipped."""
    kafka, sink = Paper(30, committed=None), Sink()
    one = forwarder(kafka, sink, "latest")
    kafka.refuses = True
    one.assigned(kafka, {A})
    await until(lambda: kafka.refused)
    assert not one.ready
    assert kafka.poll(1) == {A: []}
    kafka.refuses = False
    await until(lambda: one.ready)
    assert kafka.commits == [30]
    await one.closed()


async def test_what_is_settled_is_committed_also_where_reading_has_failed_in_the_middle():
    """By then the position may have passed records that nobody was given; what was accepted before is no less accepted."""
    kafka, sink = Paper(30), Sink()
    one = forwarder(kafka, sink)
    await assigned(one, kafka)
    kafka.refuses = True
    await one.records(kafka.poll(20))
    await until(lambda: len(sink.accepted) == 20)
    kafka.refuses, kafka.unreliable, kafka.at = False, True, 30
    await one.closed()
    assert kafka.group == 20


async def test_so_much_may_be_settled_and_not_committed_and_no_more(monkeypatch):
    """A Kafka that takes no commits, but gives records, is no reason to send what a kill would repeat."""
    monkeypatch.setattr("consumer.assignment.assignment.MOST_UNCOMMITTED", 10)
    monkeypatch.setattr("consumer.assignment.assignment.AGAIN_SECONDS", 0.05)
    kafka, sink = Paper(40), Sink()
    one = forwarder(kafka, sink)
    await assigned(one, kafka)
    kafka.refuses = True
    for _ in range(2):
        await one.records(kafka.poll(20))
        await until(lambda before=kafka.refused: kafka.refused > before + 2)
        assert sink.rows == 20
    kafka.refuses = False
    await until(lambda: sink.rows == 40 and kafka.group == 40)
    await one.closed()


async def test_what_comes_while_the_destination_is_away_is_sent_together():
    """An event a second for some hours, each a request of its own, would be more than Azure takes in a minute."""

    class Away(Sink):
        away = True

        async def send(self, body):
            return Retry("away", 503) if self.away else await super().send(body)

    kafka, sink = Paper(60), Away()
    one = forwarder(kafka, sink)
    await assigned(one, kafka)
    for _ in range(59):
        await one.records(kafka.poll(1))
        await asyncio.sleep(0.02)
    sink.away = False
    await until(lambda: kafka.group == 59)
    assert len(sink.bodies) <= 3
    await one.records(kafka.poll(1))
    await until(lambda: kafka.group == 60)
    await one.closed()
    assert sorted(sink.accepted) == list(range(60))


async def test_nothing_is_read_while_a_stop_waits_for_an_answer():
    """The membership goes on meanwhile: there may be hours to read, which nobody would send."""
    kafka, sink = Paper(1000), Sink()
    one = forwarder(kafka, sink)
    await assigned(one, kafka)
    sink.open.clear()
    await one.records(kafka.poll(20))
    await until(lambda: sink.rows == 20)
    stopping = asyncio.create_task(one.stop(10))
    await until(lambda: kafka.paused)
    for _ in range(5):
        await one.records(kafka.poll(20))
    assert kafka.at == 20
    sink.open.set()
    await stopping
    assert kafka.group == 20
    assert sink.rows == 20


async def test_a_partition_that_cannot_begin_holds_up_no_other(monkeypatch):
    """One has no leader: whoever asks for it with others is told of none."""
    monkeypatch.setattr("consumer.assignment.assignment.AGAIN_SECONDS", 0.02)
    leaderless = {B}

    class Led(Paper):
        async def first_offsets(self, partitions):
            if leaderless & set(partitions):
                raise TimeoutError("no leader")
            return await super().first_offsets(partitions)

    kafka, sink = Led(20), Sink()
    one = forwarder(kafka, sink)
    one.assigned(kafka, {A, B})
    await until(lambda: not kafka.paused)
    await one.records(kafka.poll(20))
    await until(lambda: kafka.group == 20)
    assert not one.ready
    assert "partition 1, cannot be looked up: no leader" in one.waits
    leaderless.clear()
    await until(lambda: one.ready)
    assert one.waits == "joining the group"
    await one.closed()


async def test_an_assignment_that_could_not_begin_can_be_ended():
    """A rebalance right behind another takes the partitions away before they are looked at; the next one is served."""
    gone, kafka, sink = Paper(10), Paper(10), Sink()
    one = forwarder(kafka, sink)
    gone.seek = _not_ours
    with pytest.raises(KafkaError):
        one.assigned(gone, {A})
    await one.closed()
    await assigned(one, kafka)
    await one.records(kafka.poll(10))
    await until(lambda: kafka.group == 10)
    await one.closed()


def _not_ours(partition, _offset):
    raise KafkaError(f"{partition} is not assigned")
