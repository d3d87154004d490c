"""Which part of an unread range to ask for next. Pure: the caller passes ranges and time (seconds of its loop).

An unread range is a range of time whose records the source fails to serve. Part by part it is halved, so that all but the records
to blame is soon published; a part of one millisecond that fails is asked for again, ever more seldom.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from producer.state.checkpoint import Checkpoint
from producer.state.intervals import TimeRange, add_range, missing_ranges, remove_range, split_in_half
from producer.state.smaller_checkpoint import join_nearest
from relay.retry import backoff_seconds
from relay.timestamps import DAY_MS

MAX_UNREAD_RANGES = 500
"""Of one organization: they are in its checkpoint, at 20 bytes each."""


@dataclass(frozen=True, slots=True)
class UnreadRangeTiming:
    """Waits between two requests for a part that cannot be halved any more: the first, and the longest."""

    first_seconds: float = 60.0
    cap_seconds: float = 3_600.0


def open_unread_range(checkpoint: Checkpoint, unread: TimeRange) -> Checkpoint:
    """Return the checkpoint with a further unread range; where there are too many, the two that are nearest become one."""
    opened = replace(checkpoint, unread_ranges=add_range(checkpoint.unread_ranges, unread))
    while len(opened.unread_ranges) > MAX_UNREAD_RANGES and (joined := join_nearest(opened)) is not None:
        opened = joined
    return opened


def close_unread_range(checkpoint: Checkpoint, read: TimeRange) -> Checkpoint:
    """Return the checkpoint without the part of its unread ranges that was read; unchanged if that made too many."""
    unread_ranges = remove_range(checkpoint.unread_ranges, read)
    return (
        checkpoint
        if len(unread_ranges) > MAX_UNREAD_RANGES
        else replace(checkpoint, unread_ranges=unread_ranges)
    )


def other_windows(checkpoint: Checkpoint, unread: TimeRange) -> tuple[TimeRange, ...]:
    """Return windows whose answer shows that the source serves others than the unread one: short ones, at different times."""
    live_since = checkpoint.live_since
    instants = (live_since - 2, live_since - DAY_MS, unread.start - 2, unread.end)
    windows = (TimeRange(instant, instant + 2) for instant in instants)
    taken = add_range(checkpoint.unread_ranges, unread)
    return tuple(one for one in windows if missing_ranges(taken, one) == (one,))


@dataclass(frozen=True, slots=True)
class _Part:
    due: float = 0.0
    failures: int = 0


class UnreadRangeSearch:
    """The parts of all unread ranges of one organization: disjoint, and together the unread ranges."""

    def __init__(self, timing: UnreadRangeTiming | None = None) -> None:
        self._timing = timing or UnreadRangeTiming()
        self._parts: dict[TimeRange, _Part] = {}
        self._unread_ranges: tuple[TimeRange, ...] = ()

    def follow(self, unread_ranges: Sequence[TimeRange]) -> None:
        """Take the unread ranges as they are now: parts of new ones become due, and parts of former ones are forgotten."""
        new = [
            part
            for unread_range in unread_ranges
            for part in missing_ranges(self._unread_ranges, unread_range)
        ]
        kept = {
            shared: state for part, state in self._parts.items() for shared in _shared(part, unread_ranges)
        }
        self._parts = kept | {part: _Part() for part in new}
        self._unread_ranges = tuple(unread_ranges)

    def due(self, now: float) -> TimeRange | None:
        """Return the oldest part that is to be asked for now. None: each one waits."""
        return min((part for part, state in self._parts.items() if state.due <= now), default=None)

    def isolated(self, part: TimeRange) -> bool:
        """Return whether this part failed before, and cannot be halved."""
        return part in self._parts and self._parts[part].failures > 0

    def failed(self, part: TimeRange, now: float, jitter: float) -> None:
        """Halve a part that the source failed to serve, or let it wait if it is a millisecond. `jitter` from 0 to 1."""
        if part.width > 1:
            self._parts.pop(part, None)
            self._parts |= {half: _Part(now) for half in split_in_half(part)}
        else:
            self.wait(part, now, jitter)

    def wait(self, part: TimeRange, now: float, jitter: float) -> None:
        """Let a part wait, longer each time."""
        timing, failures = self._timing, self._parts.get(part, _Part()).failures
        seconds = backoff_seconds(failures, jitter, first=timing.first_seconds, cap=timing.cap_seconds)
        self._parts[part] = _Part(now + seconds, failures + 1)


def _shared(part: TimeRange, unread_ranges: Iterable[TimeRange]) -> Iterable[TimeRange]:
    shared = (
        TimeRange(max(part.start, unread_range.start), min(part.end, unread_range.end))
        for unread_range in unread_ranges
    )
    return (one for one in shared if one.width)
