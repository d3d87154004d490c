"""Stored progress and scanned logs, as the pure half of a recovery gets them."""

from dataclasses import replace
from typing import Any

from pyroaring import BitMap64

from producer.recovery.logged_events import LoggedEvent, LogScan, LogTail
from producer.recovery.reconcile import StoredProgress
from producer.state.checkpoint import EventPosition, new_checkpoint
from producer.state.ledger import DayLedger
from relay.timestamps import DAY_MS, day_of, day_start

NOW = day_start("2026-11-23") + 10 * 3_600_000
TODAY, YESTERDAY = "2026-11-23", "2026-11-22"


EMPTY = LogTail(0)


def logged_event(
    number: int, offset: int, *, name: str = "acme", created: int = NOW, timestamp: int = NOW
) -> LoggedEvent:
    return LoggedEvent(name, number, created, offset, timestamp)


def stored_progress(
    *ids: int,
    name: str = "acme",
    last_event: EventPosition | None = None,
    last_backfill: EventPosition | None = None,
    **checkpoint: Any,
) -> StoredProgress:
    """Return the progress of one organization with these ids published today, live for two days."""
    found = StoredProgress(last_timestamp=NOW)
    found.days[name][TODAY] = DayLedger(BitMap64(ids))
    found.checkpoints[name] = replace(
        new_checkpoint(name, NOW - 2 * DAY_MS, now=NOW),
        window_end=NOW,
        **{
            "last_event": last_event,
            "last_backfill": last_backfill,
            "ledgers_from": day_start("2026-11-15"),
            **checkpoint,
        },
    )
    return found


def log_scan(*events: LoggedEvent, since: int = 0) -> LogScan:
    ids: dict[str, dict[str, BitMap64]] = {}
    last: dict[str, LoggedEvent] = {}
    for event in events:
        days = ids.setdefault(event.organization, {})
        days.setdefault(day_of(event.created), BitMap64()).add(event.id)
        last[event.organization] = event
    return LogScan(ids, last, since)
