"""Sets the cursors of a checkpoint back before events that Kafka has lost. Pure."""

import math
from dataclasses import replace

from producer.recovery.logged_events import LogScan
from producer.state.checkpoint import Checkpoint, EventPosition, rewind
from producer.state.intervals import TimeRange, add_range, missing_ranges
from relay.timestamps import DAY_MS, day_start


def rewind_to_survivors(checkpoint: Checkpoint, live: LogScan) -> Checkpoint:
    """Set the cursors back if the last live event is lost: to the window end of the last pair that the topic still covers.

    Events lost with it may belong to days whose ledgers are deleted already. So the ledgers are kept again from where
    the topic shows everything that was published, and that time is read again. The same helps where the ledgers were
    repaired before, by a transaction whose end was lost in turn together with its cursors.
    """
    last = live.last_position(checkpoint.organization)
    if not _is_lost(checkpoint.last_event, live, last):
        return checkpoint
    start = max(math.ceil(live.complete_since), checkpoint.live_since)
    end = 0 if last is None else last.offset + 1
    surviving_end = max((pair.window_end for pair in checkpoint.pairs if pair.offset <= end), default=start)
    rewound = rewind(checkpoint, max(start, surviving_end))
    if start >= checkpoint.ledgers_from:
        return rewound
    return replace(rewound, ledgers_from=start, week_mark=min(rewound.week_mark, start))


def rewind_to_day(checkpoint: Checkpoint, day: str) -> Checkpoint:
    """Set the cursors to the start of a day and open its history, so that it is read again.

    No cursor goes below the kept ledgers, since the ids published there are forgotten: such a day is read as history, or,
    where it is live, as an unread range: only for the sake of that range was its ledger kept.
    """
    start = day_start(day)
    read_again = (TimeRange(start, start + DAY_MS),)
    kept = start + DAY_MS > checkpoint.ledgers_from
    bound = max(start, checkpoint.ledgers_from) if kept else checkpoint.window_end
    live = TimeRange(max(start, checkpoint.live_since), start + DAY_MS)
    return replace(
        rewind(checkpoint, bound),
        backfilled=tuple(rest for one in checkpoint.backfilled for rest in missing_ranges(read_again, one)),
        unread_ranges=checkpoint.unread_ranges if kept else add_range(checkpoint.unread_ranges, live),
    )


def reopen_backfill(checkpoint: Checkpoint, backfill: LogScan) -> Checkpoint:
    """Open all history again if its last event is lost: the ledgers no longer say which days were lost with it."""
    lost = _is_lost(checkpoint.last_backfill, backfill, backfill.last_position(checkpoint.organization))
    return replace(checkpoint, backfilled=()) if lost else checkpoint


def surviving_position(stored: EventPosition | None, name: str, whole: LogScan) -> EventPosition | None:
    """Return the position of the last event on the topic; if retention has deleted all, the stored one."""
    last = whole.last_position(name)
    return stored if last is None and not _is_lost(stored, whole, last) else last


def _is_lost(stored: EventPosition | None, whole: LogScan, last: EventPosition | None) -> bool:
    """Return whether the event at a stored position is gone; one that retention deleted is not lost."""
    return stored is not None and stored.offset >= whole.start and last != stored
