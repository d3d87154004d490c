"""Compacted topics as tables that follow their topics: each look reads only what is new."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer

from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import (
    CorruptBatchError,
    LogBounds,
    partitions_of,
    read_to_end,
    stable_bounds,
    standalone_consumer,
)

Supersedes = Callable[[Record, Record], bool]
"""Maps a later record and the one before it to whether the later one replaces it."""


def always_supersedes(_record: Record, _before: Record) -> bool:
    """Return true: the latest record of a key counts."""
    return True


@dataclass(frozen=True, slots=True)
class TableTiming:
    """`reread_seconds`: age at which everything is read again.

    A deletion that Kafka has removed meanwhile, or a topic that was created again, shows then.
    """

    reread_seconds: float = 3600.0


DEFAULT_TIMING = TableTiming()


@dataclass(slots=True)
class FollowedTable:
    """A topic as it was at the last look: tables by partition, and the batches that cannot be read."""

    partitions: dict[int, dict[bytes, Record]] = field(default_factory=dict)
    corrupt_batches: list[CorruptBatchError] = field(default_factory=list)


class FollowedTables:
    """The tables of some compacted topics. One task at a time uses it, and closes it in the end.

    Two consumers: bounds are looked up by one that never reads, as aiokafka requires, and records read by the other.
    After a failure both are discarded; the next look opens new ones and goes on at the former positions.
    """

    def __init__(
        self, connection: Connection, topics: Mapping[str, Supersedes], timing: TableTiming = DEFAULT_TIMING
    ) -> None:
        self._connection = connection
        self._supersedes = topics
        self._timing = timing
        self._stack: AsyncExitStack | None = None
        self._consumers: tuple[AIOKafkaConsumer, AIOKafkaConsumer] | None = None
        self._tables = {topic: FollowedTable() for topic in topics}
        self._positions: dict[TopicPartition, int] = {}
        self._read_all_at: float | None = None

    def table(self, topic: str) -> FollowedTable:
        return self._tables[topic]

    async def refresh(self) -> set[str]:
        """Read what is new, to the present ends. Return the topics whose tables changed. Raises an error of KAFKA_FAILURES."""
        try:
            bounder, reader = await self._open()
            if self._is_reread_due():
                return await self._read_all(bounder, reader)
            return await self._read_news(bounder, reader)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the consumers. The tables and positions are kept."""
        stack, self._stack, self._consumers = self._stack, None, None
        if stack is not None:
            await stack.aclose()

    async def _open(self) -> tuple[AIOKafkaConsumer, AIOKafkaConsumer]:
        if self._consumers is None:
            await self._connection.verify()
            self._stack = AsyncExitStack()
            bounder = await self._stack.enter_async_context(standalone_consumer(self._connection))
            reader = await self._stack.enter_async_context(standalone_consumer(self._connection))
            self._consumers = bounder, reader
        return self._consumers

    def _is_reread_due(self) -> bool:
        return (
            self._read_all_at is None or time.monotonic() - self._read_all_at >= self._timing.reread_seconds
        )

    async def _read_all(self, bounder: AIOKafkaConsumer, reader: AIOKafkaConsumer) -> set[str]:
        began = time.monotonic()
        tps = [
            TopicPartition(topic, number)
            for topic in self._tables
            for number in await partitions_of(bounder, topic)
        ]
        bounds = await stable_bounds(bounder, tps)
        tables = {topic: FollowedTable() for topic in self._tables}
        for tp in tps:
            tables[tp.topic].partitions[tp.partition] = {}
        await self._read(reader, tables, {tp: bounds[tp].log_start_offset for tp in tps}, bounds)
        self._tables, self._read_all_at = tables, began
        self._positions = {tp: bounds[tp].last_stable_offset for tp in tps}
        return set(tables)

    async def _read_news(self, bounder: AIOKafkaConsumer, reader: AIOKafkaConsumer) -> set[str]:
        bounds = await stable_bounds(bounder, list(self._positions))
        if any(bounds[tp].last_stable_offset < position for tp, position in self._positions.items()):
            return await self._read_all(bounder, reader)  # the log lost its end, or is another one
        starts = {
            tp: max(position, bounds[tp].log_start_offset)
            for tp, position in self._positions.items()
            if position < bounds[tp].last_stable_offset
        }
        if not starts:
            return set()
        await self._read(reader, self._tables, starts, bounds)
        self._positions |= {tp: bounds[tp].last_stable_offset for tp in starts}
        return {tp.topic for tp in starts}

    async def _read(
        self,
        reader: AIOKafkaConsumer,
        tables: Mapping[str, FollowedTable],
        starts: dict[TopicPartition, int],
        bounds: Mapping[TopicPartition, LogBounds],
    ) -> None:
        """Read [start, end) of each partition into `tables`. A record that is read twice changes nothing."""

        def keep(record: Record) -> None:
            table = tables[record.topic].partitions[record.partition]
            if record.key is None:
                return
            if record.value is None:
                table.pop(record.key, None)
            elif (before := table.get(record.key)) is None or self._supersedes[record.topic](record, before):
                table[record.key] = record

        def keep_corrupt(error: CorruptBatchError) -> None:
            tables[error.tp.topic].corrupt_batches.append(error)

        ends = {tp: bounds[tp].last_stable_offset for tp in starts}
        await read_to_end(reader, starts, ends, keep, on_corrupt=keep_corrupt)


def records_of(table: FollowedTable) -> Iterable[Record]:
    """Yield the latest record of each key in each partition."""
    return (record for partition in table.partitions.values() for record in partition.values())
