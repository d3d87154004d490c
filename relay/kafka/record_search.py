"""Search a partition for records, outside of consumer groups."""

from collections.abc import Callable, Mapping

from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import CorruptBatchError, read_to_end, stable_bounds, standalone_consumer

CHUNK_OFFSETS = 5_000
"""Offsets that are read before the search looks whether it may end."""
LOOKBACK_OFFSETS = 10_000


async def find_record(
    connection: Connection,
    partition: TopicPartition,
    start: int,
    matches: Callable[[Record], bool],
    is_past: Callable[[Record], bool],
) -> Record | None:
    """Return the first committed record from `start` on that matches; None if there is none before the end.

    A record for which `is_past` is true ends the search. Batches that cannot be read are left out. Raises TopicReadError.
    """
    found: list[Record] = []
    past = False

    def look(record: Record) -> None:
        nonlocal past
        if not past and not found and matches(record):
            found.append(record)
        past = past or is_past(record)

    async with standalone_consumer(connection) as consumer:
        bounds = (await stable_bounds(consumer, [partition]))[partition]
        position = max(start, bounds.log_start_offset)
        while position < bounds.last_stable_offset and not found and not past:
            stop = min(position + CHUNK_OFFSETS, bounds.last_stable_offset)
            await read_to_end(consumer, {partition: position}, {partition: stop}, look, on_corrupt=_leave_out)
            position = stop
    return found[0] if found else None


async def last_record_before(connection: Connection, partition: TopicPartition, offset: int) -> Record | None:
    """Return the last committed record before an offset; None if the 10,000 offsets before it hold none.

    Batches that cannot be read are left out. Raises TopicReadError.
    """
    return (await last_records_before(connection, {partition: offset})).get(partition)


async def last_records_before(
    connection: Connection, offsets: Mapping[TopicPartition, int]
) -> dict[TopicPartition, Record]:
    """Return the last committed record before the offset of each partition, as `last_record_before`, over one connection."""
    found: dict[TopicPartition, Record] = {}

    def keep(record: Record) -> None:
        found[TopicPartition(record.topic, record.partition)] = record

    async with standalone_consumer(connection) as consumer:
        bounds = await stable_bounds(consumer, list(offsets))
        ends = {tp: min(offset, bounds[tp].last_stable_offset) for tp, offset in offsets.items()}
        for lookback in (100, LOOKBACK_OFFSETS):
            starts = {
                tp: max(bounds[tp].log_start_offset, end - lookback)
                for tp, end in ends.items()
                if tp not in found
            }
            if not starts:
                break
            stops = {tp: ends[tp] for tp in starts}
            await read_to_end(consumer, starts, stops, keep, on_corrupt=_leave_out)
    return found


def _leave_out(_error: CorruptBatchError) -> None:
    """Ignore a batch that nobody can read: it proves nothing."""
