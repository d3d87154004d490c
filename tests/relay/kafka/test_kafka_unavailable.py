"""All calls at once while Kafka is unavailable: every wait ends, and work resumes when Kafka is back."""

import asyncio
import signal
import time
from contextlib import AsyncExitStack

import pytest

from relay.errors import RelayError
from relay.kafka import TopicPartition
from relay.kafka.compacted_topics import read_table
from relay.kafka.log_reader import TopicReadError, log_bounds, read_to_end, standalone_consumer
from relay.kafka.producer import RecordWriter, TopicWriteError
from relay.kafka.publish_errors import PublishError
from relay.kafka.reader_timing import ReaderTiming
from relay.kafka.topic_admin import create_missing_topics, read_shard_count
from relay.kafka.topics import Topics
from relay.kafka.transactions import TransactionalProducer
from tests.support.group_member import SESSION, RecordingHandler, running_member, write_organization
from tests.support.kafka import aiokafka_tasks, connection_to, event
from tests.support.waiting import wait_until

LOADED_SECONDS = 15
"""Beside each bound: without one a call never ends, and a loaded machine adds seconds to each."""


async def seconds_to_fail(awaitable, error):
    """Return how long a call takes to fail."""
    began = time.monotonic()
    with pytest.raises(error):
        await awaitable
    return time.monotonic() - began


async def seconds_to_close(stack):
    began = time.monotonic()
    await stack.aclose()
    return time.monotonic() - began


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGSTOP], ids=lambda number: number.name)
async def test_every_wait_ends_while_kafka_is_unavailable(interruptible_kafka, prefix, signal_number):
    """With Kafka killed, or silent for longer than a session, every call fails within its bound and leaves no task
    running. Afterwards a member reads on, a writer writes, and a publisher of the same id opens and publishes.
    """
    connection = connection_to(
        interruptible_kafka.kafka, prefix, patience=1.0, shards=2, group_session_timeout_seconds=SESSION
    )
    await create_missing_topics(connection)
    before = aiokafka_tasks()
    tp = TopicPartition(Topics(prefix).events, 0)
    publisher = await TransactionalProducer.open(connection, f"{prefix}.0")
    staying, leaving = RecordingHandler(), RecordingHandler()
    async with AsyncExitStack() as all_of_it:
        writer = await all_of_it.enter_async_context(RecordWriter(connection))
        await writer.send(Topics(prefix).status, b"a", b"1")
        member = await all_of_it.enter_async_context(running_member(connection, staying, prefix))
        short = AsyncExitStack()
        await short.enter_async_context(running_member(connection, leaving, f"{prefix}.other"))
        async with standalone_consumer(connection) as reader:
            await log_bounds(reader, [tp])
            async with interruptible_kafka.interrupted(signal_number):
                took = await asyncio.gather(
                    seconds_to_fail(publisher.publish([event(prefix)]), PublishError),
                    seconds_to_fail(TransactionalProducer.open(connection, f"{prefix}.1"), PublishError),
                    seconds_to_fail(
                        writer.send(Topics(prefix).status, b"b", b"1", seconds=1), TopicWriteError
                    ),
                    seconds_to_fail(
                        read_to_end(reader, {tp: 0}, {tp: 1}, print, timing=ReaderTiming(idle_seconds=1)),
                        TopicReadError,
                    ),
                    seconds_to_fail(read_shard_count(connection), RelayError),
                    seconds_to_close(short),
                )
                began = time.monotonic()
                await publisher.discard()
                discarded = time.monotonic() - began
                await wait_until(lambda: not member.valid, seconds=60)
        await write_once_brokers_are_ready(writer, Topics(prefix).status, b"c")
        await wait_until(lambda: member.valid, seconds=40)
        await write_organization(connection, prefix, b"after")
        await wait_until(lambda: b"after" in staying.values, seconds=30)
    successor = await TransactionalProducer.open(connection, f"{prefix}.0")
    await successor.publish([event(prefix)])
    await successor.discard()

    bounds = [bound + LOADED_SECONDS for bound in (10, 14, 7, 4, 14, 10)]
    assert all(seconds < bound for seconds, bound in zip(took, bounds, strict=True)), took
    assert discarded < 6 + LOADED_SECONDS
    assert leaving.closings == 1
    assert aiokafka_tasks() <= before
    assert {b"a", b"c"} <= set(await read_table(connection, Topics(prefix).status))


async def write_once_brokers_are_ready(writer, topic, key):
    """Write a record. A broker that was silent is fenced until its next heartbeat, and metadata names none meanwhile."""
    end = time.monotonic() + 40
    while True:
        try:
            await writer.send(topic, key, b"1")
        except TopicWriteError:
            assert time.monotonic() < end
            await asyncio.sleep(0.2)
        else:
            return
