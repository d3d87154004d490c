import time
from types import SimpleNamespace

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.cluster import ClusterMetadata

from relay.config.kafka import KafkaConfig
from relay.kafka import KafkaError, TopicPartition
from relay.kafka.compacted_topics import read_keys, read_table
from relay.kafka.connection import Connection
from relay.kafka.log_reader import (
    CorruptBatchError,
    TopicReadError,
    partitions_of,
    read_to_end,
    records_at,
    stable_bounds,
    standalone_consumer,
)
from relay.kafka.producer import ProducerRecord, RecordWriter
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.kafka.transactions import TransactionalProducer
from tests.support.kafka import connection_to
from tests.support.raw_batches import stored_batch, with_bad_header_name, write_batch

SHARDS = 16


@pytest.fixture
async def connection(kafka, prefix):
    found = connection_to(kafka, prefix, shards=SHARDS)
    await create_missing_topics(found)
    return found


def everywhere(topic):
    return [TopicPartition(topic, number) for number in range(SHARDS)]


async def test_a_table_is_read_over_all_partitions(connection, prefix):
    """A table has the latest value of every key of all partitions, without deleted keys."""
    topic = Topics(prefix).progress
    async with RecordWriter(connection) as writer:
        for number in range(SHARDS):
            await writer.send(topic, b"%d" % number, b"old", partition=number)
            await writer.send(topic, b"%d" % number, b"new" if number else None, partition=number)

    table = await read_table(connection, topic)

    assert {key: record.value for key, record in table.items()} == {
        b"%d" % number: b"new" for number in range(1, SHARDS)
    }


async def test_the_history_of_a_key_is_read_in_its_order(connection, prefix):
    """It begins after the last deletion of the key, and holds no other key."""
    topic = Topics(prefix).destinations
    async with RecordWriter(connection) as writer:
        for key, value in [
            (b"a", b"0"),
            (b"a", None),
            (b"a", b"1"),
            (b"b", b"x"),
            (b"a", b"2"),
            (b"a", b"1"),
        ]:
            await writer.send(topic, key, value)

    found = await read_keys(connection, topic, {b"a", b"c"})
    assert {key: [each.value for each in records] for key, records in found.items()} == {
        b"a": [b"1", b"2", b"1"],
        b"c": [],
    }


async def test_a_record_that_does_not_supersede_is_ignored(connection, prefix):
    """The caller decides which of two records of a key counts; after a deletion the next one does."""
    topic = Topics(prefix).status
    async with RecordWriter(connection) as writer:
        for key, value in [(b"a", b"2"), (b"a", b"1"), (b"b", b"2"), (b"b", None), (b"b", b"1")]:
            await writer.send(topic, key, value)

    table = await read_table(connection, topic, supersedes=lambda new, old: new.value > old.value)

    assert {key: record.value for key, record in table.items()} == {b"a": b"2", b"b": b"1"}


async def test_single_records_are_read_by_their_offsets(connection, prefix):
    """An offset may also hold the end of a transaction, be deleted, or be behind the end."""
    topic = Topics(prefix).events
    publisher = await TransactionalProducer.open(connection, f"{prefix}.0")
    for value in (b"one", b"two"):
        await publisher.publish([ProducerRecord(topic, number, b"acme", value) for number in (0, 1, 2)])
    await publisher.discard()
    kept, marker, gone = (TopicPartition(topic, number) for number in (0, 1, 2))
    admin = AIOKafkaAdminClient(bootstrap_servers=connection.bootstrap)
    await admin.start()
    await admin.delete_records({gone: RecordsToDelete(before_offset=2)})
    await admin.close()

    found = await records_at(connection, {kept: 2, marker: 1, gone: 0})
    assert {each: record and record.value for each, record in found.items()} == {kept: b"two", marker: None}
    with pytest.raises(TopicReadError, match="partition 0, ends at offset 4, before 9"):
        await records_at(connection, {kept: 9})


async def test_uncommitted_records_are_beyond_the_end(connection, prefix):
    """Of sixteen partitions, the one with an open transaction ends before it for read_committed readers."""
    topic = Topics(prefix).events
    publisher = await TransactionalProducer.open(connection, f"{prefix}.0")
    await publisher.publish([ProducerRecord(topic, 3, b"acme", b"committed")])
    await publisher._producer.begin_transaction()
    await publisher._send([ProducerRecord(topic, 3, b"acme", b"open")])
    async with standalone_consumer(connection) as reader:
        bounds = await stable_bounds(reader, everywhere(topic))
    await publisher.discard()

    below = {tp.partition for tp, found in bounds.items() if found.last_stable_offset < found.high_watermark}

    assert below == {3}


async def test_reading_passes_over_markers_and_gaps(connection, prefix):
    """Control records and aborted events at the end of a partition do not block a reader."""
    topic = Topics(prefix).events
    tp, found = TopicPartition(topic, 0), []
    dead = await TransactionalProducer.open(connection, f"{prefix}.0")
    await dead.publish([ProducerRecord(topic, 0, b"acme", b"1")])
    await dead._producer.begin_transaction()
    await dead._send([ProducerRecord(topic, 0, b"acme", b"aborted")])
    await dead.discard()
    await (await TransactionalProducer.open(connection, f"{prefix}.0")).discard()
    async with standalone_consumer(connection) as reader:
        bounds = (await stable_bounds(reader, [tp]))[tp]
        await read_to_end(reader, {tp: 0}, {tp: bounds.last_stable_offset}, found.append)

    assert [record.value for record in found] == [b"1"]
    assert bounds.last_stable_offset == 4


async def test_a_reader_that_ended_silently_is_an_error(connection, prefix):
    """A fetch task that has ended is noticed, and not waited for."""
    tp = TopicPartition(Topics(prefix).events, 0)
    async with standalone_consumer(connection) as reader:
        reader._fetcher._fetch_task.cancel()
        with pytest.raises(TopicReadError, match="ended silently"):
            await read_to_end(reader, {tp: 0}, {tp: 1}, print)


async def test_a_closed_port_is_an_error_at_once():
    """Without a broker, a reader fails at once and leaves nothing open."""
    nowhere = Connection(KafkaConfig(bootstrap="127.0.0.1:1"))
    began = time.monotonic()
    with pytest.raises(Exception, match=r"Unable to bootstrap|did not answer"):
        await read_table(nowhere, "x")

    assert time.monotonic() - began < 30


async def test_a_batch_that_cannot_be_read_is_named_and_can_be_skipped(connection, prefix):
    """The error says where and what to do; a reader for display gets all other records."""
    topic = Topics(prefix).organizations
    poison = with_bad_header_name(stored_batch(0, [b"good", b"poison"], key=b"x"))
    async with RecordWriter(connection) as writer:
        await writer.send(topic, b"before", b"1", partition=3)
        assert await write_batch(connection, TopicPartition(topic, 3), poison) == 0
        await writer.send(topic, b"after", b"1", partition=3)
        await writer.send(topic, b"elsewhere", b"1", partition=4)
    place = rf"{topic}, partition 3, cannot be read from offset 2 on .*kafka-delete-records.sh, offset 3 "
    with pytest.raises(CorruptBatchError, match=place):
        await read_table(connection, topic)
    corrupt_batches = []
    table = await read_table(connection, topic, on_corrupt=corrupt_batches.append)

    assert {key: record.value for key, record in table.items()} == {
        b"before": b"1",
        b"x": b"good",
        b"after": b"1",
        b"elsewhere": b"1",
    }
    assert [(batch.tp, batch.next_offset) for batch in corrupt_batches] == [(TopicPartition(topic, 3), 3)]


async def test_a_kafka_that_does_not_answer_is_not_said_to_lack_the_topic():
    """An operator would make topics beside those that exist."""

    class Silent:
        cluster = ClusterMetadata()

        async def fetch_all_metadata(self):
            raise KafkaError("Unable to get cluster metadata over all known brokers")

    with pytest.raises(TopicReadError, match="does not say whether it has the topic"):
        await partitions_of(SimpleNamespace(_client=Silent()), "a.events")
