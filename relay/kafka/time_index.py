"""Offsets by time: what Kafka's index returns, corrected by the records themselves."""

import asyncio
from collections.abc import Callable, Mapping

from aiokafka import AIOKafkaConsumer

from relay.kafka import Record, TopicPartition
from relay.kafka.log_reader import CorruptBatchError, read_to_end
from relay.kafka.reader_timing import timing_of

_FIRST_OFFSETS, _MAX_OFFSETS = 100, 5_000
"""Offsets of each partition that are read before the search looks whether it may end; they grow from the first number to the second."""


async def offsets_at(
    consumer: AIOKafkaConsumer, at_ms: int, ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Return the offset of the first committed record of each partition with a timestamp of `at_ms` (ms UTC) or later.

    It is the end of the partition, of `ends`, if there is none before it. Kafka's index may return the end marker of a
    transaction, which has the time of the commit, so the records behind it may be older. Raises an error of KAFKA_FAILURES.
    """
    async with asyncio.timeout(2 * timing_of(consumer).answer_seconds):
        entries = await consumer.offsets_for_times(dict.fromkeys(ends, max(at_ms, 0)))
    near = {tp: int(entry.offset) for tp, entry in entries.items() if entry is not None}
    found = await first_records(consumer, near, ends, lambda record: record.timestamp >= at_ms)
    return {tp: found[tp].offset if tp in found else end for tp, end in ends.items()}


async def first_records(
    consumer: AIOKafkaConsumer,
    starts: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    matches: Callable[[Record], bool],
) -> dict[TopicPartition, Record]:
    """Return the first committed record from `starts` to before `ends` that matches, of each partition that has one.

    Batches that cannot be read are left out. Raises an error of KAFKA_FAILURES.
    """
    found: dict[TopicPartition, Record] = {}

    def look(record: Record) -> None:
        tp = TopicPartition(record.topic, record.partition)
        if tp not in found and matches(record):
            found[tp] = record

    positions, step = dict(starts), _FIRST_OFFSETS
    while pending := [tp for tp, at in positions.items() if tp not in found and at < ends[tp]]:
        stops = {tp: min(positions[tp] + step, ends[tp]) for tp in pending}
        await read_to_end(consumer, {tp: positions[tp] for tp in pending}, stops, look, on_corrupt=_leave_out)
        positions |= stops
        step = min(4 * step, _MAX_OFFSETS)
    return found


def _leave_out(_error: CorruptBatchError) -> None:
    """Ignore a batch that nobody can read: it proves nothing."""
