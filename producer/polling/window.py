"""What to ask Jira for next, and what an answer proves. All instants and durations are in ms."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from producer.sources.jira_cloud.pager import PAGE
from producer.state import checkpoint as checkpoints
from producer.state.checkpoint import Checkpoint
from producer.state.intervals import Range, add, missing
from relay import timestamps
from relay.timestamps import DAY

LEAST_OVERLAP = 60_000
PROBE_EVERY = 300_000


@dataclass(frozen=True, slots=True)
class Rules:
    settle: int = 2_000
    overlap: int = 900_000
    """The most; a busy organization has less."""
    day_every: int = 3_600_000
    week_every: int = DAY
    late: int = 7 * DAY
    """How long after its creation a record may become visible and is still found."""


def set_back(checkpoint: Checkpoint, until: int) -> Checkpoint:
    """A checkpoint no cursor of which is after `until`, as one is that was written under a clock gone wrong.

    Never below where ledgers are kept, since what was published there is not known any more.
    """
    return checkpoints.set_back(checkpoint, max(until, checkpoint.ledgers_from))


def floor(checkpoint: Checkpoint, backfill_from: int | None) -> int:
    """Nothing created before this is asked for, backfill apart."""
    wanted = checkpoint.live_since if backfill_from is None else min(backfill_from, checkpoint.live_since)
    return max(checkpoint.ledgers_from, wanted)


def live(checkpoint: Checkpoint, until: int, overlap: int, backfill_from: int | None) -> Range:
    """The window of a live round."""
    return Range(max(checkpoint.window_end - overlap, floor(checkpoint, backfill_from)), until)


def deep(checkpoint: Checkpoint, until: int, rules: Rules, backfill_from: int | None) -> Range | None:
    """The window of the deepest re-read that is due, if one is; the deeper one does for the other."""
    if until - checkpoint.week_mark >= rules.week_every:
        start = checkpoint.week_mark - rules.late
    elif until - checkpoint.day_mark >= rules.day_every:
        start = checkpoint.day_mark - DAY
    else:
        return None
    return Range(max(start, floor(checkpoint, backfill_from)), until)


def backfill(checkpoint: Checkpoint, backfill_from: int | None, days: int = 1) -> Range | None:
    """The next window of history, newest first: what is left of so many UTC days, so that their ledgers can soon be let go."""
    if backfill_from is None:
        return None
    gaps = missing(checkpoint.backfilled, Range(backfill_from, checkpoint.live_since))
    if not gaps:
        return None
    newest = gaps[-1]
    first = timestamps.day_start(timestamps.day_of(newest.end - 1)) - (days - 1) * DAY
    return Range(max(newest.start, first), newest.end)


def advance(checkpoint: Checkpoint, read: Range, rules: Rules, backfill_from: int | None) -> Checkpoint:
    """The checkpoint after everything in `read`, without a hole, was read once `read.end` had passed.

    Whichever walk read it, each cursor moves that needed no more than that.
    """
    bottom = floor(checkpoint, backfill_from)

    def moved(cursor: int, depth: int) -> int:
        return max(cursor, read.end) if read.start <= max(cursor - depth, bottom) else cursor

    return _forgetting(
        replace(
            checkpoint,
            window_end=moved(checkpoint.window_end, 0),
            day_mark=moved(checkpoint.day_mark, DAY),
            week_mark=moved(checkpoint.week_mark, rules.late),
        ),
        rules,
    )


def cover(checkpoint: Checkpoint, read: Range) -> Checkpoint:
    """The checkpoint after backfill has read a window."""
    return replace(checkpoint, backfilled=add(checkpoint.backfilled, read))


def overlap_after(created: Iterable[int], end: int, rules: Rules) -> int:
    """The overlap for the next round: as much as fits one page, by what the last one read up to `end`."""
    room = PAGE * 9 // 10
    recent = sorted((ms for ms in created if ms < end), reverse=True)
    if len(recent) < room:
        return rules.overlap
    return min(rules.overlap, max(LEAST_OVERLAP, end - recent[room - 1]))


def probe_due(probed: int | None, now: int) -> bool:
    """Whether an empty round is to be proven by a probe, without which the checkpoint does not move; also after a clock went back."""
    return probed is None or not 0 <= now - probed < PROBE_EVERY


def gap(checkpoint: Checkpoint, oldest_created: int, until: int) -> Range | None:
    """After an outage: the time of which Jira no longer keeps what it may have recorded."""
    outage = until - checkpoint.window_end >= DAY and checkpoint.last_event is not None
    return (
        Range(checkpoint.window_end, oldest_created)
        if outage and oldest_created > checkpoint.window_end
        else None
    )


def _forgetting(checkpoint: Checkpoint, rules: Rules) -> Checkpoint:
    lowest = min(
        checkpoint.window_end - rules.overlap, checkpoint.day_mark - DAY, checkpoint.week_mark - rules.late
    )
    day = timestamps.day_start(timestamps.day_of(lowest))
    return replace(checkpoint, ledgers_from=max(checkpoint.ledgers_from, day))
