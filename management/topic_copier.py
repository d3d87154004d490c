"""Copy topics to another Kafka, partition by partition, and compare each copy by reading it."""

import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from management.organizations.store import kafka_errors_as_relay_errors
from management.topic_digest import Digest
from management.topic_portions import (
    DELETE_AND_REPEAT,
    TRANSACTION_BYTES,
    copy_failure,
    portions,
    portions_of_letters,
)
from relay.dead_letters.letter import Header
from relay.dead_letters.moved import OffsetMap, moved_headers
from relay.errors import RelayError
from relay.kafka import Record, TopicPartition, partition_text
from relay.kafka.connection import Connection
from relay.kafka.log_reader import LogBounds, partitions_of, stable_bounds, standalone_consumer
from relay.kafka.producer import ProducerRecord
from relay.kafka.publish_errors import PublishError
from relay.kafka.range_log import OutsideLogError, open_range_log
from relay.kafka.reader_timing import DEFAULT_TIMING
from relay.kafka.topics import Topics, topic_specs
from relay.kafka.transactions import TransactionalProducer

Bounds = Mapping[TopicPartition, LogBounds]

MARKER_SECONDS = 30.0
"""For how long a copy may lack the markers of its transactions, which Kafka writes after it has acknowledged them."""


@dataclass(frozen=True, slots=True)
class TopicCopy:
    """A copied topic. `expired`: records that the other Kafka deleted at once, since they are older than its retention.

    `partitions` 0: the old Kafka has no such topic, as before an upgrade of the relay; it is empty in the other.
    """

    topic: str
    partitions: int
    records: int
    expired: int = 0


class TopicCopier:
    """Copies topics, in their order: a dead letter names the places of an event and of letters that were copied before it."""

    def __init__(self, source: Connection, target: Connection, topics: Topics, max_batch_bytes: int) -> None:
        self._source = source
        self._target = target
        self._max_batch_bytes = max_batch_bytes
        self._letters = topics.dead_letters
        self._named = {topics.events, topics.backfill, topics.dead_letters}
        self._compacted = {
            spec.name for spec in topic_specs(topics, 1) if spec.configs["cleanup.policy"] == "compact"
        }
        self._maps: dict[TopicPartition, OffsetMap] = {}

    async def copy(self, topic: str, before: Bounds) -> TopicCopy:
        """Copy a topic, and compare the copy. Raises RelayError."""
        partitions = [tp for tp in before if tp.topic == topic]
        self._maps |= {tp: OffsetMap() for tp in partitions if topic in self._named}
        copied = []
        for tp in partitions:
            written = Digest(compacted=topic in self._compacted)
            try:
                await self._write(tp, before[tp], written)
            except PublishError as error:
                raise RelayError(copy_failure(error, tp, self._target.bootstrap)) from error
            copied.append((written.records, await _compare(self._target, tp, written)))
        return TopicCopy(
            topic, len(partitions), sum(each for each, _ in copied), sum(each for _, each in copied)
        )

    async def _write(self, tp: TopicPartition, bounds: LogBounds, written: Digest) -> None:
        """Copy a partition, and add each record that is written to `written`. Raises PublishError."""
        producer = await TransactionalProducer.open(
            self._target,
            f"{self._target.kafka.topic_prefix}.copy",
            max_batch_bytes=self._max_batch_bytes,
        )
        try:
            async with aclosing(_read(self._source, tp, bounds)) as parts:
                async for records in parts:
                    for portion in portions(records or (), TRANSACTION_BYTES):
                        for part in portions_of_letters(portion) if tp.topic == self._letters else [portion]:
                            await self._publish(producer, tp, part, written)
        finally:
            await producer.discard()

    async def _publish(
        self, producer: TransactionalProducer, tp: TopicPartition, records: Sequence[Record], written: Digest
    ) -> None:
        letters = tp.topic == self._letters
        copies = [
            _as_written(each, moved_headers(each, self._maps) if letters else each.headers)
            for each in records
        ]
        for copy in copies:
            written.add(copy)
        offsets = await producer.publish(copies)
        if (moved := self._maps.get(tp)) is not None:
            for each, offset in zip(records, offsets, strict=True):
                moved.add(each.offset, offset)


async def _compare(target: Connection, tp: TopicPartition, original: Digest) -> int:
    """Read the copy of a partition; return how many records it lacks by retention. Raises RelayError if it is no copy."""
    found = Digest(compacted=original.compacted)
    bounds = (await read_bounds(target, [tp.topic], MARKER_SECONDS * target.patience))[tp]
    async with aclosing(_read(target, tp, bounds)) as parts:
        async for records in parts:
            if records is None:
                found = Digest(compacted=original.compacted)
            for record in records or ():
                found.add(record)
    if (missing := found.missing_from(original)) is None:
        raise RelayError(
            f"The copy of {partition_text(tp)} at {target.bootstrap} differs from what was read. Use nothing of it. {DELETE_AND_REPEAT}"
        )
    return missing


async def _read(
    connection: Connection, tp: TopicPartition, bounds: LogBounds
) -> AsyncGenerator[Sequence[Record] | None]:
    """Yield the records of a partition; None after a gap, where Kafka deleted what is older than its retention meanwhile."""
    position, end = bounds.log_start_offset, bounds.last_stable_offset
    with kafka_errors_as_relay_errors(connection):
        async with open_range_log(connection, DEFAULT_TIMING.times(connection.patience)) as log:
            while position < end:
                try:
                    async for part in log.read(tp, position, end):
                        position = part.next_offset
                        if part.records:
                            yield part.records
                except OutsideLogError:
                    start = (await log.bounds(tp)).log_start_offset
                    if start <= position:
                        raise
                    position = start
                    yield None


def _as_written(record: Record, headers: Sequence[Header]) -> ProducerRecord:
    return ProducerRecord(
        record.topic, record.partition, record.key, record.value, record.timestamp, list(headers)
    )


async def read_bounds(connection: Connection, topics: Iterable[str], wait_seconds: float = 0.0) -> Bounds:
    """Return the bounds of each partition. Raises RelayError if a transaction is still open after `wait_seconds`."""
    end = time.monotonic() + wait_seconds
    with kafka_errors_as_relay_errors(connection):
        async with standalone_consumer(connection) as consumer:
            partitions = [
                TopicPartition(topic, number)
                for topic in topics
                for number in await partitions_of(consumer, topic)
            ]
            while not _are_stable(bounds := await stable_bounds(consumer, partitions)):
                if time.monotonic() >= end:
                    break
    if waiting := [tp for tp, at in bounds.items() if at.last_stable_offset < at.high_watermark]:
        raise RelayError(
            f"A transaction on {partition_text(waiting[0])} at {connection.bootstrap} has not ended. Kafka ends it within a minute or"
            " two if its producer is gone; run the command again then."
        )
    return bounds


def _are_stable(bounds: Bounds) -> bool:
    return all(at.last_stable_offset >= at.high_watermark for at in bounds.values())
