"""Making a shard's memory agree with the events that stand on the topics; pure."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pyroaring import BitMap64

from producer.state.checkpoint import Checkpoint, Position, set_back
from producer.state.intervals import Range, missing
from producer.state.ledger import Day, is_kept
from relay.timestamps import DAY, day_of, day_start


@dataclass(frozen=True, slots=True)
class Standing:
    """An event that stands on a topic, as far as it matters here; `timestamp` is Kafka's, in ms."""

    organization: str
    id: int
    created: int
    offset: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of one topic, read from `start` on: at least all that is no older than the last progress, and its last transaction.

    `since`: what was collected from then on (ms) must stand there; what is older, retention may have deleted.
    """

    start: int
    events: tuple[Standing, ...] = ()
    since: float = 0


Ids = dict[str, dict[str, BitMap64]]
"""By organization and day."""


@dataclass(frozen=True, slots=True)
class Whole:
    """Of some organizations all that stands on one topic, and the last event of each. It begins at offset `start`.

    `since`: what was collected from then on (ms) must stand there; what is older, retention may have deleted.
    """

    ids: Ids = field(default_factory=dict)
    last: Mapping[str, Standing] = field(default_factory=dict)
    since: float = 0
    start: int = 0

    def position(self, name: str) -> Position | None:
        return Position(self.last[name].offset, self.last[name].id) if name in self.last else None


@dataclass(slots=True)
class Progresses:
    """The progress topic of one shard, as it stands. `added` and its Kafka timestamp: of each day's last change."""

    days: dict[str, dict[str, Day]] = field(default_factory=lambda: defaultdict(dict))
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    added: dict[tuple[str, str], tuple[int, BitMap64]] = field(default_factory=dict)
    last: int = 0


@dataclass(frozen=True, slots=True)
class Amendment:
    """A day whose ledger is to be written again, or, where it is None, the checkpoint alone."""

    organization: str
    day: str | None
    lost: int = 0
    """Ids whose events are not there any more; they will be read from Jira again."""


def shaken(progresses: Progresses, live: Tail, history: Tail) -> set[str]:
    """The organizations whose last event, as progress names it, is not where it should be, or not all that was added with the
    last progress.

    So it is where Kafka lost the end of a log, or ended only half of a transaction. What lies before the tails is believed.
    """
    live_at, history_at = ({event.offset: event for event in tail.events} for tail in (live, history))
    unnamed = {
        name
        for name, checkpoint in progresses.checkpoints.items()
        if not _stands(name, checkpoint.last_event, live.start, live_at)
        or not _stands(name, checkpoint.last_backfill, history.start, history_at)
    }
    return unnamed | _half_published(progresses, live, history)


def _half_published(progresses: Progresses, live: Tail, history: Tail) -> set[str]:
    there = {(event.organization, event.id) for tail in (live, history) for event in tail.events}
    return {
        name
        for (name, day), (at, added) in progresses.added.items()
        if at == progresses.last
        and name in progresses.checkpoints
        and at >= _since(day, progresses.checkpoints[name].live_since, live, history)
        and any((name, number) not in there for number in added)
    }


def take_out(progresses: Progresses, names: Iterable[str], live: Whole, history: Whole) -> list[Amendment]:
    """Take out of the ledgers of these organizations what does not stand on the topics, and set the cursors back to there.

    Of days from which retention may have deleted events, only what was added last is sure to be lost.
    """
    amendments = []
    for name in sorted(names):
        checkpoint = _open_history(progresses.checkpoints[name], history)
        progresses.checkpoints[name] = _take_up_again(checkpoint, live)
        days = progresses.days[name]
        for day, there in (*live.ids.get(name, {}).items(), *history.ids.get(name, {}).items()):
            days[day] = replace(days.get(day, Day()), ids=days.get(day, Day()).ids | there)
        for day in sorted(days):
            lost = _lost(progresses, name, day, live, history)
            if lost:
                days[day] = replace(days[day], ids=days[day].ids - lost)
                progresses.checkpoints[name] = _back_to(progresses.checkpoints[name], day)
            amendments.append(Amendment(name, day, len(lost)))
        amendments.append(Amendment(name, None))
        progresses.checkpoints[name] = replace(
            progresses.checkpoints[name],
            last_event=_named_from_now_on(checkpoint.last_event, name, live),
            last_backfill=_named_from_now_on(checkpoint.last_backfill, name, history),
        )
    return amendments


def _lost(progresses: Progresses, name: str, day: str, live: Whole, history: Whole) -> BitMap64:
    """Of the ids in a ledger, those whose events must stand on a topic and do not."""
    there = (whole.ids.get(name, {}).get(day, BitMap64()) for whole in (live, history))
    lost = progresses.days[name][day].ids - BitMap64.union(*there)
    since = _since(day, progresses.checkpoints[name].live_since, live, history)
    if day_start(day) >= since:
        return lost
    written, added = progresses.added.get((name, day), (0, BitMap64()))
    return lost & added if written >= since else BitMap64()


def put_in(progresses: Progresses, live: Tail, history: Tail) -> list[Amendment]:
    """Put into the ledgers the events that are in none: theirs was lost, or Kafka knows no transactions, or it had lost the mark that
    theirs was aborted, so that they stand again. Not those of days that are let go, unless no older than the last progress. And name
    the last event of each organization, which its checkpoint does not where Kafka kept the ledger of a transaction alone.
    """
    changed = set()
    for event in (*live.events, *history.events):
        day = day_of(event.created)
        days = progresses.days[event.organization]
        known = days.get(day, Day())
        checkpoint = progresses.checkpoints.get(event.organization)
        due = event.timestamp >= progresses.last or checkpoint is None or is_kept(day, checkpoint)
        if due and event.id not in known.ids:
            days[day] = replace(known, ids=known.ids | BitMap64([event.id]))
            changed.add((event.organization, day))
    put = [Amendment(organization, day) for organization, day in sorted(changed)]
    return put + _name_last(progresses, live, history)


def _name_last(progresses: Progresses, live: Tail, history: Tail) -> list[Amendment]:
    """So that the loss of the last event would be noticed, and the next pair tells readers to pass it."""
    last_live, last_history = (
        {event.organization: Position(event.offset, event.id) for event in tail.events}
        for tail in (live, history)
    )
    amendments = []
    for name in sorted((last_live.keys() | last_history.keys()) & progresses.checkpoints.keys()):
        checkpoint = progresses.checkpoints[name]
        named = replace(
            checkpoint,
            last_event=_later(checkpoint.last_event, last_live.get(name)),
            last_backfill=_later(checkpoint.last_backfill, last_history.get(name)),
        )
        if named != checkpoint:
            progresses.checkpoints[name] = named
            amendments.append(Amendment(name, None))
    return amendments


def _later(named: Position | None, last: Position | None) -> Position | None:
    return max(filter(None, [named, last]), key=lambda position: position.offset, default=None)


def _stands(name: str, named: Position | None, start: int, events: Mapping[int, Standing]) -> bool:
    if named is None or named.offset < start:
        return True
    found = events.get(named.offset)
    return found is not None and (found.organization, found.id) == (name, named.id)


def _since(day: str, live_since: int, live: Tail | Whole, history: Tail | Whole) -> float:
    """From when on the events of a day must stand: those of history are on a topic of their own."""
    start = day_start(day)
    of_live = live.since if start + DAY > live_since else -math.inf
    return max(of_live, history.since if start < live_since else -math.inf)


def _is_lost(named: Position | None, whole: Whole, last: Position | None) -> bool:
    """Whether the event that progress names is not there; what retention has deleted was there."""
    return named is not None and named.offset >= whole.start and (last is None or last.id != named.id)


def _named_from_now_on(named: Position | None, name: str, whole: Whole) -> Position | None:
    """The last event that stands; where retention has deleted all, still the one that was named."""
    last = whole.position(name)
    return named if last is None and not _is_lost(named, whole, last) else last


def _open_history(checkpoint: Checkpoint, history: Whole) -> Checkpoint:
    """Where the last event of history is lost, all of it is open again: which days went with it, their ledgers no longer say."""
    lost = _is_lost(checkpoint.last_backfill, history, history.position(checkpoint.organization))
    return replace(checkpoint, backfilled=()) if lost else checkpoint


def _take_up_again(checkpoint: Checkpoint, live: Whole) -> Checkpoint:
    """Where the last live event is lost, the cursors at where the rest stands, as the last pair before the loss says.

    What went with it may have been of days whose ledgers were let go since: those from where the topic tells all that was
    published are kept again, and that time is read again. Or of days whose ledgers were mended already, by a transaction whose
    end, with the cursors, was lost in turn.
    """
    last = live.position(checkpoint.organization)
    if not _is_lost(checkpoint.last_event, live, last):
        return checkpoint
    start = max(math.ceil(live.since), checkpoint.live_since)
    end = 0 if last is None else last.offset + 1
    stands = max((pair.window_end for pair in checkpoint.pairs if pair.offset <= end), default=start)
    back = set_back(checkpoint, max(start, stands))
    if start >= checkpoint.ledgers_from:
        return back
    return replace(back, ledgers_from=start, week_mark=min(back.week_mark, start))


def _back_to(checkpoint: Checkpoint, day: str) -> Checkpoint:
    """The cursors at the start of a day, and its history open, so that it is read again.

    Never below where ledgers are kept, since what was published there is not known any more: such a day is history.
    """
    start = day_start(day)
    read_again = (Range(start, start + DAY),)
    kept = start + DAY > checkpoint.ledgers_from
    bound = max(start, checkpoint.ledgers_from) if kept else checkpoint.window_end
    return replace(
        set_back(checkpoint, bound),
        backfilled=tuple(rest for one in checkpoint.backfilled for rest in missing(read_again, one)),
    )
