"""Patches of consumers, and facts about them."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError

from relay.kafka import TopicPartition
from relay.kafka.aiokafka_patches.client import (
    Login,
    consume_exception,
    hidden_topics,
    list_topic_names,
    patch_client,
    wait_bounded,
)

LISTING_ATTEMPTS = 5
LISTING_PAUSE_SECONDS = 0.2


def patch_consumer(consumer: AIOKafkaConsumer, login: Login) -> None:
    """Apply the patches of every client to the client of this consumer."""
    patch_client(consumer._client, login)  # noqa: SLF001


async def high_watermarks(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition]
) -> dict[TopicPartition, int]:
    """Return the ends of partitions for a read_uncommitted reader.
    The consumer is read_committed and must not be reading.
    """
    fetcher: Any = consumer._fetcher  # noqa: SLF001
    level = fetcher._isolation_level  # noqa: SLF001
    fetcher._isolation_level = 0  # noqa: SLF001
    try:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    finally:
        fetcher._isolation_level = level  # noqa: SLF001
    return ends


async def discard_consumer(consumer: AIOKafkaConsumer, seconds: float) -> None:
    """Stop a consumer within `seconds`, whatever its state.

    With Kafka dead, stop() raises CancelledError or never ends, and leaves sockets open.
    """
    await wait_bounded(asyncio.ensure_future(consumer.stop()), seconds)
    for part in (consumer._fetcher, consumer._coordinator):  # noqa: SLF001
        for name in (
            "_fetch_task",
            "_coordination_task",
            "_heartbeat_task",
            "_commit_refresh_task",
            "_reset_committed_task",
        ):
            if isinstance(task := getattr(part, name, None), asyncio.Task):
                task.cancel()
                task.add_done_callback(consume_exception)
    await wait_bounded(asyncio.ensure_future(consumer._client.close()), 1)  # noqa: SLF001


def is_dead(consumer: AIOKafkaConsumer) -> bool:
    """Return whether the consumer's fetch task has ended, which aiokafka does not report."""
    return bool(consumer._fetcher._fetch_task.done())  # noqa: SLF001


async def partition_numbers(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    """Return the partition numbers of a topic. Raises KafkaError if it does not exist or is hidden.

    A topic that no broker lists is not named in a request: a broker that ignores allow_auto_topic_creation would
    create it.
    """
    client = consumer._client  # noqa: SLF001
    if client.cluster.partitions_for_topic(topic) is None:
        await _wait_until_listed(client, topic)
    numbers: set[int] = await client._wait_on_metadata(topic)  # noqa: SLF001
    return numbers


async def _wait_until_listed(client: Any, topic: str) -> None:
    """Wait until a broker lists the topic. A new one takes a moment on each broker."""
    for attempt in range(LISTING_ATTEMPTS):
        if topic in await list_topic_names(client):
            return
        if attempt < LISTING_ATTEMPTS - 1:
            await asyncio.sleep(LISTING_PAUSE_SECONDS)
    if await hidden_topics(client, [topic]):
        raise TopicAuthorizationFailedError(topic)
    raise UnknownTopicOrPartitionError(topic)


def has_leader(consumer: AIOKafkaConsumer, tp: TopicPartition) -> bool:
    """Return whether the partition has a leader, by the metadata of this consumer."""
    return bool(consumer._client.cluster.leader_for_partition(tp) != -1)  # noqa: SLF001
