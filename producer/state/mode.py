from typing import Literal

from producer.state.checkpoint import Checkpoint

Mode = Literal["live", "late", "backfill"]


def mode_of(created: int, checkpoint: Checkpoint, overlap: int, backfill_from: int | None) -> Mode | None:
    """How a record is to be published; None: not at all, it is history that nobody asked for, or nothing is known of its time."""
    if is_no_longer_read(created, checkpoint):
        return None
    if created < checkpoint.live_since:
        return None if backfill_from is None or created < backfill_from else "backfill"
    return "late" if created < checkpoint.window_end - overlap else "live"


def is_no_longer_read(ms: int, checkpoint: Checkpoint) -> bool:
    """Whether no window reaches this instant any more, so that its ledger is not kept.

    A round that began before others moved the cursors, as after a long outage, may still bring what it holds.
    """
    if ms >= checkpoint.ledgers_from:
        return False
    return ms >= checkpoint.live_since or any(ms in one for one in checkpoint.backfilled)
