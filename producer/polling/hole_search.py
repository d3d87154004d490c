"""Which part of a hole to ask for next. Pure: the caller passes holes and time (seconds of its loop).

A hole is a range of time whose records the source fails to serve. Part by part it is halved, so that all but the records
to blame is soon published; a part of one millisecond that fails is asked for again, ever more seldom.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from producer.state.checkpoint import Checkpoint
from producer.state.intervals import TimeRange, add_range, missing_ranges, remove_range, split_in_half
from relay.retry import backoff_seconds
from relay.timestamps import DAY_MS

MOST_HOLES = 500
"""Of one organization: they are in its checkpoint, at 20 bytes each."""


@dataclass(frozen=True, slots=True)
class HoleTiming:
    """Waits between two requests for a part that cannot be halved any more: the first, and the longest."""

    first_seconds: float = 60.0
    cap_seconds: float = 3_600.0


def open_hole(checkpoint: Checkpoint, unread: TimeRange) -> Checkpoint:
    """Return the checkpoint with a further hole; where there are too many, the two that are nearest become one."""
    holes = add_range(checkpoint.holes, unread)
    while len(holes) > MOST_HOLES:
        before, after = min(pairwise(holes), key=lambda pair: pair[1].start - pair[0].end)
        holes = add_range(holes, TimeRange(before.start, after.end))
    return replace(checkpoint, holes=holes)


def close_range(checkpoint: Checkpoint, read: TimeRange) -> Checkpoint:
    """Return the checkpoint without the part of its holes that was read; unchanged if there were too many holes then."""
    holes = remove_range(checkpoint.holes, read)
    return checkpoint if len(holes) > MOST_HOLES else replace(checkpoint, holes=holes)


def witness_windows(checkpoint: Checkpoint, unread: TimeRange) -> tuple[TimeRange, ...]:
    """Return windows whose answer shows that the source serves others than the unread one: short ones, at different times."""
    live_since = checkpoint.live_since
    instants = (live_since - 2, live_since - DAY_MS, unread.start - 2, unread.end)
    windows = (TimeRange(instant, instant + 2) for instant in instants)
    taken = add_range(checkpoint.holes, unread)
    return tuple(one for one in windows if missing_ranges(taken, one) == (one,))


@dataclass(frozen=True, slots=True)
class _Part:
    due: float = 0.0
    failures: int = 0


class HoleSearch:
    """The parts of all holes of one organization that are still to be read: disjoint, and together the holes."""

    def __init__(self, timing: HoleTiming | None = None) -> None:
        self._timing = timing or HoleTiming()
        self._parts: dict[TimeRange, _Part] = {}
        self._holes: tuple[TimeRange, ...] = ()

    def follow(self, holes: Sequence[TimeRange]) -> None:
        """Take the holes as they are now: new ones become due, and what is in none is no part any more."""
        new = [part for hole in holes for part in missing_ranges(self._holes, hole)]
        kept = {shared: state for part, state in self._parts.items() for shared in _shared(part, holes)}
        self._parts = kept | {part: _Part() for part in new}
        self._holes = tuple(holes)

    def due(self, now: float) -> TimeRange | None:
        """Return the oldest part that is to be asked for now. None: each one waits."""
        return min((part for part, state in self._parts.items() if state.due <= now), default=None)

    def isolated(self, part: TimeRange) -> bool:
        """Whether this part failed before, and cannot be halved."""
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


def _shared(part: TimeRange, holes: Iterable[TimeRange]) -> Iterable[TimeRange]:
    shared = (TimeRange(max(part.start, hole.start), min(part.end, hole.end)) for hole in holes)
    return (one for one in shared if one.width)
