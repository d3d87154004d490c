"""Makes a shard's stored progress agree with the events that are on its topics. Pure.

Why progress and events can differ at all, although one transaction commits both:

1. Kafka may lose the end of a log: power loss without a flush, or an election of a replica that was behind. Events are then
   gone that a ledger still holds, and they must be read from the source again (`find_lost_tails`, `remove_lost_ids`).
2. Kafka may lose the other half: the ledger's record, or the marker of an abort, so that an aborted event becomes visible.
   Events are then on the topic that no ledger holds, and the next read would publish them again (`add_missing_ids`).
3. A cluster without transactions writes events first and progress after; a death in between leaves case 2.

Absence on a topic is no proof of a loss, since retention deletes events too. Each LogTail and LogScan therefore carries
`complete_since`: absence means loss only for events collected from then on. Where a loss is proven, cursors go
back to before it, and the days between are read again; the ledgers leave out the events that are still there.
"""

import math
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace

from pyroaring import BitMap64

from producer.publishing.deduplication import newest_event
from producer.recovery.logged_events import LoggedEvent, LogScan, LogTail
from producer.recovery.rewind import reopen_backfill, rewind_to_day, rewind_to_survivors, surviving_position
from producer.state.checkpoint import Checkpoint, EventPosition, EventTime, with_reused_ids
from producer.state.ledger import DayLedger, Ledger, event_keys, is_day_kept
from relay.timestamps import DAY_MS, day_of, day_start


@dataclass(slots=True)
class StoredProgress:
    """The content of a shard's progress topic. `added`: Kafka timestamp and new ids of each day's last record."""

    days: dict[str, dict[str, DayLedger]] = field(default_factory=lambda: defaultdict(dict))
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    added: dict[tuple[str, str], tuple[int, BitMap64]] = field(default_factory=dict)
    last_timestamp: int = 0


@dataclass(frozen=True, slots=True)
class LedgerRepair:
    """A day whose ledger must be written again. `day` None: only the checkpoint must."""

    organization: str
    day: str | None
    lost: int = 0
    """Number of ids whose events are gone; they will be read from the source again."""


def find_lost_tails(stored: StoredProgress, live: LogTail, backfill: LogTail) -> set[str]:
    """Return the organizations whose last event is not at its offset, or whose last progress added ids that are on no topic.

    Either means that Kafka lost the end of a log, or committed half of a transaction. Events before the tails are believed.
    """
    live_by_offset, backfill_by_offset = (
        {event.offset: event for event in tail.events} for tail in (live, backfill)
    )
    misplaced = {
        name
        for name, checkpoint in stored.checkpoints.items()
        if not _is_on_log(name, checkpoint.last_event, live.start, live_by_offset)
        or not _is_on_log(name, checkpoint.last_backfill, backfill.start, backfill_by_offset)
    }
    return misplaced | _partially_published(stored, live, backfill)


def _partially_published(stored: StoredProgress, live: LogTail, backfill: LogTail) -> set[str]:
    on_log = {
        (event.organization, key)
        for tail in (live, backfill)
        for event in tail.events
        for key in event.keys_in(stored.days[event.organization])
    }
    return {
        name
        for (name, day), (at, added) in stored.added.items()
        if at == stored.last_timestamp
        and name in stored.checkpoints
        and at >= _complete_since(day, stored.checkpoints[name].live_since, live, backfill)
        and any((name, number) not in on_log for number in added)
    }


def remove_lost_ids(
    stored: StoredProgress, names: Iterable[str], live: LogScan, backfill: LogScan
) -> list[LedgerRepair]:
    """Remove from the ledgers of these organizations the ids whose events are lost, and set the cursors back before them.

    For days from which retention may have deleted events, only the ids added last are known to be lost.
    """
    repairs = []
    for name in sorted(names):
        checkpoint = reopen_backfill(stored.checkpoints[name], backfill)
        stored.checkpoints[name] = rewind_to_survivors(checkpoint, live)
        days = stored.days[name]
        for day, on_log in (*live.ids.get(name, {}).items(), *backfill.ids.get(name, {}).items()):
            days[day] = replace(days.get(day, DayLedger()), ids=days.get(day, DayLedger()).ids | on_log)
        for day in sorted(days):
            lost = _lost_ids(stored, name, day, live, backfill)
            if lost:
                days[day] = replace(days[day], ids=days[day].ids - lost)
                stored.checkpoints[name] = rewind_to_day(stored.checkpoints[name], day)
            repairs.append(LedgerRepair(name, day, len(lost)))
        repairs.append(LedgerRepair(name, None))
        stored.checkpoints[name] = replace(
            stored.checkpoints[name],
            newest_event=_surviving_newest(stored, name, live, backfill),
            last_event=surviving_position(checkpoint.last_event, name, live),
            last_backfill=surviving_position(checkpoint.last_backfill, name, backfill),
        )
    return repairs


def _lost_ids(stored: StoredProgress, name: str, day: str, live: LogScan, backfill: LogScan) -> BitMap64:
    """Return the ids in a ledger whose events must be on a topic and are not."""
    on_log = (whole.ids.get(name, {}).get(day, BitMap64()) for whole in (live, backfill))
    lost = stored.days[name][day].ids - BitMap64.union(*on_log)
    since = _complete_since(day, stored.checkpoints[name].live_since, live, backfill)
    if day_start(day) >= since:
        return lost
    written, added = stored.added.get((name, day), (0, BitMap64()))
    return lost & added if written >= since else BitMap64()


def _surviving_newest(
    stored: StoredProgress, name: str, live: LogScan, backfill: LogScan
) -> EventTime | None:
    """Return the newest event after a loss: a lost one that is read again must not count as published.

    Events that retention deleted may be newer than those on the log; the end of their day is a bound. None: not known.
    """
    if stored.checkpoints[name].newest_event is None:
        return None
    deleted = {
        day: ledger.ids
        - BitMap64.union(*(scan.ids.get(name, {}).get(day, BitMap64()) for scan in (live, backfill)))
        for day, ledger in stored.days[name].items()
    }
    bound = Ledger(name, {day: DayLedger(ids) for day, ids in deleted.items()}).latest_possible_event()
    found = (bound, live.newest.get(name), backfill.newest.get(name))
    return max(filter(None, found), default=None)


def add_missing_ids(stored: StoredProgress, live: LogTail, backfill: LogTail) -> list[LedgerRepair]:
    """Add to the ledgers every event on the log that no ledger holds.

    Causes: the ledger write was lost; the cluster has no transactions; or Kafka lost an abort marker, so an aborted event
    became visible. Skip days no longer kept, unless the event is newer than the last progress record. Also update each
    checkpoint's last event.
    """
    events = [event for event in (*live.events, *backfill.events) if _belongs_to_ledger(event, stored)]
    first = _with_all_events_in(stored, (*live.events, *backfill.events))
    changed = _add_reuse_bounds(stored, events)
    for event in events:
        day = event.day
        days = stored.days[event.organization]
        known = days.get(day, DayLedger())
        keys = BitMap64(event.keys_in(days))
        checkpoint = stored.checkpoints.get(event.organization)
        if not known.ids.issuperset(keys):
            days[day] = replace(known, ids=known.ids | keys)
            changed.add((event.organization, day))
            if event.variant is not None and checkpoint is not None:
                stored.checkpoints[event.organization] = with_reused_ids(checkpoint, 1, event.timestamp)
    repairs = [LedgerRepair(organization, day) for organization, day in sorted(changed)]
    return repairs + _update_last_positions(stored, live, backfill, first)


def _with_all_events_in(stored: StoredProgress, events: Iterable[LoggedEvent]) -> set[str]:
    """Return the organizations that name no newest event, although these events are all they ever had.

    Their first events were written, and the checkpoint was not: the cluster has no transactions, or Kafka lost it.
    """
    on_log: dict[tuple[str, str], BitMap64] = defaultdict(BitMap64)
    for event in events:
        on_log[event.organization, event.day].update(event.keys_in(stored.days[event.organization]))
    return {
        name
        for name, checkpoint in stored.checkpoints.items()
        if not (checkpoint.newest_event or checkpoint.last_event or checkpoint.last_backfill)
        and all(day.ids.issubset(on_log[name, at]) for at, day in stored.days[name].items())
    }


def _belongs_to_ledger(event: LoggedEvent, stored: StoredProgress) -> bool:
    checkpoint = stored.checkpoints.get(event.organization)
    return (
        event.timestamp >= stored.last_timestamp or checkpoint is None or is_day_kept(event.day, checkpoint)
    )


def _add_reuse_bounds(stored: StoredProgress, events: Iterable[LoggedEvent]) -> set[tuple[str, str]]:
    """Note the bound where an event has a variant that no ledger holds: the bound was lost with the ledger.

    Return the changed days by organization; see `identity.reuse_bounds`. Each event after the bound is then in no ledger
    yet, and gets its time key with its other keys.
    """
    changed = set()
    newest = {
        name: newest_event(checkpoint, Ledger(name, stored.days[name])) or EventTime(0, 0)
        for name, checkpoint in stored.checkpoints.items()
    }
    for event in events:
        days, bound = stored.days[event.organization], newest.get(event.organization)
        if event.variant is None or bound is None:
            continue
        held = days.get(event.day, DayLedger()).ids
        if event.time <= bound and all(key in held for key in event_keys(event.id, event.variant)):
            continue
        for name in {event.day, day_of(bound.created)} & {event.day, *days}:
            day = days.get(name, DayLedger())
            if day.reused_after is None:
                days[name] = replace(day, reused_after=bound)
                changed.add((event.organization, name))
    return changed


def _update_last_positions(
    stored: StoredProgress, live: LogTail, backfill: LogTail, first: Container[str]
) -> list[LedgerRepair]:
    """Update the last events in the checkpoints: a later loss of them is then noticed, and the next completeness pair is
    beyond them. `first`: organizations whose events are all in these tails, so that the newest of them is known.
    """
    last_live, last_backfill = (
        {event.organization: EventPosition(event.offset, event.id) for event in tail.events}
        for tail in (live, backfill)
    )
    newest: dict[str, EventTime] = {}
    for event in (*live.events, *backfill.events):
        newest[event.organization] = max(newest.get(event.organization, event.time), event.time)
    repairs = []
    for name in sorted((last_live.keys() | last_backfill.keys()) & stored.checkpoints.keys()):
        checkpoint = stored.checkpoints[name]
        before = EventTime(0, 0) if name in first else checkpoint.newest_event
        updated = replace(
            checkpoint,
            last_event=_latest(checkpoint.last_event, last_live.get(name)),
            last_backfill=_latest(checkpoint.last_backfill, last_backfill.get(name)),
            newest_event=before and max(before, newest[name]),
        )
        if updated != checkpoint:
            stored.checkpoints[name] = updated
            repairs.append(LedgerRepair(name, None))
    return repairs


def _latest(stored: EventPosition | None, last: EventPosition | None) -> EventPosition | None:
    return max(filter(None, [stored, last]), key=lambda position: position.offset, default=None)


def _is_on_log(
    name: str, position: EventPosition | None, start: int, events: Mapping[int, LoggedEvent]
) -> bool:
    if position is None or position.offset < start:
        return True
    logged = events.get(position.offset)
    return logged is not None and (logged.organization, logged.id) == (name, position.id)


def _complete_since(day: str, live_since: int, live: LogTail | LogScan, backfill: LogTail | LogScan) -> float:
    """Return from when on (ms) the events of a day must be on their topic; backfill has a topic of its own."""
    start = day_start(day)
    of_live = live.complete_since if start + DAY_MS > live_since else -math.inf
    return max(of_live, backfill.complete_since if start < live_since else -math.inf)
