"""Producers' dead letters in the memory of a publisher, and the reader of a redrive."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import cast

from producer.events import UnreadableRecord
from producer.publishing.dead_letters import dead_letter_records
from producer.replays.letters import KafkaLetters
from relay.dead_letters.closings import Closings
from relay.dead_letters.letter import parse_letter
from relay.dead_letters.log import OnCorrupt
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import CorruptBatchError, LogBounds
from relay.replays.job import ReplayRange
from tests.support.dead_letters import AT, StoredRecord
from tests.support.publisher import TOPICS, InMemoryTransactions


class LettersInMemory:
    """The dead-letter topic of an `InMemoryTransactions`, as a `LetterReader`."""

    def __init__(self, transactions: InMemoryTransactions) -> None:
        self._log = transactions.topics[TOPICS.dead_letters]
        self.start = 0
        self.corrupt: range = range(0)
        self.on_batch = lambda: None
        """Called before each batch."""
        self.failures = 0

    @property
    def letters(self) -> KafkaLetters:
        @asynccontextmanager
        async def open_reader(_connection: Connection) -> AsyncIterator["LettersInMemory"]:
            if self.failures:
                self.failures -= 1
                raise TimeoutError
            yield self

        return KafkaLetters(cast("Connection", None), open_reader)

    def put(
        self, *raws: bytes, organization: str = "acme", reason: str = "odd", part_bytes: int = 10_000
    ) -> None:
        """Write letters of these records, as a producer does."""
        for raw in raws:
            self._log += dead_letter_records(
                UnreadableRecord(reason, raw),
                topic=TOPICS.dead_letters,
                partition=0,
                organization=organization,
                at_ms=AT,
                max_value_bytes=part_bytes,
            )

    def ranges(self) -> tuple[ReplayRange, ...]:
        """Return the range of a job that begins now."""
        return (ReplayRange(TOPICS.dead_letters, 0, 0, len(self._log)),)

    def records(self) -> list[Record]:
        return [
            StoredRecord(0, offset, one.key, one.value, tuple(one.headers), one.timestamp)
            for offset, one in enumerate(self._log)
        ]

    def states(self) -> dict[int, str]:
        """Return the state of each letter by the offset of its first part."""
        closings, letters = Closings(), [parse_letter(one) for one in self.records()]
        for letter in letters:
            closings.add(letter)
        return {one.offset: closings.state(one) for one in letters if not one.is_mark and one.part[0] == 1}

    async def bounds(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, LogBounds]:
        return {tp: LogBounds(self.start, len(self._log), len(self._log)) for tp in partitions}

    async def batches(
        self,
        starts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        on_corrupt: OnCorrupt | None = None,
    ) -> AsyncIterator[Sequence[Record]]:
        for tp, start in starts.items():
            position = start
            while position < ends[tp]:
                self.on_batch()
                position = max(position, self.start)
                if position in self.corrupt:
                    error = CorruptBatchError(tp, position, self.corrupt[-1], "its checksum is wrong")
                    if on_corrupt is None:
                        raise error
                    on_corrupt(error)
                    position = error.next_offset
                    continue
                stop = min(
                    position + 3, ends[tp], self.corrupt.start if position < self.corrupt.start else ends[tp]
                )
                yield self.records()[position:stop]
                position = stop
