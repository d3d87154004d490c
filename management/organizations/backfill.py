"""How far the backfill of an organization has come, from its checkpoint: the status alone does not tell finished from none."""

from dataclasses import dataclass
from typing import Literal

from management.formatting import iso_milliseconds, iso_seconds
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


@dataclass(frozen=True, slots=True)
class BackfillProgress:
    """How far the backfill of an organization has come. `wanted_from`, `reached`: ms UTC; None: not requested, not begun."""

    state: Literal["not requested", "not started", "running", "finished"]
    wanted_from: int | None = None
    reached: int | None = None

    def describe(self) -> str:
        """Return the state in words, with times."""
        match self.state:
            case "not requested":
                return "not requested"
            case "not started":
                return f"not started: events from {iso_seconds(self.wanted_from)} on are requested"
            case "finished":
                return f"finished: events from {iso_seconds(self.wanted_from)} on are in Kafka"
        return f"running: has reached {iso_seconds(self.reached)} on the way back to {iso_seconds(self.wanted_from)}"

    def document(self) -> dict[str, str | None]:
        """Return the JSON document."""
        return {
            "state": self.state,
            "wanted_from": iso_milliseconds(self.wanted_from),
            "reached": iso_milliseconds(self.reached),
        }


async def read_backfill(connection: Connection, organization: Organization) -> BackfillProgress:
    """Return how far the backfill has come. Raises RelayError."""
    if organization.backfill_from is None:
        return BackfillProgress("not requested")
    return backfill_progress(organization.backfill_from, await read_checkpoint(connection, organization.name))


def backfill_progress(wanted_from: int, checkpoint: Checkpoint | None) -> BackfillProgress:
    """Return how far a backfill from `wanted_from`, in ms UTC, has come. `checkpoint` None: no producer has written one."""
    if checkpoint is None:
        return BackfillProgress("not started", wanted_from)
    whole = TimeRange(wanted_from, checkpoint.live_since)
    missing = missing_ranges(checkpoint.backfilled, whole)
    if not missing:
        return BackfillProgress("finished", wanted_from, wanted_from)
    if sum(gap.width for gap in missing) >= whole.width:
        return BackfillProgress("not started", wanted_from)
    return BackfillProgress("running", wanted_from, missing[-1].end)


def _decode(name: str, value: bytes | None) -> Checkpoint | None:
    if value is None:
        return None
    try:
        return checkpoints.from_record(InternalCodec("checkpoint").decode(value))
    except (NotAvro, BadBody, UnknownSchema) as error:
        raise RelayError(f"The progress of {name} cannot be read: {error}") from error
