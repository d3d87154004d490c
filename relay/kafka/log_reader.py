import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CorruptRecordException, KafkaError

from relay.errors import RelayError
from relay.kafka import Record, TopicPartition
from relay.kafka.aiokafka_patches.consumer import (
    discard_consumer,
    guard_consumer,
    has_leader,
    high_watermarks,
    is_dead,
    partition_numbers,
)
from relay.kafka.connection import Connection

OPEN_SECONDS = 10.0
ANSWER_SECONDS = 10.0
SETTLE_LOOKS = 6
SETTLE_PAUSE_SECONDS = 0.1


class ReadingError(RelayError):
    """A topic could not be read to its end; trying again may help."""


class DamagedError(ReadingError):
    """A batch cannot be read, and trying again does not help while Kafka has no other copy."""


@dataclass(frozen=True, slots=True)
class Span:
    """What a partition holds: first offset kept, end for read_committed readers, end of the log."""

    first: int
    committed_end: int
    high_watermark: int


@asynccontextmanager
async def group_less(connection: Connection, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A read_committed consumer without a group, assigned nothing yet."""
    consumer = AIOKafkaConsumer(
        **connection.options(),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        request_timeout_ms=5_000,
        **options,
    )
    guard_consumer(consumer)
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            await consumer.start()
        yield consumer
    except TimeoutError as error:
        raise ReadingError("Kafka did not answer a reader in time.") from error
    finally:
        await discard_consumer(consumer, 2)


async def spans(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, Span]:
    """The extent of partitions; the consumer must not be reading."""
    listed = list(partitions)
    async with asyncio.timeout(ANSWER_SECONDS):
        first = await consumer.beginning_offsets(listed)
        high = await high_watermarks(consumer, listed)
        committed = await consumer.end_offsets(
            listed
        )  # after: below `high` then means a transaction without end
    return {tp: Span(first[tp], committed[tp], high[tp]) for tp in listed}


async def settled_spans(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, Span]:
    """Extents once transactions under way have ended, or after half a second.

    A commit is acknowledged before its markers are written: a reader right behind it would miss what it committed.
    """
    for _ in range(SETTLE_LOOKS):
        extents = await spans(consumer, partitions)
        if all(extent.committed_end >= extent.high_watermark for extent in extents.values()):
            break
        await asyncio.sleep(SETTLE_PAUSE_SECONDS)
    return extents


async def settled_span(consumer: AIOKafkaConsumer, tp: TopicPartition) -> Span:
    """The extent of one partition; raises ReadingError where a transaction has not ended."""
    span = (await settled_spans(consumer, [tp]))[tp]
    if span.committed_end < span.high_watermark:
        raise ReadingError(f"A transaction on {tp.topic}, partition {tp.partition}, has not ended.")
    return span


async def read_to_end(
    consumer: AIOKafkaConsumer,
    starts: dict[TopicPartition, int],
    ends: dict[TopicPartition, int],
    on_record: Callable[[Record], None],
    idle_seconds: float = 20.0,
    at_once: int | None = None,
) -> None:
    """Hand over every committed record from `starts` to before `ends`, so many at once.

    Raises ReadingError when nothing moves for `idle_seconds`.
    """
    consumer.assign(list(starts))
    for tp, offset in starts.items():
        consumer.seek(
            tp, offset
        )  # before any await: seek_to_beginning later reads nothing, silently, at times
    remaining = {tp for tp in starts if starts[tp] < ends[tp]}
    loop = asyncio.get_running_loop()
    moved_at = loop.time()
    positions = dict(starts)
    while remaining:
        for records in (await _some(consumer, at_once)).values():
            for record in records:
                if record.offset < ends[TopicPartition(record.topic, record.partition)]:
                    on_record(record)
        for tp in list(remaining):
            position = await _position(consumer, tp)
            if position != positions[tp]:
                positions[tp], moved_at = position, loop.time()
            if position >= ends[tp]:
                remaining.discard(tp)
        if loop.time() - moved_at > idle_seconds:
            raise ReadingError(f"Reading {sorted(remaining)} stood still for {idle_seconds:.0f} s.")


async def records_at(
    connection: Connection, offsets: Mapping[TopicPartition, int]
) -> dict[TopicPartition, Record | None]:
    """The committed records at these offsets, None where none stands; what is not kept any more, or damaged on disk, is left out.

    Raises ReadingError where a partition ends before the offset.
    """
    found: dict[TopicPartition, Record | None] = {}
    damaged = set()

    def keep(record: Record) -> None:
        found[TopicPartition(record.topic, record.partition)] = record

    async with group_less(connection) as consumer:
        extents = await spans(consumer, list(offsets))
        for tp, offset in offsets.items():
            if offset >= extents[tp].committed_end:
                raise ReadingError(
                    f"{tp.topic}, partition {tp.partition}, ends at offset {extents[tp].committed_end}, before {offset}."
                )
        for tp, offset in offsets.items():
            try:
                await read_to_end(consumer, {tp: offset}, {tp: offset + 1}, keep, at_once=1)
            except DamagedError:
                damaged.add(tp)
        async with asyncio.timeout(ANSWER_SECONDS):
            first = await consumer.beginning_offsets(list(offsets))
    return {
        tp: found.get(tp)
        for tp, offset in offsets.items()
        if tp in found or (offset >= first[tp] and tp not in damaged)
    }


async def _some(consumer: AIOKafkaConsumer, at_once: int | None) -> dict[TopicPartition, list[Record]]:
    if is_dead(consumer):
        raise ReadingError("The reader died inside.")
    try:
        records: dict[TopicPartition, list[Record]] = await consumer.getmany(
            timeout_ms=200, max_records=at_once
        )
    except CorruptRecordException as error:  # it names the partition
        raise DamagedError(
            f"A batch is damaged on Kafka's disk, its checksum is wrong ({error}): let a replica lead that has it whole."
        ) from error
    return records


async def _position(consumer: AIOKafkaConsumer, tp: TopicPartition) -> int:
    async with asyncio.timeout(ANSWER_SECONDS):
        return int(await consumer.position(tp))


async def partitions_of(consumer: AIOKafkaConsumer, topic: str) -> list[int]:
    """Numbers of a topic's partitions; raises RelayError when there is no such topic."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            found = await partition_numbers(consumer, topic)
    except KafkaError as error:
        raise RelayError(f"Kafka has no topic {topic}: run `jira-relay topics create`.") from error
    return sorted(found)


async def led(consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
    """Those that have a leader: who asks for others with them is told of none."""
    for topic in {tp.topic for tp in partitions}:
        await partitions_of(consumer, topic)
    return [tp for tp in partitions if has_leader(consumer, tp)]


def _always(_record: Record, _before: Record) -> bool:
    return True


async def read_table(
    connection: Connection,
    topic: str,
    partitions: Iterable[int] | None = None,
    supersedes: Callable[[Record, Record], bool] = _always,
) -> dict[bytes, Record]:
    """The latest record of each key of a compacted topic, as it stands now; deleted keys are left out.

    A record that does not supersede the one before it counts for nothing.
    """
    tables = await read_tables(connection, topic, partitions, supersedes)
    return {key: record for table in tables.values() for key, record in table.items()}


async def read_tables(
    connection: Connection,
    topic: str,
    partitions: Iterable[int] | None = None,
    supersedes: Callable[[Record, Record], bool] = _always,
) -> dict[int, dict[bytes, Record]]:
    """The same for each partition by itself: what stands in one says nothing of another."""
    async with group_less(connection) as consumer:
        numbers = list(partitions) if partitions is not None else await partitions_of(consumer, topic)
        tables: dict[int, dict[bytes, Record]] = {number: {} for number in numbers}

        def keep(record: Record) -> None:
            table = tables[record.partition]
            if record.key is None:
                return
            if record.value is None:
                table.pop(record.key, None)
            elif (before := table.get(record.key)) is None or supersedes(record, before):
                table[record.key] = record

        tps = [TopicPartition(topic, number) for number in numbers]
        extents = await settled_spans(consumer, tps)
        await read_to_end(
            consumer,
            {tp: extents[tp].first for tp in tps},
            {tp: extents[tp].committed_end for tp in tps},
            keep,
        )
    return tables
