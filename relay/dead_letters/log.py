"""Read the dead-letter topic in bounded memory: all letters in their order, each with its state."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from relay.dead_letters.assembly import LetterAssembler, WholeLetter
from relay.dead_letters.closings import Closings, LetterState
from relay.dead_letters.duplicates import Duplicates, RepeatFinder
from relay.dead_letters.letter import DeadLetter, parse_letter
from relay.kafka import Record, TopicPartition
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


class LetterReader(Protocol):
    """Reads ranges of the topic, one after the other."""

    async def bounds(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, LogBounds]: ...

    def batches(
        self,
        starts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        on_corrupt: OnCorrupt | None = None,
    ) -> AsyncIterator[Sequence[Record]]:
        """Yield the records from `starts` to before `ends`, those of a partition in order. Raises an error of KAFKA_FAILURES."""


OpenLetterReader = Callable[[Connection], AbstractAsyncContextManager[LetterReader]]


class KafkaLetterReader:
    """A `LetterReader` of a consumer without a group."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    async def partitions(self, topic: str) -> list[int]:
        return await partitions_of(self._consumer, topic)

    async def bounds(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, LogBounds]:
        return await stable_bounds(self._consumer, partitions)

    def batches(
        self,
        starts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        on_corrupt: OnCorrupt | None = None,
    ) -> AsyncIterator[Sequence[Record]]:
        return read_batches(self._consumer, starts, ends, on_corrupt=on_corrupt)


class LetterLog:
    """The letters that were on the topic when it was opened.

    It is read several times: the records that close a letter are behind it, so they are looked up first.
    """

    def __init__(
        self,
        reader: LetterReader,
        topic: str,
        bounds: Mapping[TopicPartition, LogBounds],
        on_corrupt: OnCorrupt | None = None,
        replay: str | None = None,
    ) -> None:
        """`on_corrupt`: takes batches that cannot be read, which are left out; None: reading raises CorruptBatchError.

        `replay`: the job whose closings are remembered apart, too.
        """
        self.reader = reader
        self.topic = topic
        self.bounds = bounds
        self._on_corrupt = on_corrupt
        self._replay = replay
        self._index: tuple[Closings, RepeatFinder] | None = None

    async def closings(self) -> Closings:
        """Return which letters are closed, by the records up to the end."""
        return (await self._read_index())[0]

    async def letters(self) -> AsyncIterator[tuple[WholeLetter, LetterState]]:
        """Yield every letter with its state: those of a partition in the order of their last parts, incomplete ones last."""
        closings, repeats = await self._read_index()

        def state_of(whole: WholeLetter) -> LetterState:
            return "duplicate" if repeats.was_written_anew(whole) else closings.state(whole.letter)

        assemblers = {tp.partition: LetterAssembler() for tp in self.bounds}
        async for records in self.reader.batches(*self._range(), self._on_corrupt):
            for record in records:
                for whole in assemblers[record.partition].add(record):
                    yield whole, state_of(whole)
        for assembler in assemblers.values():
            for whole in assembler.finish():
                yield whole, state_of(whole)

    async def duplicates(self, is_wanted: Callable[[DeadLetter], bool]) -> Duplicates:
        """Return which letters are duplicates of others, among the whole ones that are wanted or open."""
        found, repeats = Duplicates(), (await self._read_index())[1]
        if repeats.found:
            async for whole, state in self.letters():
                if whole.missing is not None or not repeats.is_repeated(whole.letter):
                    continue
                wanted = is_wanted(whole.letter)
                if wanted or state == "open":
                    found.add(whole, wanted=wanted)
        return found

    async def _read_index(self) -> tuple[Closings, RepeatFinder]:
        if self._index is None:
            closings, repeats = Closings(self._replay), RepeatFinder()
            async for records in self.reader.batches(*self._range(), self._on_corrupt):
                for letter in map(parse_letter, records):
                    closings.add(letter)
                    repeats.add(letter)
            self._index = closings, repeats
        return self._index

    def _range(self) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        starts = {tp: each.log_start_offset for tp, each in self.bounds.items()}
        return starts, {tp: each.last_stable_offset for tp, each in self.bounds.items()}


async def deleted_before(reader: LetterReader, tp: TopicPartition, position: int, found: int) -> int:
    """Return how many offsets from `position` on Kafka has deleted before they were read. `found`: the next one that was read.

    The marker of a transaction takes one offset, so a gap of one is none.
    """
    if found - position <= 1:
        return 0
    return max(0, min((await reader.bounds([tp]))[tp].log_start_offset, found) - position)


@asynccontextmanager
async def open_letter_reader(connection: Connection) -> AsyncIterator[KafkaLetterReader]:
    """Yield a reader. Raises an error of KAFKA_FAILURES if Kafka does not answer."""
    await connection.verify()
    async with standalone_consumer(connection, **FETCH_OPTIONS) as consumer:
        yield KafkaLetterReader(consumer)


@asynccontextmanager
async def open_letter_log(
    connection: Connection, organization: str | None = None, on_corrupt: OnCorrupt | None = None
) -> AsyncIterator[LetterLog]:
    """Open the topic up to its end now. `organization`: only its partition is read; None: all are.

    All are read, too, where the topic has got more partitions than there are shards: older letters are in another one.
    """
    topics = Topics(connection.kafka.topic_prefix)
    topic = topics.dead_letters
    async with open_letter_reader(connection) as reader:
        numbers = await reader.partitions(topic)
        if organization is not None and len(numbers) == len(await reader.partitions(topics.organizations)):
            numbers = [partition_of(organization, len(numbers))]
        bounds = await reader.bounds([TopicPartition(topic, number) for number in numbers])
        yield LetterLog(reader, topic, bounds, on_corrupt)
