"""A broker with auto.create.topics.enable: no client of the relay makes it create a topic."""

import asyncio

import pytest

from relay.errors import RelayError
from relay.kafka import KAFKA_FAILURES, TopicPartition
from relay.kafka.compacted_topics import read_table
from relay.kafka.consumer_group import Member
from relay.kafka.log_reader import records_at
from relay.kafka.producer import RecordWriter, TopicWriteError
from relay.kafka.publish_errors import PublishError
from relay.kafka.topic_admin import compare_topics, create_missing_topics, read_shard_count, read_topic_facts
from relay.kafka.topics import Topics
from relay.kafka.transactions import TransactionalProducer, TransactionTiming
from tests.support.group_member import RecordingHandler
from tests.support.kafka import connection_to, event
from tests.support.topics import topics_of


@pytest.fixture
def connection(auto_creating_kafka, prefix):
    return connection_to(auto_creating_kafka, prefix, shards=2)


async def test_reading_a_missing_topic_does_not_create_it(connection, prefix):
    """A reader of a missing topic, with or without partition numbers, fails and creates nothing."""
    with pytest.raises(RelayError, match="has no topic"):
        await read_table(connection, Topics(prefix).status)
    with pytest.raises(KAFKA_FAILURES):
        await records_at(connection, {TopicPartition(Topics(prefix).events, 0): 0})

    assert await topics_of(connection) == set()


async def test_the_administrative_questions_create_nothing(connection):
    """Comparing topics, and reading limits and the shard count, leave the broker as it was."""
    assert {report.state for report in await compare_topics(connection)} == {"missing"}
    await read_topic_facts(connection)
    with pytest.raises(RelayError, match="has no topic"):
        await read_shard_count(connection)

    assert await topics_of(connection) == set()


async def test_a_write_to_a_missing_topic_does_not_create_it(connection, prefix):
    """A single write and a transaction to a missing topic fail, and create nothing."""
    async with RecordWriter(connection) as writer:
        with pytest.raises(TopicWriteError):
            await writer.send(Topics(prefix).status, b"k", b"v", seconds=3)
    short = TransactionTiming(transaction_seconds=3.0, open_seconds=80.0)
    publisher = await TransactionalProducer.open(connection, f"{prefix}.0", short)
    try:
        with pytest.raises(PublishError):
            async with asyncio.timeout(120):
                await publisher.publish([event(prefix)])
    finally:
        await publisher.discard()

    assert await topics_of(connection) == set()


async def test_a_group_member_does_not_create_its_topic(connection, prefix):
    """A member that subscribes to a missing topic creates nothing."""
    task = asyncio.create_task(
        Member(connection, f"{prefix}.group", Topics(prefix).events, RecordingHandler()).run()
    )
    await asyncio.wait({task}, timeout=3)
    task.cancel()
    await asyncio.wait({task}, timeout=120)

    assert await topics_of(connection) == set()


async def test_topics_create_creates_as_specified(connection):
    """The command's own request still creates topics, with the specified partition counts."""
    assert {report.state for report in await create_missing_topics(connection)} == {"created"}
    assert await read_shard_count(connection) == 2
