"""A consumer whose requests to Kafka all end: positions, pauses and committed offsets of one membership."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer

from relay.kafka import OffsetAndMetadata, TopicPartition
from relay.kafka.aiokafka_patches.coordinator import committed_offsets
from relay.kafka.aiokafka_patches.fetch_validation import CorruptBatch, FetchValidator
from relay.kafka.aiokafka_patches.group_coverage import GroupCoverage, group_coverage

__all__ = ["BoundedConsumer", "CorruptBatch", "GroupCoverage"]


@dataclass(frozen=True, slots=True)
class BoundedConsumerTiming:
    """Bounds of a consumer's requests."""

    answer_seconds: float = 10.0


DEFAULT_TIMING = BoundedConsumerTiming()


class BoundedConsumer:
    """The consumer of one membership. A call that asks Kafka raises TimeoutError after `timing.answer_seconds`."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        wait_for_membership: Callable[[], Awaitable[None]] | None = None,
        fetch_validator: FetchValidator | None = None,
        timing: BoundedConsumerTiming = DEFAULT_TIMING,
    ) -> None:
        self._timing = timing
        self._consumer = consumer
        self._fetch_validator = fetch_validator or FetchValidator()
        self._wait_for_membership = wait_for_membership
        self.unreliable = False
        """Reading failed midway: positions may be past records that the handler never got."""

    async def wait_for_membership(self) -> None:
        """Wait, without bound, until the group confirms the membership.

        Until then the partitions may belong to others.
        """
        if self._wait_for_membership is not None:
            await self._wait_for_membership()

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Continue at an offset."""
        self._consumer.seek(tp, offset)
        self._fetch_validator.forget(tp)

    def corrupt_batch(self, tp: TopicPartition) -> CorruptBatch | None:
        """Return the corrupt or malformed batch that failed the last fetch. None if another reason failed it."""
        return self._fetch_validator.corrupt_batch(tp)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop fetching. Prefetched records are dropped, and fetched again after `resume`."""
        self._consumer.pause(*partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._consumer.resume(*partitions)

    async def position(self, tp: TopicPartition) -> int:
        """Return the offset of the next record. Control records have offsets too."""
        async with asyncio.timeout(self._timing.answer_seconds):
            return int(await self._consumer.position(tp))

    async def read_all_at(self, tp: TopicPartition) -> int | None:
        """Return when the last fetch of a partition said that no committed record is left to read, in ms UTC.

        None: one is left, or the partition was never fetched. Raises KafkaError for a partition that is not assigned.
        """
        position = await self.position(tp)  # first, since it says whether the partition is assigned
        end = self._consumer.last_stable_offset(tp)
        if end is None or position < end:
            return None
        fetched_at: int = self._consumer.last_poll_timestamp(tp)
        return fetched_at

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Commit the next offsets to read, with metadata.
        Raises KafkaError if the partitions may belong to others now.

        Raises OffsetMetadataTooLargeError if the broker rejects metadata of this length (offset.metadata.max.bytes,
        default 4096).
        """
        async with asyncio.timeout(self._timing.answer_seconds):
            await self._consumer.commit(dict(offsets))

    async def committed(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata | None]:
        """Return the group's committed offsets, None for a partition without one."""
        asked = list(partitions)
        async with asyncio.timeout(self._timing.answer_seconds):
            found = await committed_offsets(self._consumer, asked)
        return {each: found.get(each) for each in asked}

    async def first_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the first offset that each partition keeps."""
        async with asyncio.timeout(self._timing.answer_seconds):
            offsets: dict[TopicPartition, int] = await self._consumer.beginning_offsets(list(partitions))
        return offsets

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the end of each partition for a read_committed reader."""
        async with asyncio.timeout(self._timing.answer_seconds):
            offsets: dict[TopicPartition, int] = await self._consumer.end_offsets(list(partitions))
        return offsets

    async def offsets_for_time(
        self, partitions: Iterable[TopicPartition], at_ms: int
    ) -> dict[TopicPartition, int | None]:
        """Return the first offset with a timestamp of `at_ms` or later, None if there is none."""
        async with asyncio.timeout(self._timing.answer_seconds):
            found = await self._consumer.offsets_for_times(dict.fromkeys(partitions, at_ms))
        return {tp: None if entry is None else int(entry.offset) for tp, entry in found.items()}

    async def group_coverage(self, topic: str) -> GroupCoverage | None:
        """Return which partitions of the topic exist, and which the group's members own; None while the group rebalances."""
        async with asyncio.timeout(self._timing.answer_seconds):
            return await group_coverage(self._consumer, topic)
