"""Makes the cursors of refills agree with the events that are on the topic of backfill. Pure.

They may differ for the reasons that reconcile.py names. A cursor whose last event is lost is forgotten, so its window is read from
its start again: a replay may then have an event twice, and lacks none. Events that are visible although their transaction was
aborted are taken into the cursor, so that they are not published a second time.
"""

from dataclasses import replace

from producer.recovery.logged_events import LogTail
from producer.recovery.reconcile import LedgerRepair, StoredProgress
from producer.state.refill import RefillCursor


def repair_refills(stored: StoredProgress, backfill: LogTail) -> list[LedgerRepair]:
    """Change the cursors in `stored`, and return the organizations whose checkpoint must be written again."""
    before = dict(stored.checkpoints)
    _forget_lost(stored, backfill)
    _add_visible(stored, backfill)
    return [
        LedgerRepair(name, None)
        for name, checkpoint in sorted(stored.checkpoints.items())
        if checkpoint != before[name]
    ]


def _forget_lost(stored: StoredProgress, backfill: LogTail) -> None:
    """Forget the cursors whose last event is not at its offset; before the tail it is not looked for."""
    there = {(one.replay_id, one.event.organization, one.event.offset + 1) for one in backfill.refilled}
    for name, checkpoint in stored.checkpoints.items():
        kept = tuple(
            one
            for one in checkpoint.refills
            if one.end is None or one.end <= backfill.start or (one.id, name, one.end) in there
        )
        stored.checkpoints[name] = replace(checkpoint, refills=kept)


def _add_visible(stored: StoredProgress, backfill: LogTail) -> None:
    """Take in the events behind each cursor. They follow one another in the order of `created`, so the cursor moves to the last."""
    for one in backfill.refilled:
        event = one.event
        checkpoint = stored.checkpoints.get(event.organization)
        if checkpoint is None:
            continue
        cursor = checkpoint.refill(one.replay_id) or RefillCursor(one.replay_id, event.created)
        if event.offset >= (cursor.end or 0):
            moved = replace(cursor.after_events([(event.created, event.id)]), end=event.offset + 1)
            stored.checkpoints[event.organization] = checkpoint.with_refill(moved)
