"""Entries of the history of changes that a plan of a replay must know."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from relay.avro.codec import BadBody, InternalCodec, NotAvro, UnknownSchema
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import read_to_end, stable_bounds, standalone_consumer
from relay.kafka.topics import Topics

_READ_SECONDS = 30.0


async def read_changes(
    connection: Connection, is_wanted: Callable[[str], bool]
) -> Sequence[Mapping[str, Any]]:
    """Return the changes of wanted keys in their order, as schemas/change.avsc has them; not those of a newer release.

    Raises an error of KAFKA_FAILURES.
    """
    partition = TopicPartition(Topics(connection.kafka.topic_prefix).changes, 0)
    codec, found = InternalCodec("change"), []

    def keep(record: Record) -> None:
        if not is_wanted((record.key or b"").decode(errors="replace")):
            return
        try:
            found.append(codec.decode(record.value or b""))
        except (NotAvro, BadBody, UnknownSchema):
            return

    async with asyncio.timeout(_READ_SECONDS), standalone_consumer(connection) as consumer:
        bounds = (await stable_bounds(consumer, [partition]))[partition]
        starts, ends = {partition: bounds.log_start_offset}, {partition: bounds.last_stable_offset}
        await read_to_end(consumer, starts, ends, keep)
    return found
