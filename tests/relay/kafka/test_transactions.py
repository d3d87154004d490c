import asyncio
import time

import pytest
from aiokafka.errors import ProducerFenced

from relay.kafka import TopicPartition
from relay.kafka.compacted_topics import read_table
from relay.kafka.log_reader import log_bounds, standalone_consumer
from relay.kafka.producer import ProducerRecord, RecordWriter
from relay.kafka.publish_errors import PublishError
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.kafka.transactions import TransactionalProducer
from tests.support.kafka import connection_to


@pytest.fixture
async def connection(kafka, prefix):
    found = connection_to(kafka, prefix, shards=2)
    await create_missing_topics(found)
    return found


def producer_record(topic, key, value, partition=0):
    return ProducerRecord(topic, partition, key, value)


async def test_events_and_progress_are_committed_together(connection, prefix):
    """The records are on both topics, and the returned offsets are those of the events."""
    topics = Topics(prefix)
    publisher = await TransactionalProducer.open(connection, f"{prefix}.0")
    offsets = await publisher.publish(
        [producer_record(topics.events, b"acme", b"1"), producer_record(topics.events, b"acme", b"2")],
        lambda offsets: [producer_record(topics.progress, b"acme", str(offsets).encode())],
    )
    await publisher.discard()

    assert offsets == [0, 1]
    assert (await read_table(connection, topics.progress))[b"acme"].value == b"[0, 1]"
    assert (await read_table(connection, topics.events))[b"acme"].value == b"2"


async def test_a_successor_fences_its_predecessor(connection, prefix):
    """The older of two owners can no longer publish, and its error says so."""
    topics = Topics(prefix)
    old = await TransactionalProducer.open(connection, f"{prefix}.0")
    new = await TransactionalProducer.open(connection, f"{prefix}.0")

    with pytest.raises(PublishError) as caught:
        await old.publish([producer_record(topics.events, b"acme", b"old")])
    await new.publish([producer_record(topics.events, b"acme", b"new")])
    await old.discard()
    await new.discard()

    assert caught.value.fenced
    assert (await read_table(connection, topics.events))[b"acme"].value == b"new"


async def test_an_open_transaction_of_a_dead_owner_is_aborted(connection, prefix):
    """Events of an unfinished transaction stay invisible, and block no reader once a successor has opened."""
    topics = Topics(prefix)
    dead = await TransactionalProducer.open(connection, f"{prefix}.0")
    await dead._producer.begin_transaction()
    await dead._send([producer_record(topics.events, b"acme", b"half")])
    await dead.discard()
    successor = await TransactionalProducer.open(connection, f"{prefix}.0")

    assert await successor.end_hanging([TopicPartition(topics.events, 0)]) == []
    assert await read_table(connection, topics.events) == {}
    await successor.discard()


async def test_a_hanging_transaction_can_be_ended(connection, prefix):
    """A transaction that adds partitions without data ends the hanging one there."""
    topics = Topics(prefix)
    publisher = await TransactionalProducer.open(connection, f"{prefix}.0")
    await publisher._producer.begin_transaction()
    await publisher._send([producer_record(topics.events, b"acme", b"1")])
    tp = TopicPartition(topics.events, 0)
    async with standalone_consumer(connection) as reader:
        open_bounds = (await log_bounds(reader, [tp]))[tp]
    await publisher._producer.commit_transaction()
    await publisher._commit_empty_transaction([tp])
    async with standalone_consumer(connection) as reader:
        ended_bounds = (await log_bounds(reader, [tp]))[tp]
    await publisher.discard()

    assert open_bounds.last_stable_offset < open_bounds.high_watermark
    assert ended_bounds.last_stable_offset == ended_bounds.high_watermark


async def test_the_error_of_a_fast_clock_names_the_clock(connection, prefix):
    """Kafka rejects timestamps far in the future; the error names the clock to correct."""
    publisher = await TransactionalProducer.open(connection, f"{prefix}.0")
    ahead = time.time_ns() // 1_000_000 + 2 * 3_600_000

    with pytest.raises(PublishError, match="the clock of this machine is ahead of Kafka's"):
        await publisher.publish([ProducerRecord(Topics(prefix).events, 0, b"acme", b"1", ahead)])
    await publisher.discard()


async def test_a_cancelled_publication_ends_at_once(connection, prefix):
    """A cancellation between begin and commit returns within two seconds and leaves no task running."""
    publisher = await TransactionalProducer.open(connection, f"{prefix}.0")
    task = asyncio.create_task(publisher.publish([producer_record(Topics(prefix).events, b"acme", b"1")]))
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(120):
        with pytest.raises(asyncio.CancelledError):
            await task
        await publisher.discard()


async def test_a_writer_returns_the_offset_and_deletes_keys(connection, prefix):
    """A value of None deletes the key from a table."""
    topics = Topics(prefix)
    async with RecordWriter(connection) as writer:
        assert await writer.send(topics.status, b"a", b"1") == 0
        assert await writer.send(topics.status, b"b", b"2") == 1
        await writer.send(topics.status, b"a", None)

    assert set(await read_table(connection, topics.status)) == {b"b"}


async def test_a_send_outside_of_a_transaction_is_a_failed_publication(connection, prefix):
    """If a producer is fenced between two sends, aiokafka rejects the second as illegal; the error says that it was
    fenced.
    """
    topics = Topics(prefix)
    old = await TransactionalProducer.open(connection, f"{prefix}.0")
    new = await TransactionalProducer.open(connection, f"{prefix}.0")
    await new.publish([producer_record(topics.events, b"acme", b"new")])

    with pytest.raises(PublishError) as caught:
        await old.publish(
            [producer_record(topics.events, b"acme", b"1")],
            lambda _: [producer_record(topics.progress, b"acme", b"2")],
        )
    with pytest.raises(PublishError):
        await old.publish([producer_record(topics.events, b"acme", b"3")])
    await old.discard()
    await new.discard()

    assert caught.value.fenced


async def test_the_error_of_an_ended_transaction_says_whether_it_was_fenced(connection, prefix):
    """An illegal send becomes a PublishError, with `fenced` set only for a fenced producer."""
    publisher = await TransactionalProducer.open(connection, f"{prefix}.0")
    begin = publisher._producer.begin_transaction

    async def begun_and_fenced():
        await begin()
        publisher._producer._txn_manager.fatal_error(ProducerFenced())

    publisher._producer.begin_transaction = begun_and_fenced
    with pytest.raises(PublishError) as caught:
        await publisher.publish([producer_record(Topics(prefix).events, b"acme", b"1")])
    await publisher.discard()

    assert caught.value.fenced
