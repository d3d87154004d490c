"""The start offset of one partition, and its texts for the status."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from consumer.offsets.delivered import DeliveryProgress
from relay.kafka import TopicPartition


@dataclass(frozen=True, slots=True)
class StartOffset:
    progress: DeliveryProgress
    reason: str
    deleted_range: tuple[int, int] | None = None
    """Offsets [first, stop) that Kafka deleted before all of them were delivered; None: there are none."""
    lost_count: int = 0
    """How many of these offsets had not been delivered."""
    mismatch: str | None = None
    """Where reading goes on although the known offset did not fit the log, for the status; None: the offset fitted."""

    @property
    def offset(self) -> int:
        return self.progress.offset

    @property
    def last_read_offset(self) -> int:
        """The offset of the last record before the start; the start itself if no such record is known."""
        return self.progress.last.offset if self.progress.last else self.offset


def start_within_log(progress: DeliveryProgress, log_start: int, reason: str) -> StartOffset:
    """Return the start at the first undelivered offset, or at the first one that the log still has.

    Between the last delivered record and the offset are no records. If that record is deleted and the offset is not, reading
    begins at the first offset kept, which repeats nothing, and misses nothing where the log is another.
    """
    if progress.last and progress.last.offset < log_start < progress.offset:
        return StartOffset(replace(progress, offset=log_start), reason)
    kept, lost_count = progress.without_deleted(log_start)
    if not lost_count:
        return StartOffset(kept, reason)
    return StartOffset(kept, "the first event kept", (progress.offset, log_start), lost_count)


def moved_text(partition: TopicPartition, known: int, found: int) -> str:
    """Return the text of the status when the last delivered record is at another offset."""
    return (
        f"The log of {partition.topic}, partition {partition.partition}, is not the log in which offset {known} was committed; it may be"
        f" a mirror. Its last delivered event is at offset {found - 1}; delivery continues after it. Nothing is lost or repeated."
    )


def reread_text(partition: TopicPartition, known: int, start: int, since_ms: int) -> str:
    """Return the text of the status when the log no longer holds the last delivered record."""
    return (
        f"The log of {partition.topic}, partition {partition.partition}, does not hold the last event delivered before offset {known}."
        f" Events collected since {iso(since_ms)} are delivered again, from offset {start} on. EventUid identifies repeats."
    )


def unproven_text(partition: TopicPartition, known: int, start: int) -> str:
    """Return the text of the status when no record proves an offset."""
    return (
        f"No delivered event confirms offset {known} of {partition.topic}, partition {partition.partition}."
        f" Every retained event is delivered again, from offset {start} on. EventUid identifies repeats."
    )


def end_unknown_text(partition: TopicPartition, start: int) -> str:
    """Return the text of the status when a group of older events does not know where they end in another log."""
    return (
        f"The log of {partition.topic}, partition {partition.partition}, is another than the one in which older events were divided from"
        f" live ones. Older events from offset {start} on are not sent to history. Live events are delivered."
    )


def iso(ms: int) -> str:
    """Return an instant as text; Kafka accepts any number as a timestamp."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms since 1970"
