"""Follow the topic of progress from round to round: what is new of a partition is read, and a summary of the rest is kept."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from management.completeness.progress import ProgressSummary, decode_progress, id_count, marks_of
from producer.state.checkpoint import Checkpoint
from producer.state.ledger import DayLedger, split_progress_key
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import read_to_end, stable_bounds, standalone_consumer
from relay.kafka.topics import Topics


@dataclass(slots=True)
class _Followed:
    """One partition up to an offset."""

    position: int
    summaries: dict[str, ProgressSummary] = field(default_factory=dict)


class ProgressFollower:
    """Keeps some hundred bytes an organization. A reading that fails is repeated from where the one before ended."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._topic = Topics(connection.kafka.topic_prefix).progress
        self._partitions: dict[int, _Followed] = {}

    async def read(self, partition: int, organizations: Collection[str]) -> Mapping[str, ProgressSummary]:
        """Return the summaries of organizations of one partition, as they are now. A record that cannot be read counts as missing.

        Raises an error of KAFKA_FAILURES.
        """
        tp, latest = TopicPartition(self._topic, partition), dict[bytes, bytes | None]()

        def keep(record: Record) -> None:
            if record.key is not None:
                latest[record.key] = record.value

        async with standalone_consumer(self._connection) as consumer:
            bounds = (await stable_bounds(consumer, [tp]))[tp]
            followed = self._partitions.get(partition)
            if (
                followed is None
                or not bounds.log_start_offset <= followed.position <= bounds.last_stable_offset
            ):
                followed = _Followed(bounds.log_start_offset)  # the topic was made anew, or has lost its end
            await read_to_end(consumer, {tp: followed.position}, {tp: bounds.last_stable_offset}, keep)
        for key, value in latest.items():
            _take(followed.summaries, key, value)
        followed.position = bounds.last_stable_offset
        self._partitions[partition] = followed
        return {name: followed.summaries.get(name) or ProgressSummary() for name in organizations}


def _take(summaries: dict[str, ProgressSummary], key: bytes, value: bytes | None) -> None:
    """Take the latest record of a key into the summaries; None: it was deleted."""
    name, day = split_progress_key(key.decode("utf-8", "replace"))
    summary = summaries.setdefault(name, ProgressSummary())
    match None if value is None else decode_progress(day, value):
        case Checkpoint() as checkpoint:
            summary.marks = marks_of(checkpoint)
        case DayLedger() as ledger if day is not None:
            summary.counts[day] = id_count(ledger)
        case _ if day is None:
            summary.marks = None
        case _:
            summary.counts.pop(day, None)
    if summary == ProgressSummary():
        del summaries[name]
