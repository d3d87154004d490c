"""A consumer group from outside: its members, its committed offsets, and new ones while it has no member."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

from relay.errors import RelayError
from relay.kafka import OffsetAndMetadata, TopicPartition
from relay.kafka.aiokafka_patches.coordinator import committed_offsets, patch_group_reader
from relay.kafka.aiokafka_patches.group_coverage import member_count
from relay.kafka.connection import Connection
from relay.kafka.log_reader import LogBounds, partitions_of, stable_bounds, standalone_consumer
from relay.kafka.reader_timing import timing_of

_HAS_MEMBERS = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)


class GroupInUseError(RelayError):
    """The group has members, so its offsets cannot be set."""


@dataclass(frozen=True, slots=True)
class GroupOffsets:
    """What Kafka knows of a group and its topic. `members`: None while they join. `committed`: without partitions that have none."""

    members: int | None
    committed: Mapping[TopicPartition, OffsetAndMetadata]
    bounds: Mapping[TopicPartition, LogBounds]


class OpenGroup:
    """One group and its topic, over one connection. Every call raises an error of KAFKA_FAILURES if Kafka does not answer."""

    def __init__(self, consumer: AIOKafkaConsumer, group: str, partitions: Sequence[TopicPartition]) -> None:
        self._consumer = consumer
        self._group = group
        self._partitions = partitions

    async def read(self) -> GroupOffsets:
        """Return members, committed offsets and the bounds of each partition."""
        async with asyncio.timeout(2 * timing_of(self._consumer).answer_seconds):
            committed = await committed_offsets(self._consumer, list(self._partitions))
            return GroupOffsets(
                await member_count(self._consumer),
                {tp: found for tp, found in committed.items() if found.offset >= 0},
                await stable_bounds(self._consumer, self._partitions),
            )

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Set offsets in one request. Raises GroupInUseError, and sets none, if the group has a member."""
        self._consumer.assign(list(offsets))
        try:
            async with asyncio.timeout(2 * timing_of(self._consumer).answer_seconds):
                await self._consumer.commit(dict(offsets))
        except _HAS_MEMBERS as error:
            raise GroupInUseError(f"The group {self._group} has members, so no offset was set.") from error


@asynccontextmanager
async def open_group(connection: Connection, group: str, topic: str) -> AsyncIterator[OpenGroup]:
    """Open a group without joining it. Raises RelayError, or an error of KAFKA_FAILURES."""
    await connection.verify()
    async with standalone_consumer(connection, group_id=group) as consumer:
        patch_group_reader(consumer)
        partitions = [TopicPartition(topic, number) for number in await partitions_of(consumer, topic)]
        yield OpenGroup(consumer, group, partitions)
