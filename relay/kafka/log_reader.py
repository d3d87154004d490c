"""Read topics outside of consumer groups: bounds of the log, and ranges of records."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError

from relay.errors import RelayError, describe
from relay.kafka import Record, TopicPartition, partitions_text
from relay.kafka.aiokafka_patches.consumer import (
    discard_consumer,
    has_leader,
    high_watermarks,
    is_dead,
    partition_numbers,
    patch_consumer,
)
from relay.kafka.aiokafka_patches.fetch_validation import CorruptFetchError, FetchValidator
from relay.kafka.connection import Connection
from relay.kafka.reader_timing import DEFAULT_TIMING, ReaderTiming, set_timing, timing_of
from relay.kafka.topics import NOT_VISIBLE


class TopicReadError(RelayError):
    """A topic was not read to its end. A later attempt may succeed."""


class NoTopicError(RelayError):
    """A topic does not exist, or the user may not see it."""


class CorruptBatchError(TopicReadError):
    """A batch is corrupt or malformed. A retry does not help while no other replica leads."""

    def __init__(self, tp: TopicPartition, offset: int, last_offset: int, fault: str) -> None:
        self.tp = tp
        self.offset = offset
        self.next_offset = last_offset + 1
        super().__init__(
            f"A batch of {tp.topic}, partition {tp.partition}, cannot be read from offset {offset} on ({fault}). Elect a"
            " leader that has an intact copy (`kafka-leader-election.sh`). If none has it, give up the records up to it: kafka-delete-records.sh,"
            f" offset {self.next_offset} (a compacted topic needs cleanup.policy=compact,delete with retention.ms=-1 meanwhile)."
        )


@dataclass(frozen=True, slots=True)
class LogBounds:
    """First kept offset, end for read_committed readers, and end of the log of one partition."""

    log_start_offset: int
    last_stable_offset: int
    high_watermark: int


@asynccontextmanager
async def standalone_consumer(
    connection: Connection, timing: ReaderTiming | None = None, **options: Any
) -> AsyncIterator[AIOKafkaConsumer]:
    """Yield a read_committed consumer without group and partitions. Raises TopicReadError if Kafka does not answer.

    `timing` None: the default, with the connection's patience. It holds for every function that gets the consumer.
    """
    timing = timing or DEFAULT_TIMING.times(connection.patience)
    defaults = {
        "isolation_level": "read_committed",
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "request_timeout_ms": int(5_000 * connection.patience),
        "check_crcs": False,  # FetchValidator does
    }
    consumer = AIOKafkaConsumer(**connection.options(), **(defaults | options))
    patch_consumer(consumer, connection.login)
    set_timing(consumer, timing)
    try:
        async with asyncio.timeout(timing.open_seconds):
            await consumer.start()
        FetchValidator().attach_to_reader(consumer)
        yield consumer
    except TimeoutError as error:
        raise TopicReadError(
            f"Kafka did not answer a reader within {timing.open_seconds:g} s. Run `jira-relay check`."
        ) from error
    finally:
        await discard_consumer(consumer, 2)


async def log_bounds(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], timing: ReaderTiming | None = None
) -> dict[TopicPartition, LogBounds]:
    """Return the bounds of partitions. The consumer must not be reading."""
    listed, timing = list(partitions), timing or timing_of(consumer)
    async with asyncio.timeout(timing.answer_seconds):
        first = await consumer.beginning_offsets(listed)
        high = await high_watermarks(consumer, listed)
        # Read after `high`: an offset below it then means an open transaction, and not a later write.
        committed = await consumer.end_offsets(listed)
    return {tp: LogBounds(first[tp], committed[tp], high[tp]) for tp in listed}


async def stable_bounds(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], timing: ReaderTiming | None = None
) -> dict[TopicPartition, LogBounds]:
    """Return the bounds once open transactions have ended, or after half a second.

    Kafka acknowledges a commit before it writes the markers, so a reader that follows at once would miss the
    committed records.
    """
    timing = timing or timing_of(consumer)
    for _ in range(timing.stable_attempts):
        bounds = await log_bounds(consumer, partitions, timing)
        if all(extent.last_stable_offset >= extent.high_watermark for extent in bounds.values()):
            break
        await asyncio.sleep(timing.stable_pause_seconds)
    return bounds


async def require_stable_bounds(consumer: AIOKafkaConsumer, tp: TopicPartition) -> LogBounds:
    """Return the bounds of one partition. Raises TopicReadError if a transaction stays open."""
    bounds = (await stable_bounds(consumer, [tp]))[tp]
    if bounds.last_stable_offset < bounds.high_watermark:
        raise TopicReadError(
            f"A transaction on {tp.topic}, partition {tp.partition}, has not ended; reading is tried again."
        )
    return bounds


async def read_to_end(
    consumer: AIOKafkaConsumer,
    starts: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    on_record: Callable[[Record], None],
    max_records: int | None = None,
    on_corrupt: Callable[[CorruptBatchError], None] | None = None,
    timing: ReaderTiming | None = None,
) -> None:
    """Pass every committed record from `starts` to before `ends` to `on_record`, at most `max_records` in one poll.

    Pass a batch that cannot be read to `on_corrupt`, and skip it. None: raise CorruptBatchError.
    Raises TopicReadError if no position advances for `timing.idle_seconds`.
    """
    async for records in read_batches(consumer, starts, ends, max_records, on_corrupt, timing):
        for record in records:
            on_record(record)


async def read_batches(
    consumer: AIOKafkaConsumer,
    starts: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    max_records: int | None = None,
    on_corrupt: Callable[[CorruptBatchError], None] | None = None,
    timing: ReaderTiming | None = None,
) -> AsyncIterator[list[Record]]:
    """Yield the records that `read_to_end` passes, those of a partition in order. Nothing is read while the caller works."""
    timing = timing or timing_of(consumer)
    consumer.assign(list(starts))
    # Seek before any await: after one, aiokafka at times reads nothing, without an error.
    for tp, offset in starts.items():
        consumer.seek(tp, offset)
    remaining = {tp for tp in starts if starts[tp] < ends[tp]}
    loop = asyncio.get_running_loop()
    moved_at = loop.time()
    positions = dict(starts)
    while remaining:
        for tp, records in (await _poll_past_corrupt(consumer, max_records, on_corrupt)).items():
            yield [record for record in records if record.offset < ends[tp]]
        for tp in list(remaining):
            position = await _position(consumer, tp, timing)
            if position != positions[tp]:
                positions[tp], moved_at = position, loop.time()
            if position >= ends[tp]:
                remaining.discard(tp)
        if loop.time() - moved_at > timing.idle_seconds:
            raise TopicReadError(
                f"Reading {partitions_text(remaining)} made no progress for {timing.idle_seconds:g} s. "
                "Run `jira-relay topics check`, and see Kafka's log."
            )


async def records_at(
    connection: Connection, offsets: Mapping[TopicPartition, int]
) -> dict[TopicPartition, Record | None]:
    """Return the committed record at each offset, None if the offset holds none.
    Deleted and corrupt offsets are left out.

    Raises TopicReadError if a partition ends before the offset.
    """
    found: dict[TopicPartition, Record | None] = {}
    corrupt = set()

    def keep(record: Record) -> None:
        found[TopicPartition(record.topic, record.partition)] = record

    async with standalone_consumer(connection) as consumer:
        bounds = await log_bounds(consumer, list(offsets))
        for tp, offset in offsets.items():
            if offset >= bounds[tp].last_stable_offset:
                raise TopicReadError(
                    f"{tp.topic}, partition {tp.partition}, ends at offset {bounds[tp].last_stable_offset}, before {offset}."
                )
        for tp, offset in offsets.items():
            try:
                await read_to_end(consumer, {tp: offset}, {tp: offset + 1}, keep, max_records=1)
            except CorruptBatchError:
                corrupt.add(tp)
        async with asyncio.timeout(timing_of(consumer).answer_seconds):
            first = await consumer.beginning_offsets(list(offsets))
    return {
        tp: found.get(tp)
        for tp, offset in offsets.items()
        if tp in found or (offset >= first[tp] and tp not in corrupt)
    }


async def _poll_past_corrupt(
    consumer: AIOKafkaConsumer,
    max_records: int | None,
    on_corrupt: Callable[[CorruptBatchError], None] | None,
) -> dict[TopicPartition, Sequence[Record]]:
    try:
        return await poll_records(consumer, max_records)
    except CorruptBatchError as error:
        if on_corrupt is None:
            raise
        consumer.seek(error.tp, error.next_offset)
        on_corrupt(error)
        return {}


async def poll_records(
    consumer: AIOKafkaConsumer, max_records: int | None
) -> dict[TopicPartition, Sequence[Record]]:
    """Return what a reader has fetched, after at most 0.2 s. Raises CorruptBatchError, TopicReadError or KafkaError."""
    if is_dead(consumer):
        raise TopicReadError(
            "The reader's fetch task ended silently. Try again; if this repeats, see Kafka's log."
        )
    try:
        records: dict[TopicPartition, Sequence[Record]] = await consumer.getmany(
            timeout_ms=200, max_records=max_records
        )
    except CorruptFetchError as error:
        raise CorruptBatchError(error.tp, error.offset, error.batch.last_offset, error.batch.fault) from error
    return records


async def _position(consumer: AIOKafkaConsumer, tp: TopicPartition, timing: ReaderTiming) -> int:
    async with asyncio.timeout(timing.answer_seconds):
        return int(await consumer.position(tp))


async def partitions_of(
    consumer: AIOKafkaConsumer, topic: str, timing: ReaderTiming | None = None
) -> list[int]:
    """Return the partition numbers of a topic.

    Raises NoTopicError if it does not exist, or the user may not see it; TopicReadError if Kafka does not say.
    """
    timing = timing or timing_of(consumer)
    try:
        async with asyncio.timeout(timing.answer_seconds):
            found = await partition_numbers(consumer, topic)
    except TopicAuthorizationFailedError as error:
        raise NoTopicError(f"{topic}: {NOT_VISIBLE}") from error
    except UnknownTopicOrPartitionError as error:
        raise NoTopicError(f"Kafka has no topic {topic}: run `jira-relay topics create`.") from error
    except KafkaError as error:
        raise TopicReadError(
            f"Kafka does not say whether it has the topic {topic}: {describe(error)}. Run `jira-relay check`."
        ) from error
    return sorted(found)


async def with_leader(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
) -> list[TopicPartition]:
    """Return the partitions that have a leader. A request that names one without leader fails for all."""
    for topic in {tp.topic for tp in partitions}:
        await partitions_of(consumer, topic)
    return [tp for tp in partitions if has_leader(consumer, tp)]
