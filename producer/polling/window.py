"""What to ask Jira for next, and what an answer proves. All instants and durations are in ms."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from producer.sources.jira_cloud.pager import PAGE_SIZE
from producer.state import checkpoint as checkpoints
from producer.state.checkpoint import Checkpoint
from producer.state.intervals import TimeRange, add_range, missing_ranges
from relay import timestamps
from relay.timestamps import DAY_MS

LEAST_OVERLAP = 60_000
PROBE_EVERY = 300_000


@dataclass(frozen=True, slots=True)
class PollingConfig:
    settle: int = 2_000
    overlap: int = 900_000
    """The most; a busy organization has less."""
    reread_day_every: int = 3_600_000
    reread_week_every: int = DAY_MS
    allowed_lateness: int = 7 * DAY_MS
    """How long after its creation a record may become visible and is still found."""


def rewind(checkpoint: Checkpoint, until: int) -> Checkpoint:
    """A checkpoint no cursor of which is after `until`, as one is that was written under a clock gone wrong.

    Never below where ledgers are kept, since what was published there is not known any more.
    """
    return checkpoints.rewind(checkpoint, max(until, checkpoint.ledgers_from))


def lower_bound(checkpoint: Checkpoint, backfill_from: int | None) -> int:
    """Nothing created before this is asked for, backfill apart."""
    wanted = checkpoint.live_since if backfill_from is None else min(backfill_from, checkpoint.live_since)
    return max(checkpoint.ledgers_from, wanted)


def live(checkpoint: Checkpoint, until: int, overlap: int, backfill_from: int | None) -> TimeRange:
    """The window of a live round."""
    return TimeRange(max(checkpoint.window_end - overlap, lower_bound(checkpoint, backfill_from)), until)


def reread(
    checkpoint: Checkpoint, until: int, config: PollingConfig, backfill_from: int | None
) -> TimeRange | None:
    """The window of the deepest re-read that is due, if one is; the deeper one does for the other."""
    if until - checkpoint.week_mark >= config.reread_week_every:
        start = checkpoint.week_mark - config.allowed_lateness
    elif until - checkpoint.day_mark >= config.reread_day_every:
        start = checkpoint.day_mark - DAY_MS
    else:
        return None
    return TimeRange(max(start, lower_bound(checkpoint, backfill_from)), until)


def backfill(checkpoint: Checkpoint, backfill_from: int | None, days: int = 1) -> TimeRange | None:
    """The next window of history, newest first: what is left of so many UTC days, so that their ledgers can soon be let go."""
    if backfill_from is None:
        return None
    gaps = missing_ranges(checkpoint.backfilled, TimeRange(backfill_from, checkpoint.live_since))
    if not gaps:
        return None
    newest = gaps[-1]
    first = timestamps.day_start(timestamps.day_of(newest.end - 1)) - (days - 1) * DAY_MS
    return TimeRange(max(newest.start, first), newest.end)


def advance(
    checkpoint: Checkpoint, read: TimeRange, config: PollingConfig, backfill_from: int | None
) -> Checkpoint:
    """The checkpoint after everything in `read`, without a hole, was read once `read.end` had passed.

    Whichever round read it, each cursor moves that needed no more than that.
    """
    lowest = lower_bound(checkpoint, backfill_from)

    def move_cursor(cursor: int, depth: int) -> int:
        return max(cursor, read.end) if read.start <= max(cursor - depth, lowest) else cursor

    return _with_ledgers_from(
        replace(
            checkpoint,
            window_end=move_cursor(checkpoint.window_end, 0),
            day_mark=move_cursor(checkpoint.day_mark, DAY_MS),
            week_mark=move_cursor(checkpoint.week_mark, config.allowed_lateness),
        ),
        config,
    )


def mark_backfilled(checkpoint: Checkpoint, read: TimeRange) -> Checkpoint:
    """The checkpoint after backfill has read a window."""
    return replace(checkpoint, backfilled=add_range(checkpoint.backfilled, read))


def next_overlap(created: Iterable[int], end: int, config: PollingConfig) -> int:
    """The overlap for the next round: as much as fits one page, by what the last one read up to `end`."""
    capacity = PAGE_SIZE * 9 // 10
    recent = sorted((ms for ms in created if ms < end), reverse=True)
    if len(recent) < capacity:
        return config.overlap
    return min(config.overlap, max(LEAST_OVERLAP, end - recent[capacity - 1]))


def probe_due(last_probe: int | None, now: int) -> bool:
    """Whether an empty round is to be proven by a probe, without which the checkpoint does not move; also after a clock went back."""
    return last_probe is None or not 0 <= now - last_probe < PROBE_EVERY


def find_gap(checkpoint: Checkpoint, oldest_created: int, until: int) -> TimeRange | None:
    """After an outage: the time of which Jira no longer keeps what it may have recorded."""
    outage = until - checkpoint.window_end >= DAY_MS and checkpoint.last_event is not None
    return (
        TimeRange(checkpoint.window_end, oldest_created)
        if outage and oldest_created > checkpoint.window_end
        else None
    )


def _with_ledgers_from(checkpoint: Checkpoint, config: PollingConfig) -> Checkpoint:
    lowest = min(
        checkpoint.window_end - config.overlap,
        checkpoint.day_mark - DAY_MS,
        checkpoint.week_mark - config.allowed_lateness,
    )
    day = timestamps.day_start(timestamps.day_of(lowest))
    return replace(checkpoint, ledgers_from=max(checkpoint.ledgers_from, day))
