"""Read compacted topics: as tables with the latest record of each key, or the records of some keys."""

from collections.abc import Callable, Collection, Iterable

from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import (
    CorruptBatchError,
    partitions_of,
    read_to_end,
    stable_bounds,
    standalone_consumer,
)


def _always_supersedes(_record: Record, _before: Record) -> bool:
    return True


async def read_table(
    connection: Connection,
    topic: str,
    partitions: Iterable[int] | None = None,
    supersedes: Callable[[Record, Record], bool] = _always_supersedes,
    on_corrupt: Callable[[CorruptBatchError], None] | None = None,
) -> dict[bytes, Record]:
    """Return the latest record of each key of a compacted topic, without deleted keys.

    A record for which `supersedes(record, record before)` is False is ignored. `partitions` None: all.
    A batch that cannot be read is passed to `on_corrupt`, and its records are missing. None: raise CorruptBatchError.
    """
    tables = await read_tables(connection, topic, partitions, supersedes, on_corrupt)
    return {key: record for table in tables.values() for key, record in table.items()}


async def read_tables(
    connection: Connection,
    topic: str,
    partitions: Iterable[int] | None = None,
    supersedes: Callable[[Record, Record], bool] = _always_supersedes,
    on_corrupt: Callable[[CorruptBatchError], None] | None = None,
) -> dict[int, dict[bytes, Record]]:
    """Return a table of each partition, by its number; arguments and failures as for `read_table`."""
    async with standalone_consumer(connection) as consumer:
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
        bounds = await stable_bounds(consumer, tps)
        await read_to_end(
            consumer,
            {tp: bounds[tp].log_start_offset for tp in tps},
            {tp: bounds[tp].last_stable_offset for tp in tps},
            keep,
            on_corrupt=on_corrupt,
        )
    return tables


async def read_keys(connection: Connection, topic: str, keys: Collection[bytes]) -> dict[bytes, list[Record]]:
    """Return the records of each key that a compacted topic still has, in their order, from its last deletion on.

    Raises CorruptBatchError for a batch that cannot be read.
    """
    found: dict[bytes, list[Record]] = {key: [] for key in keys}

    def keep(record: Record) -> None:
        records = None if record.key is None else found.get(record.key)
        if records is None:
            return
        if record.value is None:
            records.clear()
        else:
            records.append(record)

    async with standalone_consumer(connection) as consumer:
        tps = [TopicPartition(topic, number) for number in await partitions_of(consumer, topic)]
        bounds = await stable_bounds(consumer, tps)
        await read_to_end(
            consumer,
            {tp: bounds[tp].log_start_offset for tp in tps},
            {tp: bounds[tp].last_stable_offset for tp in tps},
            keep,
        )
    return found
