"""The mode of an event: live, late or backfill."""

from typing import Literal

from producer.state.checkpoint import Checkpoint

Mode = Literal["live", "late", "backfill"]


def mode_of(created: int, checkpoint: Checkpoint, overlap: int, backfill_from: int | None) -> Mode | None:
    """Return the mode of a record. None: do not publish it, as it is unwanted history, or its day's ledger is deleted."""
    if is_no_longer_read(created, checkpoint):
        return None
    if created < checkpoint.live_since:
        return None if backfill_from is None or created < backfill_from else "backfill"
    return "late" if created < checkpoint.window_end - overlap else "live"


def is_no_longer_read(ms: int, checkpoint: Checkpoint) -> bool:
    """Return whether no window reaches this instant any more, so that its ledger may be deleted.

    A round that began before another round moved the cursors, as after a long outage, may still bring such records.
    """
    if ms >= checkpoint.ledgers_from or any(ms in unread_range for unread_range in checkpoint.unread_ranges):
        return False
    return ms >= checkpoint.live_since or any(ms in one for one in checkpoint.backfilled)
