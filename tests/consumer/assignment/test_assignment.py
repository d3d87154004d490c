"""Partitions that are taken away and come back, with a Kafka on paper that refuses commits when it is told to."""

import asyncio

import orjson
import pytest
from prometheus_client import CollectorRegistry

from consumer.assignment.assignment import Pipeline
from consumer.assignment.handler import AssignmentHandler
from consumer.assignment.start_offsets import StartOffsetResolver
from consumer.delivery.circuit_breaker import CircuitBreaker, RateLimit
from consumer.delivery.sender import StreamState
from consumer.destinations.outcome import Retry, Sent
from consumer.destinations.sentinel import rows as sentinel
from consumer.metrics import ConsumerMetrics
from consumer.offsets.backup import OffsetBackup
from relay.kafka import KafkaError, OffsetAndMetadata, OffsetMetadataTooLargeError, TopicPartition
from tests.support.messages import WRITER_SCHEMAS, event, message
from tests.support.pipeline_world import wait_until

A, B = TopicPartition("events", 0), TopicPartition("events", 1)


class FakeGroup:
    """What a group, its topic and a membership are (relay.kafka.positions.Positions)."""

    def __init__(self, count, committed=0):
        self.log = [message(event(number), offset=number) for number in range(count)]
        self.stored = None if committed is None else OffsetAndMetadata(committed, "")
        self.next_offset = 0
        self.paused = True
        self.unreliable = False
        self.refuses_commits = False
        self.refused_commits = 0
        self.max_metadata = 4096
        self.commits = []

    @property
    def committed_offset(self):
        return None if self.stored is None else self.stored.offset

    def seek(self, _partition, offset):
        self.next_offset = offset

    def pause(self, _partitions):
        self.paused = True

    def resume(self, _partitions):
        self.paused = False

    async def renewed(self):
        pass

    def corrupt_batch(self, _partition):
        return None

    async def position(self, _partition):
        return self.next_offset

    async def commit(self, offsets):
        if self.refuses_commits:
            self.refused_commits += 1
            raise KafkaError("the group has moved on")
        if any(len(each.metadata) > self.max_metadata for each in offsets.values()):
            raise OffsetMetadataTooLargeError
        if A not in offsets:
            return
        self.stored = offsets[A]
        self.commits.append(self.committed_offset)

    async def committed(self, partitions):
        return dict.fromkeys(partitions, self.stored)

    async def first_offsets(self, partitions):
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions):
        return dict.fromkeys(partitions, len(self.log))

    async def offsets_for_time(self, partitions, at_ms):
        found = next((record.offset for record in self.log if record.timestamp >= at_ms), None)
        return dict.fromkeys(partitions, found)

    def poll(self, count):
        records = [] if self.paused else self.log[self.next_offset : self.next_offset + count]
        self.next_offset += len(records)
        return {A: records}


class FakeDestination:
    def __init__(self):
        self.bodies = []
        self.accepted = []
        self.answering = asyncio.Event()
        self.answering.set()
        self.unanswered = set()
        """Bodies with one of these rows are never answered."""

    def body(self, encoded):
        return list(encoded)

    async def send(self, body):
        self.bodies.append(len(body))
        await self.answering.wait()
        rows = [orjson.loads(row)["EventId"] for row in body]
        if self.unanswered & set(rows):
            await asyncio.Event().wait()
        self.accepted += rows
        return Sent()

    @property
    def rows(self):
        return sum(self.bodies)


class FakeSchemaLookup:
    async def schemas_for(self, _records):
        return WRITER_SCHEMAS


def handler(kafka, destination, start="earliest"):
    async def no_backup():
        return OffsetBackup({}, 0)

    async def records_at(offsets):
        return {each: kafka.log[offset] for each, offset in offsets.items()}

    metrics = ConsumerMetrics(CollectorRegistry()).for_pipeline("sentinel", "live")
    stream = StreamState(destination, CircuitBreaker(RateLimit()), None, metrics)
    resolver = StartOffsetResolver(start, no_backup, records_at, metrics)
    return AssignmentHandler(
        Pipeline(resolver, FakeSchemaLookup(), sentinel.encode_rows, stream, sentinel.MAX_BODY_BYTES, 0.01)
    )


async def assign(handler, kafka):
    handler.assigned(kafka, {A})
    await wait_until(lambda: handler.ready)


async def test_what_was_accepted_is_not_sent_again_though_its_commit_was_refused():
    """Bodies in flight are answered while Kafka is away; the same process gets the partition back and knows it."""
    kafka, destination = FakeGroup(30), FakeDestination()
    one = handler(kafka, destination)
    await assign(one, kafka)
    destination.answering.clear()
    await one.records(kafka.poll(20))
    await wait_until(lambda: destination.rows == 20)
    kafka.refuses_commits = True
    destination.answering.set()
    await one.revoked({A})
    assert kafka.committed_offset == 0

    kafka.refuses_commits = False
    await assign(one, kafka)
    assert kafka.committed_offset == 20
    assert kafka.next_offset == 19  # the last record is read again, for the epoch of its leader
    await one.records(kafka.poll(11))
    await wait_until(lambda: kafka.committed_offset == 30)
    await one.closed()
    assert destination.rows == 30


@pytest.mark.parametrize(("max_metadata", "resent"), [(4096, 0), (100, 60), (10, 80)])
async def test_another_consumer_sends_nothing_that_was_accepted_behind_a_body_that_waits(
    max_metadata, resent, monkeypatch
):
    """While the destination throttles, bodies overtake each other; what is accepted is committed with the group's offset, as far as
    Kafka takes the metadata.
    """
    monkeypatch.setattr("consumer.assignment.handler.ANSWER_SECONDS", 0.05)
    monkeypatch.setattr("consumer.assignment.assignment.RETRY_SECONDS", 0.01)
    kafka, destination = FakeGroup(120), FakeDestination()
    kafka.max_metadata = max_metadata
    destination.unanswered = {0, 30, 50, 51, 90}
    one = handler(kafka, destination)
    await assign(one, kafka)
    for number in range(12):
        await one.records(kafka.poll(10))
        await wait_until(lambda bodies=number + 1: len(destination.bodies) == bodies)
    await wait_until(lambda: len(destination.accepted) == 80)
    await one.revoked({A})
    assert kafka.committed_offset == 0

    destination.unanswered = set()
    another = handler(kafka, destination)
    await assign(another, kafka)
    await another.records(kafka.poll(120))
    await wait_until(lambda: kafka.committed_offset == 120)
    await another.closed()
    assert set(destination.accepted) == set(range(120))
    assert len(destination.accepted) - 120 == resent


async def test_an_operator_who_sets_the_group_back_is_obeyed():
    kafka, destination = FakeGroup(30), FakeDestination()
    one = handler(kafka, destination)
    await assign(one, kafka)
    await one.records(kafka.poll(30))
    await wait_until(lambda: kafka.committed_offset == 30)
    await one.revoked({A})
    kafka.stored = OffsetAndMetadata(10, "")

    await assign(one, kafka)
    assert kafka.next_offset == 10
    await one.records(kafka.poll(30))
    await wait_until(lambda: kafka.committed_offset == 30)
    await one.closed()
    assert destination.rows == 50


async def test_a_first_start_is_committed_before_anything_is_read():
    """A start at the end that nobody noted down would be at another end after a crash, and what came between skipped."""
    kafka, destination = FakeGroup(30, committed=None), FakeDestination()
    one = handler(kafka, destination, "latest")
    kafka.refuses_commits = True
    one.assigned(kafka, {A})
    await wait_until(lambda: kafka.refused_commits)
    assert not one.ready
    assert kafka.poll(1) == {A: []}
    kafka.refuses_commits = False
    await wait_until(lambda: one.ready)
    assert kafka.commits == [30]
    await one.closed()


async def test_what_is_delivered_is_committed_also_where_reading_has_failed_in_the_middle():
    """By then the position may have passed records that nobody was given; what was accepted before is no less accepted."""
    kafka, destination = FakeGroup(30), FakeDestination()
    one = handler(kafka, destination)
    await assign(one, kafka)
    kafka.refuses_commits = True
    await one.records(kafka.poll(20))
    await wait_until(lambda: len(destination.accepted) == 20)
    kafka.refuses_commits, kafka.unreliable, kafka.next_offset = False, True, 30
    await one.closed()
    assert kafka.committed_offset == 20


async def test_so_much_may_be_delivered_and_not_committed_and_no_more(monkeypatch):
    """A Kafka that takes no commits, but gives records, is no reason to send what a kill would repeat."""
    monkeypatch.setattr("consumer.assignment.assignment.MAX_UNCOMMITTED", 10)
    monkeypatch.setattr("consumer.assignment.assignment.RETRY_SECONDS", 0.05)
    kafka, destination = FakeGroup(40), FakeDestination()
    one = handler(kafka, destination)
    await assign(one, kafka)
    kafka.refuses_commits = True
    for _ in range(2):
        await one.records(kafka.poll(20))
        await wait_until(lambda before=kafka.refused_commits: kafka.refused_commits > before + 2)
        assert destination.rows == 20
    kafka.refuses_commits = False
    await wait_until(lambda: destination.rows == 40 and kafka.committed_offset == 40)
    await one.closed()


async def test_what_comes_while_the_destination_is_away_is_sent_together():
    """An event a second for some hours, each a request of its own, would be more than Azure takes in a minute."""

    class Away(FakeDestination):
        away = True

        async def send(self, body):
            return Retry("away", 503) if self.away else await super().send(body)

    kafka, destination = FakeGroup(60), Away()
    one = handler(kafka, destination)
    await assign(one, kafka)
    for _ in range(59):
        await one.records(kafka.poll(1))
        await asyncio.sleep(0.02)
    destination.away = False
    await wait_until(lambda: kafka.committed_offset == 59)
    assert len(destination.bodies) <= 3
    await one.records(kafka.poll(1))
    await wait_until(lambda: kafka.committed_offset == 60)
    await one.closed()
    assert sorted(destination.accepted) == list(range(60))


async def test_nothing_is_read_while_a_stop_waits_for_an_answer():
    """The membership goes on meanwhile: there may be hours to read, which nobody would send."""
    kafka, destination = FakeGroup(1000), FakeDestination()
    one = handler(kafka, destination)
    await assign(one, kafka)
    destination.answering.clear()
    await one.records(kafka.poll(20))
    await wait_until(lambda: destination.rows == 20)
    stopping = asyncio.create_task(one.stop(10))
    await wait_until(lambda: kafka.paused)
    for _ in range(5):
        await one.records(kafka.poll(20))
    assert kafka.next_offset == 20
    destination.answering.set()
    await stopping
    assert kafka.committed_offset == 20
    assert destination.rows == 20


async def test_a_partition_that_cannot_start_holds_up_no_other(monkeypatch):
    """One has no leader: whoever asks for it with others is told of none."""
    monkeypatch.setattr("consumer.assignment.assignment.RETRY_SECONDS", 0.02)
    leaderless = {B}

    class Led(FakeGroup):
        async def first_offsets(self, partitions):
            if leaderless & set(partitions):
                raise TimeoutError("no leader")
            return await super().first_offsets(partitions)

    kafka, destination = Led(20), FakeDestination()
    one = handler(kafka, destination)
    one.assigned(kafka, {A, B})
    await wait_until(lambda: not kafka.paused)
    await one.records(kafka.poll(20))
    await wait_until(lambda: kafka.committed_offset == 20)
    assert not one.ready
    assert "partition 1, cannot be looked up: no leader" in one.waiting_reason
    leaderless.clear()
    await wait_until(lambda: one.ready)
    assert one.waiting_reason == "joining the group"
    await one.closed()


async def test_an_assignment_that_could_not_start_can_be_closed():
    """A rebalance right behind another takes the partitions away before they are looked at; the next one is served."""
    gone, kafka, destination = FakeGroup(10), FakeGroup(10), FakeDestination()
    one = handler(kafka, destination)
    gone.seek = _not_ours
    with pytest.raises(KafkaError):
        one.assigned(gone, {A})
    await one.closed()
    await assign(one, kafka)
    await one.records(kafka.poll(10))
    await wait_until(lambda: kafka.committed_offset == 10)
    await one.closed()


def _not_ours(partition, _offset):
    raise KafkaError(f"{partition} is not assigned")
