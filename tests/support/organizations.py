"""What producers and operators write about organizations: the change log and the status."""

from typing import Any

from relay.avro.codec import InternalCodec
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import read_to_end, stable_bounds, standalone_consumer
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics
from relay.status.model import take_over, to_record
from relay.timestamps import now_ms


async def read_change_log(connection: Connection) -> list[dict[str, Any]]:
    """Return the records of the changes topic, oldest first."""
    tp = TopicPartition(Topics(connection.kafka.topic_prefix).changes, 0)
    records: list[Record] = []
    async with standalone_consumer(connection) as reader:
        bounds = (await stable_bounds(reader, [tp]))[tp]
        await read_to_end(
            reader, {tp: bounds.log_start_offset}, {tp: bounds.last_stable_offset}, records.append
        )
    return [InternalCodec("change").decode(record.value or b"") for record in records]


async def put_status(
    connection: Connection,
    name: str,
    state: str = "active",
    reason: str | None = None,
    valid_ms: int = 60_000,
    **fields: Any,
) -> None:
    """Write the status of an organization, as its producer does."""
    status = take_over(state, now_ms(), reason=reason).valid_for(valid_ms)
    async with RecordWriter(connection) as writer:
        topic = Topics(connection.kafka.topic_prefix).status
        value = InternalCodec("status").encode(to_record(status) | fields)
        await writer.send(topic, f"producer/{name}".encode(), value)
