"""Partitions that are taken away and come back, with a Kafka on paper that refuses commits when it is told to."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from consumer.assignment import Job
from consumer.beginning import Beginner, Mirror
from consumer.delivery import Outlet
from consumer.destinations import sentinel
from consumer.forwarder import Forwarder
from consumer.gate import Gate, Throttle
from consumer.outcomes import Sent
from consumer.telemetry import Metrics
from relay.kafka import KafkaError, TopicPartition
from tests.consumer.messages import KNOWN, event, message
from tests.consumer.world import until

A = TopicPartition("events", 0)


class Paper:
    """What a group, its topic and a membership are (relay.kafka.positions.Positions)."""

    def __init__(self, count, committed=0):
        self.log = [message(event(number), offset=number) for number in range(count)]
        self.group = committed
        self.at = 0
        self.paused = True
        self.spoilt = False
        self.refuses = False
        self.refused = 0
        self.commits = []

    def seek(self, _partition, offset):
        self.at = offset

    def pause(self, _partitions):
        self.paused = True

    def resume(self, _partitions):
        self.paused = False

    async def confirmed(self):
        pass

    async def position(self, _partition):
        return self.at

    async def commit(self, offsets):
        if self.refuses:
            self.refused += 1
            raise KafkaError("the group has moved on")
        self.group = offsets[A]
        self.commits.append(offsets[A])

    async def committed(self, _partition):
        return self.group

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
        self.open = asyncio.Event()
        self.open.set()

    def body(self, encoded):
        return list(encoded)

    async def send(self, body):
        self.bodies.append(len(body))
        await self.open.wait()
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
    assert kafka.at == kafka.group == 20
    await one.records(kafka.poll(10))
    await until(lambda: kafka.group == 30)
    await one.closed()
    assert sink.rows == 30


async def test_an_operator_who_sets_the_group_back_is_obeyed():
    kafka, sink = Paper(30), Sink()
    one = forwarder(kafka, sink)
    await assigned(one, kafka)
    await one.records(kafka.poll(30))
    await until(lambda: kafka.group == 30)
    await one.revoked({A})
    kafka.group = 10

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


async def test_so_much_may_be_settled_and_not_committed_and_no_more(monkeypatch):
    """A Kafka that takes no commits, but gives records, is no reason to send what a kill would repeat."""
    monkeypatch.setattr("consumer.assignment.MOST_UNCOMMITTED", 10)
    monkeypatch.setattr("consumer.assignment.AGAIN_SECONDS", 0.05)
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
