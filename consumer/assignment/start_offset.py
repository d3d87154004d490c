"""The start offset of one partition."""

from dataclasses import dataclass, replace

from consumer.offsets.delivered import DeliveryProgress


@dataclass(frozen=True, slots=True)
class StartOffset:
    progress: DeliveryProgress
    reason: str
    deleted_range: tuple[int, int] | None = None
    """Offsets [first, stop) that Kafka deleted before all of them were delivered; None: there are none."""
    lost_count: int = 0
    """How many of these offsets had not been delivered."""
    deleted_after: int | None = None
    """When the last event before the deleted range was collected, in ms UTC; None: no such event is known."""
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
    collected = progress.last.timestamp if progress.last else None
    return StartOffset(kept, "the first event kept", (progress.offset, log_start), lost_count, collected)
