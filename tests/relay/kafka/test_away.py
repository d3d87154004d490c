"""Everything at once while Kafka is away: waits have an end, and all goes on when it is back."""

import asyncio
import signal
import time
from contextlib import AsyncExitStack

import pytest

from relay.errors import RelayError
from relay.kafka import TopicPartition
from relay.kafka.log_reader import ReadingError, group_less, read_table, read_to_end, spans
from relay.kafka.producer import Writer, WritingError
from relay.kafka.topic_admin import create, shards_of
from relay.kafka.topics import Topics
from relay.kafka.transactions import Publisher, PublishError
from tests.support.group_member import SESSION, Notes, membership, put
from tests.support.kafka import connection, event, of_aiokafka
from tests.support.waiting import until


async def failing(awaitable, error):
    """How long it takes to fail."""
    began = time.monotonic()
    with pytest.raises(error):
        await awaitable
    return time.monotonic() - began


async def ending(stack):
    began = time.monotonic()
    await stack.aclose()
    return time.monotonic() - began


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=lambda number: number.name)
async def test_nothing_waits_without_end_while_kafka_is_away(own_kafka, prefix, blow):
    """Kafka killed, or silent for longer than a session: every call fails within its bound and leaves nothing running.

    Afterwards a member reads on, a writer writes, and a publisher of the same id opens and publishes.
    """
    there = connection(own_kafka.kafka, prefix, shards=2, group_session_timeout_seconds=SESSION)
    await create(there)
    before = of_aiokafka()
    tp = TopicPartition(Topics(prefix).events, 0)
    publisher = await Publisher.open(there, f"{prefix}.0")
    staying, leaving = Notes(), Notes()
    async with AsyncExitStack() as all_of_it:
        writer = await all_of_it.enter_async_context(Writer(there))
        await writer.send(Topics(prefix).status, b"a", b"1")
        member = await all_of_it.enter_async_context(membership(there, staying, prefix))
        short = AsyncExitStack()
        await short.enter_async_context(membership(there, leaving, f"{prefix}.other"))
        async with group_less(there) as reader:
            await spans(reader, [tp])
            async with own_kafka.away(blow):
                took = await asyncio.gather(
                    failing(publisher.publish([event(prefix)]), PublishError),
                    failing(Publisher.open(there, f"{prefix}.1"), PublishError),
                    failing(writer.send(Topics(prefix).status, b"b", b"1", seconds=1), WritingError),
                    failing(read_to_end(reader, {tp: 0}, {tp: 1}, print, idle_seconds=1), ReadingError),
                    failing(shards_of(there), RelayError),
                    ending(short),
                )
                began = time.monotonic()
                await publisher.discard()
                discarded = time.monotonic() - began
                await until(lambda: not member.trusted, seconds=SESSION + 3)
        await writer.send(Topics(prefix).status, b"c", b"1")
        await until(lambda: member.trusted, seconds=40)
        await put(there, prefix, b"after")
        await until(lambda: b"after" in staying.values, seconds=30)
    successor = await Publisher.open(there, f"{prefix}.0")
    await successor.publish([event(prefix)])
    await successor.discard()

    assert all(seconds < bound for seconds, bound in zip(took, (10, 14, 7, 4, 14, 10), strict=True)), took
    assert discarded < 6
    assert leaving.closings == 1
    assert of_aiokafka() <= before
    assert {b"a", b"c"} <= set(await read_table(there, Topics(prefix).status))
