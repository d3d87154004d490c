"""Candidates for the start offset of a partition: from the group, the memory of this process, and the backup."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from consumer.metrics import FROM_COMMITTED_OFFSET
from consumer.offsets.delivered import DeliveryProgress, RecordFingerprint
from relay.kafka import KafkaError, OffsetAndMetadata, TopicPartition

FROM_STATUS_TOPIC = "the backup on the status topic, since Kafka has no offset of the group"
FROM_OPERATOR = "the group's offset, which an operator set or a mirror translated"
FROM_MEMORY = "the deliveries of this process since the last commit"


@dataclass(frozen=True, slots=True)
class Candidates:
    """The known delivery states of one partition, the fullest first; each has less than the one before."""

    progress: Sequence[DeliveryProgress]
    reason: str
    provable: bool = True
    """Whether the relay wrote the offset: then the record before it proves it. False: an operator set it, and is obeyed."""
    memory: DeliveryProgress | None = None
    """The first of `progress` where it holds deliveries that were not committed."""

    @property
    def delivered_end(self) -> int:
        """The highest offset that the group has delivered up to, as far as is known."""
        return max(map(delivered_end, self.progress))

    @property
    def fingerprints(self) -> Sequence[RecordFingerprint]:
        """The last delivered records, the latest first."""
        return list(dict.fromkeys(each.last for each in self.progress if each.last))

    def reason_of(self, progress: DeliveryProgress) -> str:
        """Return the reason for the start, for the log."""
        return FROM_MEMORY if progress == self.memory else self.reason


def candidates_of_group(committed: OffsetAndMetadata, known: DeliveryProgress | None) -> Candidates:
    """Return the candidates of a committed offset. `known`: later deliveries of this process; None: there are none."""
    written = DeliveryProgress.from_relay_metadata(committed.offset, committed.metadata)
    if written is None:
        progress = DeliveryProgress.from_offset_and_metadata(committed.offset, committed.metadata)
        return Candidates([progress], FROM_OPERATOR, provable=False)
    merged = written.merged(known) if known and known.lineage == written.lineage else written
    return Candidates(
        list(dict.fromkeys((merged, written, written.without_ranges()))),
        FROM_COMMITTED_OFFSET,
        memory=merged if merged != written else None,
    )


def candidates_of_backup(progress: DeliveryProgress) -> Candidates:
    """Return the candidates of the backup."""
    return Candidates([progress], FROM_STATUS_TOPIC)


def delivered_end(progress: DeliveryProgress) -> int:
    """Return the offset after the last delivered record."""
    return progress.delivered_ahead[-1].stop if progress.delivered_ahead else progress.offset


class LogEndWait:
    """Waits for logs that end before a delivered offset.

    The end may come back: a broker that has just started may report too low an end, and a transaction without markers holds the
    end back.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._short_logs: dict[TopicPartition, tuple[float, float]] = {}
        """Since when a log ends too early, and when that was seen last."""

    def check(
        self, candidates: Mapping[TopicPartition, Candidates], log_ends: Mapping[TopicPartition, int]
    ) -> None:
        """Raise KafkaError while a log ends before a delivered offset, until the wait is over."""
        now = self._clock()
        for each, made in candidates.items():
            since, last_seen = self._short_logs.pop(each, (now, now))
            if made.delivered_end > log_ends[each]:
                self._short_logs[each] = (since if now - last_seen <= 2 * self._seconds else now, now)
        for each, made in candidates.items():
            if each in self._short_logs and now - self._short_logs[each][0] <= self._seconds:
                raise KafkaError(
                    f"{each.topic}, partition {each.partition}, ends at offset {log_ends[each]}, but the group has delivered up to"
                    f" {made.delivered_end}; unless Kafka is starting, it has lost events"
                )
