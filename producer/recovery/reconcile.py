"""Making a shard's memory agree with the events that stand on the topics; pure."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pyroaring import BitMap64

from producer.state.checkpoint import Checkpoint, EventPosition, rewind
from producer.state.intervals import TimeRange, missing_ranges
from producer.state.ledger import DayLedger, is_day_kept
from relay.timestamps import DAY_MS, day_of, day_start


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event that stands on a topic, as far as it matters here; `timestamp` is Kafka's, in ms."""

    organization: str
    id: int
    created: int
    offset: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class LogTail:
    """The end of one topic, read from `start` on: at least all that is no older than the last progress, and its last transaction.

    `complete_since`: what was collected from then on (ms) must stand there; what is older, retention may have deleted.
    """

    start: int
    events: tuple[LoggedEvent, ...] = ()
    complete_since: float = 0


IdsByDay = dict[str, dict[str, BitMap64]]
"""By organization and day."""


@dataclass(frozen=True, slots=True)
class LogScan:
    """Of some organizations all that stands on one topic, and the last event of each. It begins at offset `start`.

    `complete_since`: what was collected from then on (ms) must stand there; what is older, retention may have deleted.
    """

    ids: IdsByDay = field(default_factory=dict)
    last: Mapping[str, LoggedEvent] = field(default_factory=dict)
    complete_since: float = 0
    start: int = 0

    def last_position(self, name: str) -> EventPosition | None:
        return EventPosition(self.last[name].offset, self.last[name].id) if name in self.last else None


@dataclass(slots=True)
class StoredProgress:
    """The progress topic of one shard, as it stands. `added` and its Kafka timestamp: of each day's last change."""

    days: dict[str, dict[str, DayLedger]] = field(default_factory=lambda: defaultdict(dict))
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    added: dict[tuple[str, str], tuple[int, BitMap64]] = field(default_factory=dict)
    last_timestamp: int = 0


@dataclass(frozen=True, slots=True)
class LedgerRepair:
    """A day whose ledger is to be written again, or, where it is None, the checkpoint alone."""

    organization: str
    day: str | None
    lost: int = 0
    """Ids whose events are not there any more; they will be read from Jira again."""


def find_lost_tails(stored: StoredProgress, live: LogTail, backfill: LogTail) -> set[str]:
    """The organizations whose last event, as progress names it, is not where it should be, or not all that was added with the
    last progress.

    So it is where Kafka lost the end of a log, or ended only half of a transaction. What lies before the tails is believed.
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
    on_log = {(event.organization, event.id) for tail in (live, backfill) for event in tail.events}
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
    """Take out of the ledgers of these organizations what does not stand on the topics, and set the cursors back to there.

    Of days from which retention may have deleted events, only what was added last is sure to be lost.
    """
    repairs = []
    for name in sorted(names):
        checkpoint = _reopen_backfill(stored.checkpoints[name], backfill)
        stored.checkpoints[name] = _rewind_to_survivors(checkpoint, live)
        days = stored.days[name]
        for day, on_log in (*live.ids.get(name, {}).items(), *backfill.ids.get(name, {}).items()):
            days[day] = replace(days.get(day, DayLedger()), ids=days.get(day, DayLedger()).ids | on_log)
        for day in sorted(days):
            lost = _lost_ids(stored, name, day, live, backfill)
            if lost:
                days[day] = replace(days[day], ids=days[day].ids - lost)
                stored.checkpoints[name] = _rewind_to_day(stored.checkpoints[name], day)
            repairs.append(LedgerRepair(name, day, len(lost)))
        repairs.append(LedgerRepair(name, None))
        stored.checkpoints[name] = replace(
            stored.checkpoints[name],
            last_event=_surviving_position(checkpoint.last_event, name, live),
            last_backfill=_surviving_position(checkpoint.last_backfill, name, backfill),
        )
    return repairs


def _lost_ids(stored: StoredProgress, name: str, day: str, live: LogScan, backfill: LogScan) -> BitMap64:
    """Of the ids in a ledger, those whose events must stand on a topic and do not."""
    on_log = (whole.ids.get(name, {}).get(day, BitMap64()) for whole in (live, backfill))
    lost = stored.days[name][day].ids - BitMap64.union(*on_log)
    since = _complete_since(day, stored.checkpoints[name].live_since, live, backfill)
    if day_start(day) >= since:
        return lost
    written, added = stored.added.get((name, day), (0, BitMap64()))
    return lost & added if written >= since else BitMap64()


def add_missing_ids(stored: StoredProgress, live: LogTail, backfill: LogTail) -> list[LedgerRepair]:
    """Put into the ledgers the events that are in none: theirs was lost, or Kafka knows no transactions, or it had lost the mark that
    theirs was aborted, so that they stand again. Not those of days that are let go, unless no older than the last progress. And name
    the last event of each organization, which its checkpoint does not where Kafka kept the ledger of a transaction alone.
    """
    changed = set()
    for event in (*live.events, *backfill.events):
        day = day_of(event.created)
        days = stored.days[event.organization]
        known = days.get(day, DayLedger())
        checkpoint = stored.checkpoints.get(event.organization)
        expected = (
            event.timestamp >= stored.last_timestamp or checkpoint is None or is_day_kept(day, checkpoint)
        )
        if expected and event.id not in known.ids:
            days[day] = replace(known, ids=known.ids | BitMap64([event.id]))
            changed.add((event.organization, day))
    repairs = [LedgerRepair(organization, day) for organization, day in sorted(changed)]
    return repairs + _update_last_positions(stored, live, backfill)


def _update_last_positions(stored: StoredProgress, live: LogTail, backfill: LogTail) -> list[LedgerRepair]:
    """So that the loss of the last event would be noticed, and the next pair tells readers to pass it."""
    last_live, last_backfill = (
        {event.organization: EventPosition(event.offset, event.id) for event in tail.events}
        for tail in (live, backfill)
    )
    repairs = []
    for name in sorted((last_live.keys() | last_backfill.keys()) & stored.checkpoints.keys()):
        checkpoint = stored.checkpoints[name]
        updated = replace(
            checkpoint,
            last_event=_latest(checkpoint.last_event, last_live.get(name)),
            last_backfill=_latest(checkpoint.last_backfill, last_backfill.get(name)),
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
    """From when on the events of a day must stand: those of history are on a topic of their own."""
    start = day_start(day)
    of_live = live.complete_since if start + DAY_MS > live_since else -math.inf
    return max(of_live, backfill.complete_since if start < live_since else -math.inf)


def _is_lost(stored: EventPosition | None, whole: LogScan, last: EventPosition | None) -> bool:
    """Whether the event that progress names is not there; what retention has deleted was there."""
    return stored is not None and stored.offset >= whole.start and (last is None or last.id != stored.id)


def _surviving_position(stored: EventPosition | None, name: str, whole: LogScan) -> EventPosition | None:
    """The last event that stands; where retention has deleted all, still the one that was named."""
    last = whole.last_position(name)
    return stored if last is None and not _is_lost(stored, whole, last) else last


def _reopen_backfill(checkpoint: Checkpoint, backfill: LogScan) -> Checkpoint:
    """Where the last event of history is lost, all of it is open again: which days went with it, their ledgers no longer say."""
    lost = _is_lost(checkpoint.last_backfill, backfill, backfill.last_position(checkpoint.organization))
    return replace(checkpoint, backfilled=()) if lost else checkpoint


def _rewind_to_survivors(checkpoint: Checkpoint, live: LogScan) -> Checkpoint:
    """Where the last live event is lost, the cursors at where the rest stands, as the last pair before the loss says.

    What went with it may have been of days whose ledgers were let go since: those from where the topic tells all that was
    published are kept again, and that time is read again. Or of days whose ledgers were repaired already, by a transaction whose
    end, with the cursors, was lost in turn.
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


def _rewind_to_day(checkpoint: Checkpoint, day: str) -> Checkpoint:
    """The cursors at the start of a day, and its history open, so that it is read again.

    Never below where ledgers are kept, since what was published there is not known any more: such a day is history.
    """
    start = day_start(day)
    read_again = (TimeRange(start, start + DAY_MS),)
    kept = start + DAY_MS > checkpoint.ledgers_from
    bound = max(start, checkpoint.ledgers_from) if kept else checkpoint.window_end
    return replace(
        rewind(checkpoint, bound),
        backfilled=tuple(rest for one in checkpoint.backfilled for rest in missing_ranges(read_again, one)),
    )
