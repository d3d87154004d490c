"""Read the dead-letter topic in bounded memory: all letters in their order, each with its state."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from relay.dead_letters.assembly import LetterAssembler, WholeLetter
from relay.dead_letters.closings import Closings, LetterState
from relay.dead_letters.letter import parse_letter
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import (
    CorruptBatchError,
    LogBounds,
    partitions_of,
    read_batches,
    stable_bounds,
    standalone_consumer,
)
from relay.kafka.topics import Topics, partition_of

FETCH_OPTIONS: dict[str, Any] = {"max_partition_fetch_bytes": 262_144, "fetch_max_bytes": 8_388_608}
"""A letter above these sizes is fetched alone."""

OnCorrupt = Callable[[CorruptBatchError], None]


class LetterLog:
    """The letters that were on the topic when it was opened.

    It is read twice: the records that close a letter are behind it, so they are looked up first.
    """

    def __init__(
        self,
        consumer: Any,
        topic: str,
        bounds: Mapping[TopicPartition, LogBounds],
        on_corrupt: OnCorrupt | None = None,
    ) -> None:
        """`on_corrupt`: takes batches that cannot be read, which are left out; None: reading raises CorruptBatchError."""
        self.consumer = consumer
        self.topic = topic
        self.bounds = bounds
        self._on_corrupt = on_corrupt
        self._closings: Closings | None = None

    async def closings(self) -> Closings:
        """Return which letters are closed, by the records up to the end."""
        if self._closings is None:
            found = Closings()
            starts = {tp: each.log_start_offset for tp, each in self.bounds.items()}
            ends = {tp: each.last_stable_offset for tp, each in self.bounds.items()}
            async for records in read_batches(self.consumer, starts, ends, on_corrupt=self._on_corrupt):
                for record in records:
                    found.add(parse_letter(record))
            self._closings = found
        return self._closings

    async def letters(self) -> AsyncIterator[tuple[WholeLetter, LetterState]]:
        """Yield every letter with its state: those of a partition in the order of their last parts, incomplete ones last."""
        closings = await self.closings()
        starts = {tp: each.log_start_offset for tp, each in self.bounds.items()}
        ends = {tp: each.last_stable_offset for tp, each in self.bounds.items()}
        assemblers = {tp.partition: LetterAssembler() for tp in self.bounds}
        async for records in read_batches(self.consumer, starts, ends, on_corrupt=lambda _: None):
            for record in records:
                for whole in assemblers[record.partition].add(record):
                    yield whole, closings.state(whole.letter)
        for assembler in assemblers.values():
            for whole in assembler.finish():
                yield whole, closings.state(whole.letter)


@asynccontextmanager
async def open_letter_log(
    connection: Connection, organization: str | None = None, on_corrupt: OnCorrupt | None = None
) -> AsyncIterator[LetterLog]:
    """Open the topic up to its end now. `organization`: only its partition is read; None: all are."""
    topic = Topics(connection.kafka.topic_prefix).dead_letters
    await connection.verify()
    async with standalone_consumer(connection, **FETCH_OPTIONS) as consumer:
        numbers = await partitions_of(consumer, topic)
        if organization is not None:
            numbers = [partition_of(organization, len(numbers))]
        bounds = await stable_bounds(consumer, [TopicPartition(topic, number) for number in numbers])
        yield LetterLog(consumer, topic, bounds, on_corrupt)
