"""Read ranges of partitions outside of consumer groups, in parts, without passing over what the log no longer has."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import OffsetOutOfRangeError

from relay.kafka import Record, TopicPartition, partition_text
from relay.kafka.connection import Connection
from relay.kafka.log_reader import (
    LogBounds,
    TopicReadError,
    log_bounds,
    poll_records,
    standalone_consumer,
    with_leader,
)
from relay.kafka.reader_timing import DEFAULT_TIMING, ReaderTiming

MAX_RECORDS = 2_000
"""Records of one part, at most."""


class OutsideLogError(TopicReadError):
    """The log has nothing at the position of a reader, neither a record nor its end."""


@dataclass(frozen=True, slots=True)
class RangePart:
    """Committed records in their order, and the offset behind all that was read."""

    records: Sequence[Record]
    next_offset: int


class RangeLog:
    """Reads one partition at a time. A range that the log does not hold raises; nothing is passed over."""

    def __init__(self, consumer: AIOKafkaConsumer, timing: ReaderTiming, max_records: int) -> None:
        self._consumer = consumer
        self._timing = timing
        self._max_records = max_records

    async def with_leader(self, partitions: Sequence[TopicPartition]) -> set[TopicPartition]:
        """Return the partitions that have a leader. Raises NoTopicError."""
        return set(await with_leader(self._consumer, partitions))

    async def bounds(self, tp: TopicPartition) -> LogBounds:
        """Return the bounds of a partition. It ends a reading; the next `read` begins again."""
        self._consumer.unsubscribe()
        return (await log_bounds(self._consumer, [tp], self._timing))[tp]

    async def read(self, tp: TopicPartition, start: int, end: int) -> AsyncGenerator[RangePart]:
        """Yield the committed records of offsets [start, end) until `end` is reached.

        Raises OutsideLogError, CorruptBatchError, and TopicReadError if the position does not advance for
        `timing.idle_seconds`; the time that the caller takes for a part does not count.
        """
        self._consumer.assign([tp])
        self._consumer.seek(tp, start)  # before any await: after one, aiokafka at times reads nothing
        loop = asyncio.get_running_loop()
        position, moved_at = start, loop.time()
        while position < end:
            records = await self._poll(tp, position)
            async with asyncio.timeout(self._timing.answer_seconds):
                reached = min(end, int(await self._consumer.position(tp)))
            if reached > position:
                position = reached
                yield RangePart([each for each in records if each.offset < end], position)
                moved_at = loop.time()
            elif loop.time() - moved_at > self._timing.idle_seconds:
                raise TopicReadError(
                    f"Reading {partition_text(tp)} made no progress at offset {position} for {self._timing.idle_seconds:g} s."
                    " Run `jira-relay topics check`, and see Kafka's log."
                )

    async def _poll(self, tp: TopicPartition, position: int) -> Sequence[Record]:
        try:
            return (await poll_records(self._consumer, self._max_records)).get(tp, ())
        except OffsetOutOfRangeError as error:
            raise OutsideLogError(f"{partition_text(tp)} has nothing at offset {position}.") from error


@asynccontextmanager
async def open_range_log(
    connection: Connection, timing: ReaderTiming = DEFAULT_TIMING, max_records: int = MAX_RECORDS
) -> AsyncIterator[RangeLog]:
    """Open a read_committed reader of ranges, in no group. Raises TopicReadError if Kafka does not answer."""
    options = {
        "auto_offset_reset": "none",  # with a policy, aiokafka would go on elsewhere without a word
        "max_partition_fetch_bytes": 1_048_576,  # its records may be compressed a thousandfold
        "fetch_max_bytes": 4_194_304,
    }
    async with standalone_consumer(connection, timing, **options) as consumer:
        yield RangeLog(consumer, timing, max_records)
