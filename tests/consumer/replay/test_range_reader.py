"""The reader of ranges on a real Kafka: exactly its offsets, and each offset that nobody has any more is named."""

import asyncio

import pytest

from consumer.replay.range_reader import RangeReader, RangeReaderTiming
from consumer.replay.source import ArchivedRecords
from relay.kafka import TopicPartition
from relay.kafka.log_reader import TopicReadError
from relay.kafka.producer import ProducerRecord
from relay.kafka.reader_timing import ReaderTiming
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.kafka.transactions import TransactionalProducer
from relay.replays.job import ReplayRange
from tests.support.kafka import connection_to
from tests.support.raw_batches import delete_records

SMALL_PARTS = RangeReaderTiming(max_records=7)
SHORT_WAITS = RangeReaderTiming(ReaderTiming(idle_seconds=2.0), max_records=7, end_wait_seconds=0.2)


class Log:
    """Events of two partitions, in transactions of five, so that every sixth offset holds no record."""

    def __init__(self, connection):
        self.connection = connection
        self.topic = Topics(connection.kafka.topic_prefix).events

    async def publish(self, partition, count, headers=()):
        publisher = await TransactionalProducer.open(self.connection, f"{self.topic}.test")
        for start in range(0, count, 5):
            numbers = range(start, min(count, start + 5))
            await publisher.publish(
                [
                    ProducerRecord(self.topic, partition, b"acme", b"%d" % each, None, headers)
                    for each in numbers
                ]
            )
        await publisher.discard()

    def range(self, partition, start, end):
        return ReplayRange(self.topic, partition, start, end)

    def reader(self, *ranges, archive=None, timing=SMALL_PARTS):
        return RangeReader(self.connection, ranges, archive, timing)


@pytest.fixture
async def log(kafka, prefix):
    connection = connection_to(kafka, prefix, shards=2)
    await create_missing_topics(connection)
    return Log(connection)


async def test_events_of_a_refill_are_of_its_own_replay_alone(log):
    """A replay of the same offsets passes over them: their originals are on the log too."""
    await log.publish(0, 5)
    await log.publish(0, 5, [("relay.replay", b"one")])
    await log.publish(0, 5, [("relay.replay", b"two")])
    whole = log.range(0, 0, 18)
    assert (await read_all(log.reader(whole)))[0] == {0: [0, 1, 2, 3, 4]}
    one = RangeReader(log.connection, [whole], replay_id="one")
    assert (await read_all(one))[0] == {0: [6, 7, 8, 9, 10]}


async def read_all(reader, starts=None):
    """Return the offsets of the records by partition, and the lost ranges; positions only move forward."""
    offsets, lost, positions = {}, [], {}
    async for chunk in reader.chunks(starts or {}):
        partition = chunk.partition.partition
        assert chunk.next_offset > positions.get(partition, -1)
        assert all(positions.get(partition, 0) <= each.offset < chunk.next_offset for each in chunk.records)
        positions[partition] = chunk.next_offset
        offsets.setdefault(partition, []).extend(each.offset for each in chunk.records)
        lost += [(partition, *each) for each in chunk.lost]
    return offsets, lost, positions


def without_markers(*numbers):
    return [each for each in range(*numbers) if each % 6 != 5]


async def test_exactly_the_offsets_of_the_ranges_are_read(log):
    """A range may end within a transaction, at a marker, or at the end of the log; an empty range is not read."""
    await log.publish(0, 40)
    await log.publish(1, 10)
    reader = log.reader(log.range(0, 3, 41), log.range(1, 0, 12), log.range(0, 48, 48))
    offsets, lost, positions = await read_all(reader)

    assert offsets == {0: without_markers(3, 41), 1: without_markers(12)}
    assert (lost, positions) == ([], {0: 41, 1: 12})


async def test_reading_goes_on_from_the_positions_it_is_given(log):
    await log.publish(0, 20)
    reader = log.reader(log.range(0, 0, 24), log.range(1, 0, 0))
    offsets, _, _ = await read_all(reader, {TopicPartition(log.topic, 0): 13})
    assert offsets == {0: without_markers(13, 24)}
    assert await read_all(reader, {TopicPartition(log.topic, 0): 24}) == ({}, [], {})


async def test_records_that_kafka_deleted_before_or_during_the_reading_are_lost_and_named(log):
    """The reader goes on with the first record kept, and never from anywhere else."""
    await log.publish(0, 400)
    reader = log.reader(log.range(0, 2, 480))
    tp = TopicPartition(log.topic, 0)
    await delete_records(log.connection, tp, 60)
    offsets, lost, overtaken = [], [], False
    async for chunk in reader.chunks({}):
        offsets += [each.offset for each in chunk.records]
        lost += chunk.lost
        if offsets and not overtaken:
            overtaken = True
            await delete_records(log.connection, tp, 450)

    assert lost[0] == (2, 60)
    assert offsets[-len(without_markers(450, 480)) :] == without_markers(450, 480)
    missing = [each for each in without_markers(2, 480) if each not in offsets]
    assert all(any(start <= each < stop for start, stop in lost) for each in missing)
    assert not any(start <= each < stop for start, stop in lost for each in offsets)


class Archive:
    """Holds every record from offset 10 on, but those from 20 to 25."""

    async def records(self, partition, start, end):
        yield ArchivedRecords([], max(start, 10), ((start, 10),) if start < 10 else ())
        for first, stop in ((max(start, 10), 20), (25, end)):
            records = [ArchivedRecord(partition, each) for each in without_markers(first, stop)]
            yield ArchivedRecords(records, stop, ((20, 25),) if stop == end else ())


class ArchivedRecord:
    def __init__(self, partition, offset):
        self.topic, self.partition, self.offset = *partition, offset


async def test_deleted_records_come_from_the_archive_and_its_gaps_are_lost(log):
    """The topic follows at the offset at which the archive ends."""
    await log.publish(0, 100)
    await delete_records(log.connection, TopicPartition(log.topic, 0), 60)
    offsets, lost, _ = await read_all(log.reader(log.range(0, 0, 120), archive=Archive()))

    assert offsets == {0: without_markers(10, 20) + without_markers(25, 120)}
    assert lost == [(0, 0, 10), (0, 20, 25)]


async def test_a_log_that_lost_its_end_is_waited_for_and_then_named(log):
    """A new leader may learn its end late, so the first attempts fail; other partitions are read meanwhile."""
    await log.publish(0, 10)
    await log.publish(1, 10)
    reader = log.reader(log.range(0, 0, 50), log.range(1, 0, 12), timing=SHORT_WAITS)
    read = []

    async def read_on():
        async for chunk in reader.chunks({}):
            read.extend((chunk.partition.partition, each.offset) for each in chunk.records)

    with pytest.raises(TopicReadError, match="ends at offset 12, and the replay goes to 50"):
        await read_on()
    assert read == [(number, offset) for number in (0, 1) for offset in without_markers(12)]

    await asyncio.sleep(SHORT_WAITS.end_wait_seconds)
    after = {TopicPartition(log.topic, number): 12 for number in (0, 1)}
    assert await read_all(reader, after) == ({0: []}, [(0, 12, 50)], {0: 50})
