"""How far the backfill of an organization has come, from its checkpoint: the status alone does not tell finished from none."""

from management.formatting import iso_seconds
from management.organizations.store import kafka_errors_as_relay_errors
from producer.state import checkpoint as checkpoints
from producer.state.checkpoint import Checkpoint
from producer.state.intervals import TimeRange, missing_ranges
from relay.avro.codec import BadBody, InternalCodec, NotAvro, UnknownSchema
from relay.errors import RelayError
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import partitions_of, read_to_end, stable_bounds, standalone_consumer
from relay.kafka.topics import Topics, partition_of
from relay.organizations import Organization

_FIRST_STEP = 200


async def read_checkpoint(connection: Connection, name: str) -> Checkpoint | None:
    """Return the last checkpoint of an organization. None: no producer has written one. Raises RelayError.

    The partition is read backwards in growing steps: the checkpoint is written with each round, so it is near the end.
    """
    topic, found = Topics(connection.kafka.topic_prefix).progress, list[Record]()

    def keep(record: Record) -> None:
        if record.key == name.encode():
            found.append(record)

    with kafka_errors_as_relay_errors(connection):
        async with standalone_consumer(connection) as consumer:
            tp = TopicPartition(topic, partition_of(name, len(await partitions_of(consumer, topic))))
            bounds = (await stable_bounds(consumer, [tp]))[tp]
            end, step = bounds.last_stable_offset, _FIRST_STEP
            while not found and end > bounds.log_start_offset:
                start = max(bounds.log_start_offset, end - step)
                await read_to_end(consumer, {tp: start}, {tp: end}, keep)
                end, step = start, 2 * step
    return _decode(name, found[-1].value) if found else None


def describe_backfill(organization: Organization, checkpoint: Checkpoint | None) -> str:
    """Return `not requested`, `not started`, `finished`, or how much is left, in days."""
    wanted_from = organization.backfill_from
    if wanted_from is None:
        return "not requested"
    if checkpoint is None:
        return f"not started: events from {iso_seconds(wanted_from)} on are requested"
    whole = TimeRange(wanted_from, checkpoint.live_since)
    missing = missing_ranges(checkpoint.backfilled, whole)
    if not missing:
        return f"finished: events from {iso_seconds(wanted_from)} on are in Kafka"
    if sum(gap.width for gap in missing) >= whole.width:
        return f"not started: events from {iso_seconds(wanted_from)} on are requested"
    return (
        f"running: has reached {iso_seconds(missing[-1].end)} on the way back to {iso_seconds(wanted_from)}"
    )


def _decode(name: str, value: bytes | None) -> Checkpoint | None:
    if value is None:
        return None
    try:
        return checkpoints.from_record(InternalCodec("checkpoint").decode(value))
    except (NotAvro, BadBody, UnknownSchema) as error:
        raise RelayError(f"The progress of {name} cannot be read: {error}") from error
