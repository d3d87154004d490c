"""Which window to read next, and how far an answer moves the cursors. Pure; all instants and durations are ms."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from producer.sources.window_result import WindowResult
from producer.state import checkpoint as checkpoints
from producer.state.checkpoint import Checkpoint
from producer.state.intervals import TimeRange, add_range, missing_ranges
from relay import timestamps
from relay.timestamps import DAY_MS

MIN_OVERLAP_MS = 60_000


@dataclass(frozen=True, slots=True)
class PollingConfig:
    settle_ms: int = 2_000
    overlap_ms: int = 900_000
    """At most; a busy organization has less."""
    reread_day_every_ms: int = 3_600_000
    reread_week_every_ms: int = DAY_MS
    allowed_lateness_ms: int = 7 * DAY_MS
    """How long after its creation a record may become visible and still be found."""
    proof_every_ms: int = 300_000
    """How often empty rounds are proven, and how far the checkpoint may fall behind known records."""


def rewind(checkpoint: Checkpoint, until: int) -> Checkpoint:
    """Return the checkpoint with no cursor after `until`: repairs one that was written under a wrong clock.

    No cursor goes below the kept ledgers, since the ids published there are forgotten.
    """
    return checkpoints.rewind(checkpoint, max(until, checkpoint.ledgers_from))


def lower_bound(checkpoint: Checkpoint, backfill_from: int | None) -> int:
    """Return the earliest `created` that live rounds and re-reads ask for."""
    wanted = checkpoint.live_since if backfill_from is None else min(backfill_from, checkpoint.live_since)
    return max(checkpoint.ledgers_from, wanted)


def live(checkpoint: Checkpoint, until: int, overlap: int, backfill_from: int | None) -> TimeRange:
    """Return the window of a live round."""
    return TimeRange(max(checkpoint.window_end - overlap, lower_bound(checkpoint, backfill_from)), until)


def reread(
    checkpoint: Checkpoint, until: int, config: PollingConfig, backfill_from: int | None
) -> TimeRange | None:
    """Return the window of the deepest re-read that is due; it covers the other. None: none is due."""
    if until - checkpoint.week_mark >= config.reread_week_every_ms:
        start = checkpoint.week_mark - config.allowed_lateness_ms
    elif until - checkpoint.day_mark >= config.reread_day_every_ms:
        start = checkpoint.day_mark - DAY_MS
    else:
        return None
    return TimeRange(max(start, lower_bound(checkpoint, backfill_from)), until)


def backfill(checkpoint: Checkpoint, backfill_from: int | None, days: int = 1) -> TimeRange | None:
    """Return the next window of history: the uncovered rest of the newest `days` UTC days. None: all is covered.

    Whole days, newest first, so that their ledgers can soon be deleted.
    """
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
    """Return the checkpoint after `read` was read without an unread range, once `read.end` had passed.

    Each cursor moves that needed no more than this window, whichever round read it.
    """
    lowest = lower_bound(checkpoint, backfill_from)

    def move_cursor(cursor: int, depth: int) -> int:
        return max(cursor, read.end) if read.start <= max(cursor - depth, lowest) else cursor

    return _with_ledgers_from(
        replace(
            checkpoint,
            window_end=move_cursor(checkpoint.window_end, 0),
            day_mark=move_cursor(checkpoint.day_mark, DAY_MS),
            week_mark=move_cursor(checkpoint.week_mark, config.allowed_lateness_ms),
        ),
        config,
    )


def mark_backfilled(checkpoint: Checkpoint, read: TimeRange) -> Checkpoint:
    """Return the checkpoint after backfill has read a window."""
    return replace(checkpoint, backfilled=add_range(checkpoint.backfilled, read))


def next_overlap(created: Iterable[int], end: int, config: PollingConfig, page_records: int) -> int:
    """Return the overlap of the next round: as much as fits one page, by the records of the last one up to `end`."""
    capacity = page_records * 9 // 10
    recent = sorted((ms for ms in created if ms < end), reverse=True)
    if len(recent) < capacity:
        return config.overlap_ms
    return min(config.overlap_ms, max(MIN_OVERLAP_MS, end - recent[capacity - 1]))


def proof_due(last_proof: int | None, now: int, config: PollingConfig) -> bool:
    """Return whether an empty round is to be proven, so that the checkpoint may move; also after a clock went back."""
    return last_proof is None or not 0 <= now - last_proof < config.proof_every_ms


def note_outage(checkpoint: Checkpoint, until: int) -> Checkpoint:
    """Return the checkpoint with the outage that it shows: a day or more without a round. `until`: the end of the next window.

    An outage that is noted already is continued: its beginning stays.
    """
    if until - checkpoint.window_end < DAY_MS or checkpoint.last_event is None:
        return checkpoint
    known = checkpoint.outage
    start = checkpoint.window_end if known is None else min(known.start, checkpoint.window_end)
    return replace(checkpoint, outage=TimeRange(start, until))


def find_gap(outage: TimeRange, oldest_created: int) -> TimeRange | None:
    """Return the time of an outage whose records the API no longer keeps. None: it keeps all of them."""
    gap = TimeRange(outage.start, min(oldest_created, outage.end))
    return gap if gap.width else None


def _with_ledgers_from(checkpoint: Checkpoint, config: PollingConfig) -> Checkpoint:
    lowest = min(
        checkpoint.window_end - config.overlap_ms,
        checkpoint.day_mark - DAY_MS,
        checkpoint.week_mark - config.allowed_lateness_ms,
    )
    day = timestamps.day_start(timestamps.day_of(lowest))
    return replace(checkpoint, ledgers_from=max(checkpoint.ledgers_from, day))


@dataclass(slots=True)
class WindowProgress:
    """How far a window has been read: to `end`, so many records; `created` (ms) of each event."""

    end: int
    record_count: int = 0
    created: list[int] = field(default_factory=list)

    def add(self, result: WindowResult) -> None:
        self.end = result.covered.end
        self.record_count += result.record_count
        self.created += [event["created"] for event in result.events]
