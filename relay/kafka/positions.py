import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

from aiokafka import AIOKafkaConsumer

from relay.kafka import OffsetAndMetadata, TopicPartition
from relay.kafka.aiokafka_patches.coordinator import committed_offsets
from relay.kafka.aiokafka_patches.fetch_validation import FetchValidator, RecordBatch

ANSWER_SECONDS = 10.0


class Positions:
    """Where one membership stands on its partitions. Every call that asks Kafka raises TimeoutError after 10 s."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        renewed: Callable[[], Awaitable[None]] | None = None,
        fetch_validator: FetchValidator | None = None,
    ) -> None:
        self._consumer = consumer
        self._fetch_validator = fetch_validator or FetchValidator()
        self._renewed = renewed
        self.unreliable = False
        """Reading has failed in the middle: positions may have passed records that nobody was given."""

    async def renewed(self) -> None:
        """Wait, however long, until the group has lately confirmed the membership: until then its partitions may be others'."""
        if self._renewed is not None:
            await self._renewed()

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._consumer.seek(tp, offset)
        self._fetch_validator.forget(tp)

    def corrupt_batch(self, tp: TopicPartition) -> RecordBatch | None:
        """The batch whose checksum is wrong, where the last fetch failed for it."""
        return self._fetch_validator.corrupt_batch(tp)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop fetching; what was prefetched is dropped and fetched again on resume."""
        self._consumer.pause(*partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._consumer.resume(*partitions)

    async def position(self, tp: TopicPartition) -> int:
        """Offset of the next record to be handed out; control records in between count."""
        async with asyncio.timeout(ANSWER_SECONDS):
            return int(await self._consumer.position(tp))

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Commit next offsets to read, with a text of ours; a KafkaError means they may not be ours any more.

        OffsetMetadataTooLargeError where a broker takes no text of this length (its offset.metadata.max.bytes, 4096 by default).
        """
        async with asyncio.timeout(ANSWER_SECONDS):
            await self._consumer.commit(dict(offsets))

    async def committed(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata | None]:
        """The group's committed offsets, None where Kafka has none."""
        asked = list(partitions)
        async with asyncio.timeout(ANSWER_SECONDS):
            found = await committed_offsets(self._consumer, asked)
        return {each: found.get(each) for each in asked}

    async def first_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        async with asyncio.timeout(ANSWER_SECONDS):
            offsets: dict[TopicPartition, int] = await self._consumer.beginning_offsets(list(partitions))
        return offsets

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Ends as a read_committed reader sees them."""
        async with asyncio.timeout(ANSWER_SECONDS):
            offsets: dict[TopicPartition, int] = await self._consumer.end_offsets(list(partitions))
        return offsets

    async def offsets_for_time(
        self, partitions: Iterable[TopicPartition], at_ms: int
    ) -> dict[TopicPartition, int | None]:
        """First offset of a record with a timestamp of `at_ms` or later; None where there is none."""
        async with asyncio.timeout(ANSWER_SECONDS):
            found = await self._consumer.offsets_for_times(dict.fromkeys(partitions, at_ms))
        return {tp: None if entry is None else int(entry.offset) for tp, entry in found.items()}
