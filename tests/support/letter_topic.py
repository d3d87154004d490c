"""A dead-letter topic in memory, and redrives of its letters."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

from consumer.decoding.schema_lookup import SchemaLookup
from consumer.delivery.dead_letters import DeadLetterWriter
from consumer.replay.redrive import RedriveSource
from relay.dead_letters.closings import Closings
from relay.dead_letters.letter import DeadLetter, parse_letter
from relay.dead_letters.log import OnCorrupt
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import CorruptBatchError, LogBounds
from relay.kafka.producer import RecordTooLargeError, RecordWriter
from relay.kafka.topics import Topics
from relay.replays.job import ReplayRange
from tests.support.dead_letters import AT, StoredRecord
from tests.support.delivery import FakeDestination
from tests.support.messages import Message, event, message
from tests.support.replay_run import MemorySource, ReplayBench

TOPICS = Topics("p")


class LetterTopic:
    """Records by partition, written as `RecordWriter` does and read as `LetterReader` does.

    `step` is called before and after each write. A key has the partition of its first letter.
    """

    def __init__(self, max_bytes: int = 10_000_000) -> None:
        self.records: dict[int, list[StoredRecord]] = defaultdict(list)
        self.step: Callable[[], None] = lambda: None
        self.max_bytes = max_bytes
        self.places: dict[bytes | None, int] = {}
        """The partition of each key."""
        self.starts: dict[int, int] = defaultdict(int)
        """The first offset that is kept."""
        self.on_batch: Callable[[], None] = lambda: None
        """Called before each batch that is read."""
        self.batch_records = 3
        self.corrupt = range(0)
        """The offsets of a batch that cannot be read, in any partition."""

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        timestamp_ms: int | None = None,
    ) -> int:
        if len(value or b"") > self.max_bytes:
            raise RecordTooLargeError("too large")
        self.step()
        await asyncio.sleep(0)
        place = self.places.setdefault(key, 0 if partition is None else partition)
        partition = place if partition is None else partition
        log = self.records[partition]
        log.append(StoredRecord(partition, len(log), key, value, tuple(headers), timestamp_ms or AT, topic))
        await asyncio.sleep(0)
        self.step()
        return len(log) - 1

    async def bounds(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, LogBounds]:
        ends = {tp: len(self.records[tp.partition]) for tp in partitions}
        return {tp: LogBounds(self.starts[tp.partition], ends[tp], ends[tp]) for tp in partitions}

    async def batches(
        self,
        starts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        on_corrupt: OnCorrupt | None = None,
    ) -> AsyncIterator[Sequence[Record]]:
        for tp, start in starts.items():
            position = start
            while position < ends[tp]:
                await asyncio.sleep(0)
                self.on_batch()
                position = max(position, self.starts[tp.partition])
                if position in self.corrupt:
                    error = CorruptBatchError(tp, position, self.corrupt[-1], "its checksum is wrong")
                    if on_corrupt is None:
                        raise error
                    on_corrupt(error)
                    position = error.next_offset
                    continue
                stop = min(
                    position + self.batch_records,
                    ends[tp],
                    *([self.corrupt.start] if position < self.corrupt.start else []),
                )
                yield self.records[tp.partition][position:stop]
                position = stop

    def letters(self) -> list[DeadLetter]:
        return [parse_letter(record) for log in self.records.values() for record in log]

    def states(self) -> dict[str, str]:
        """Return the state of each letter by its address."""
        closings = Closings()
        for letter in self.letters():
            closings.add(letter)
        firsts = [each for each in self.letters() if not each.is_mark and each.part[0] == 1]
        return {each.address: closings.state(each) for each in firsts}

    async def refuse(self, *numbers: int, reason: str = "too odd", partition: int = 0, **fields: str) -> None:
        """Put the letters of events with these numbers, which the live flow of `sentinel` refused."""
        for number in numbers:
            refused = event(number, organization=f"site-{partition}.example")
            record = message(refused, offset=number, topic="p.events")
            await self.put(record, reason, partition, **fields)

    async def put(
        self,
        record: Message,
        reason: str = "too odd",
        partition: int = 0,
        destination: str = "sentinel",
        **fields: str,
    ) -> None:
        flow = {"flow": "live", **fields}
        place = _Placed(self, partition)
        writer = DeadLetterWriter(
            cast("RecordWriter", place), TOPICS.dead_letters, destination, lambda: AT, fields=lambda _: flow
        )
        await writer.put(cast("Record", record), reason, 400)


class _Placed:
    """Writes every record to one partition."""

    def __init__(self, topic: LetterTopic, partition: int) -> None:
        self._topic = topic
        self._partition = partition

    async def send(self, topic: str, key: bytes | None, value: bytes | None, **options: Any) -> int:
        return await self._topic.send(topic, key, value, **{**options, "partition": self._partition})


class RedriveBench(ReplayBench):
    """One redrive of the letters that were on the topic when the bench was made, and its runs, as after deaths."""

    def __init__(self, topic: LetterTopic, destination: FakeDestination, schemas: Any, **job: Any) -> None:
        ranges = tuple(
            ReplayRange(TOPICS.dead_letters, number, 0, len(log))
            for number, log in sorted(topic.records.items())
        )
        super().__init__(MemorySource({}), destination, schemas, content="dead-letters", **job)
        self.topic = topic
        self.job = replace(self.job, ranges=ranges)

    def new_run(self) -> Any:
        """Return a run with a source of its own, as a new owner has."""
        self.topic.step = self.step
        metrics = self.metrics.for_pipeline("sentinel", "replay")
        writer = cast("RecordWriter", self.topic)

        @asynccontextmanager
        async def open_reader(_connection: Connection) -> AsyncIterator[LetterTopic]:
            yield self.topic

        source = RedriveSource(
            cast("Connection", None),
            self.job,
            TOPICS,
            writer,
            SchemaLookup(self.schemas, metrics),
            lambda: AT + 5,
            open_reader,
        )
        self.source = cast("Any", source)
        self.letters = cast(
            "Any",
            DeadLetterWriter(
                writer, TOPICS.dead_letters, "sentinel", lambda: AT + 5, fields=source.letter_fields
            ),
        )
        return super().new_run()
