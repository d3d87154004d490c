"""Making a shard's memory agree with the events that stand on the topics; pure."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pyroaring import BitMap64

from producer.checkpoint import Checkpoint
from producer.instants import DAY, day_of, day_start
from producer.ledger import Day
from producer.ranges import Range, missing


@dataclass(frozen=True, slots=True)
class Standing:
    """Of an event that stands on a topic, what a ledger needs."""

    organization: str
    id: int
    created: int


@dataclass(frozen=True, slots=True)
class Tail:
    """The newest events of a shard: those of the transaction that wrote progress last, and whatever came after it.

    Not `whole`: retention may have deleted some of them.
    """

    with_progress: tuple[Standing, ...] = ()
    after_progress: tuple[Standing, ...] = ()
    whole: bool = True


@dataclass(slots=True)
class Progresses:
    """The progress topic of one shard, as it stands. `added` and its Kafka timestamp: of each day's last change."""

    days: dict[str, dict[str, Day]] = field(default_factory=lambda: defaultdict(dict))
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    added: dict[tuple[str, str], tuple[int, BitMap64]] = field(default_factory=dict)
    last: int = 0


@dataclass(frozen=True, slots=True)
class Amendment:
    """A day that was changed, and how."""

    organization: str
    day: str
    lost: int
    """Ids whose events are not there any more; they will be read from Jira again."""


def amend(progresses: Progresses, tail: Tail) -> list[Amendment]:
    """Change days and checkpoints so that they agree with the tail; returns what was changed.

    They can disagree where Kafka ended only half of a transaction, where it lost the end of a log, or where it knows no
    transactions. An id of the last transaction whose event is not there is taken out, and the cursors go back to its
    day. An event that no ledger holds is put in.
    """
    lost = _take_out_lost(progresses, tail)
    put_in = _put_in_unknown(progresses, tail)
    return [
        Amendment(organization, day, lost.get((organization, day), 0))
        for organization, day in sorted(lost.keys() | put_in)
    ]


def _take_out_lost(progresses: Progresses, tail: Tail) -> dict[tuple[str, str], int]:
    if not tail.whole:
        return {}
    there = _ids_by_organization(tail.with_progress)
    found = {}
    for (organization, day), (written, ids) in progresses.added.items():
        lost = ids - there[organization] if written == progresses.last else BitMap64()
        if not lost:
            continue
        found[organization, day] = len(lost)
        days = progresses.days[organization]
        days[day] = replace(days[day], ids=days[day].ids - lost)
        if (checkpoint := progresses.checkpoints.get(organization)) is not None:
            progresses.checkpoints[organization] = _back_to(checkpoint, day)
    return found


def _put_in_unknown(progresses: Progresses, tail: Tail) -> set[tuple[str, str]]:
    changed = set()
    for event in tail.after_progress:
        day = day_of(event.created)
        days = progresses.days[event.organization]
        known = days.get(day, Day())
        if event.id not in known.ids:
            days[day] = replace(known, ids=known.ids | BitMap64([event.id]))
            changed.add((event.organization, day))
    return changed


def _ids_by_organization(events: Iterable[Standing]) -> dict[str, BitMap64]:
    found: dict[str, BitMap64] = defaultdict(BitMap64)
    for event in events:
        found[event.organization].add(event.id)
    return found


def _back_to(checkpoint: Checkpoint, day: str) -> Checkpoint:
    """The cursors at the start of a day, and its history open, so that it is read again.

    Never below where ledgers are kept, since what was published there is not known any more: such a day is history.
    """
    start = day_start(day)
    read_again = (Range(start, start + DAY),)
    kept = start + DAY > checkpoint.ledgers_from
    bound = max(start, checkpoint.ledgers_from) if kept else checkpoint.window_end
    return replace(
        checkpoint,
        window_end=min(checkpoint.window_end, bound),
        day_mark=min(checkpoint.day_mark, bound),
        week_mark=min(checkpoint.week_mark, bound),
        backfilled=tuple(rest for one in checkpoint.backfilled for rest in missing(read_again, one)),
    )
