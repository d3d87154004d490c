"""What the producers have recorded of each organization: its checkpoint and its ledgers, from the topic of progress."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from producer.state import checkpoint as checkpoints
from producer.state.checkpoint import Checkpoint
from producer.state.ledger import MAX_ID, DayLedger, day_ledger_from_record, split_progress_key
from relay.avro.codec import BadBody, InternalCodec, NotAvro, UnknownSchema
from relay.kafka.compacted_topics import read_table
from relay.kafka.connection import Connection
from relay.kafka.topics import Topics
from relay.timestamps import DAY_MS, day_start

_UNREADABLE = (NotAvro, BadBody, UnknownSchema)


@dataclass(slots=True)
class RecordedProgress:
    """The progress of one organization. `ledgers` by day; an expired one is missing. None: no producer has written a checkpoint."""

    checkpoint: Checkpoint | None = None
    ledgers: dict[str, DayLedger] = field(default_factory=dict)

    def ids(self, day: str) -> frozenset[int] | None:
        """Return the ids of the events of a day. None: its ledger has expired, or there never was one."""
        ledger = self.ledgers.get(day)
        return None if ledger is None else frozenset(key for key in ledger.ids if key <= MAX_ID)

    def is_collected(self, created: int) -> bool:
        """Return whether the relay is to have the events of an instant: it was live by then, or backfill has covered it."""
        if self.checkpoint is None:
            return False
        if created >= self.checkpoint.live_since:
            return created < self.checkpoint.window_end
        return any(created in covered for covered in self.checkpoint.backfilled)

    def is_awaited(self, created: int) -> bool:
        """Return whether the relay is to have the events of an instant, and its polling has not come to it yet."""
        return self.checkpoint is None or created >= max(
            self.checkpoint.live_since, self.checkpoint.window_end
        )


@dataclass(frozen=True, slots=True)
class Marks:
    """The instants of a checkpoint that say what can be counted (ms UTC); as `Checkpoint` has them."""

    live_since: int
    window_end: int
    week_mark: int

    def is_past_late_records(self, day: str, late_days: int) -> bool:
        """Return whether the last re-read of the week came after the time in which records of the day may come late."""
        return self.week_mark >= end_of_lateness(day, late_days)


@dataclass(slots=True)
class ProgressSummary:
    """What a plan needs of the progress of one organization. `marks` None: no producer has written a checkpoint.

    `counts`: by day, how many ids its ledger has; an expired one is missing.
    """

    marks: Marks | None = None
    counts: dict[str, int] = field(default_factory=dict)


def marks_of(checkpoint: Checkpoint) -> Marks:
    """Return the instants of a checkpoint that a plan needs."""
    return Marks(checkpoint.live_since, checkpoint.window_end, checkpoint.week_mark)


def id_count(ledger: DayLedger) -> int:
    """Return how many ids a ledger has, without listing them."""
    return int(ledger.ids.rank(MAX_ID))


def end_of_lateness(day: str, late_days: int) -> int:
    """Return the instant (ms UTC) from which no record of a day may come late any more."""
    return day_start(day) + (1 + late_days) * DAY_MS


async def read_progress(
    connection: Connection, partition: int, organizations: Collection[str]
) -> Mapping[str, RecordedProgress]:
    """Return the progress of organizations of one partition. A record that cannot be read counts as missing.

    Raises an error of KAFKA_FAILURES.
    """
    topic = Topics(connection.kafka.topic_prefix).progress
    found = {name: RecordedProgress() for name in organizations}
    for key, record in (await read_table(connection, topic, [partition])).items():
        name, day = split_progress_key(key.decode("utf-8", "replace"))
        if name not in found or record.value is None:
            continue
        match decode_progress(day, record.value):
            case Checkpoint() as checkpoint:
                found[name].checkpoint = checkpoint
            case DayLedger() as ledger if day is not None:
                found[name].ledgers[day] = ledger
    return found


def decode_progress(day: str | None, value: bytes) -> Checkpoint | DayLedger | None:
    """Return the ledger of a day, or with None the checkpoint, of a record. None: it cannot be read."""
    try:
        if day is None:
            return checkpoints.from_record(InternalCodec("checkpoint").decode(value))
        return day_ledger_from_record(InternalCodec("day_ledger").decode(value))
    except _UNREADABLE:
        return None
