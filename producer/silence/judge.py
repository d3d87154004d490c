"""Decides whether the present silence of an organization is usual. Pure.

The rhythm is learned up to the last event: a silence that goes on teaches nothing, so that an outage never becomes usual while it
lasts. What is judged is the time that the source has answered for. A source that gives no answer proves no silence.
"""

import math
from collections.abc import Iterator, Sequence

from producer.silence.expectation import silence_probability
from producer.silence.rhythm import learn_rhythm
from producer.state.active_hours import HOURS_KEPT, ActiveHours
from producer.state.checkpoint import Checkpoint, EventTime
from producer.state.intervals import TimeRange, remove_range
from relay.status.model import Silence
from relay.timestamps import DAY_MS, HOUR_MS

UNLIKELY = 0.0005
"""A silence with a lower probability is named. benchmarks/silence.py says what that finds and how often it is wrong."""
LEARNING_MS = 14 * DAY_MS
LONG_MS = 7 * DAY_MS
"""A silence of this length is named even while the rhythm is being learned, and says so."""


class SilenceJudge:
    """Judges the silence of one organization, anew for each hour of it: in between, the chance does not change."""

    def __init__(self) -> None:
        self._judged: dict[tuple[int, int, int], float] = {}
        """The chance of each silence that was judged last, by the hour of the last event, the one before it and the first one that is not over."""
        self._measured: tuple[ActiveHours | None, int | None] = (None, None)
        """The hours whose longest silence is known, and that silence."""

    def judge(self, checkpoint: Checkpoint, added: int) -> Silence | None:
        """Return the silence for which the source has answered. None: the newest event is not known.

        Unread ranges after the newest event may hold an event, so they part the silence, and the least likely part counts.
        `added`: when the organization was added (ms UTC).
        """
        newest = checkpoint.newest_event
        if newest is None and (checkpoint.last_event or checkpoint.last_backfill):
            return None
        since = added if newest is None else _last_event(newest, checkpoint)
        parts = _answered_parts(checkpoint, since)
        longest_part = max(parts, key=lambda each: each.width)
        active = checkpoint.active_hours or ActiveHours(since=parts[-1].end)
        known_until = _known_from(checkpoint, active) + LEARNING_MS
        if self._measured[0] is not active:
            self._measured = active, longest_silence(active)
        longest = self._measured[1]
        if longest_part.end < known_until:
            word = "silent" if longest_part.width >= LONG_MS else "learning"
            return _silence(longest_part, word, learning_until=known_until, longest=longest)
        if newest is None or not active.bits:
            return _silence(longest_part, "silent" if longest_part.width >= LONG_MS else "quiet")
        chances = self._probabilities(checkpoint, active, since, parts)
        probability, _, part = min(zip(chances, range(0, -len(parts), -1), parts, strict=True))
        word = "silent" if probability < UNLIKELY else "quiet"
        return _silence(part, word, probability, longest=longest)

    def _probabilities(
        self, checkpoint: Checkpoint, active: ActiveHours, since: int, parts: Sequence[TimeRange]
    ) -> list[float]:
        hours = [(since // HOUR_MS, each.start // HOUR_MS, each.end // HOUR_MS) for each in parts]
        if any(each not in self._judged for each in hours):
            rhythm = learn_rhythm(active, observed_hours(checkpoint, active))
            self._judged = {
                (event, last, end): silence_probability(rhythm, event + 1, end, last + 1)
                if end > last + 1
                else 1.0
                for event, last, end in hours
            }
        return [self._judged[each] for each in hours]


def _silence(
    part: TimeRange,
    word: str,
    probability: float | None = None,
    learning_until: int | None = None,
    longest: int | None = None,
) -> Silence:
    return Silence(part.start, part.end, word, probability, learning_until, longest)


def _last_event(newest: EventTime, checkpoint: Checkpoint) -> int:
    """Return when the newest event was created, or for one that bears a time to come, the end of the hour that it was read in.

    Without this, such an event would be the end of each silence until its time has come.
    """
    active = checkpoint.active_hours
    if newest.created <= checkpoint.window_end or active is None or not active.bits:
        return newest.created
    return min(newest.created, (active.newest + 1) * HOUR_MS - 1)


def _answered_parts(checkpoint: Checkpoint, since: int) -> Sequence[TimeRange]:
    """Return the parts of the time from `since` on for which the source has answered, the oldest first; at least one.

    An unread range before the last event may stay for ever, and says nothing of the silence after it.
    """
    parts: tuple[TimeRange, ...] = (TimeRange(since, max(since, checkpoint.window_end)),)
    for each in checkpoint.unread_ranges:
        if each.end > max(since, checkpoint.live_since):
            parts = remove_range(parts, each)
    return parts or (TimeRange(since, since),)


def _known_from(checkpoint: Checkpoint, active: ActiveHours) -> int:
    """Return the instant from which on each hour was read and recorded (ms UTC)."""
    starts = [each.start for each in checkpoint.backfilled if each.end >= checkpoint.live_since]
    return max(active.since, min([checkpoint.live_since, *starts]))


def observed_hours(checkpoint: Checkpoint, active: ActiveHours) -> int:
    """Return the hours that were read and recorded: bit i for the hour i hours before the newest active one."""
    bits = active.bits
    for each in _observed_ranges(checkpoint, active):
        oldest = active.newest - math.ceil(each.start / HOUR_MS)
        newest = active.newest - (each.end // HOUR_MS - 1)
        if oldest >= max(0, newest):
            bits |= (1 << min(oldest + 1, HOURS_KEPT)) - (1 << min(max(0, newest), HOURS_KEPT))
    return bits


def _observed_ranges(checkpoint: Checkpoint, active: ActiveHours) -> Iterator[TimeRange]:
    live = TimeRange(checkpoint.live_since, (active.newest + 1) * HOUR_MS)
    ranges: tuple[TimeRange, ...] = (*checkpoint.backfilled, live)
    for unread in checkpoint.unread_ranges:
        ranges = remove_range(ranges, unread)
    for each in ranges:
        yield TimeRange(max(each.start, active.since), each.end)


def longest_silence(active: ActiveHours) -> int | None:
    """Return the longest time between two active hours, in ms. None: there are no two."""
    hours = max(map(len, f"{active.bits:b}".split("1")[1:-1]), default=None)
    return None if hours is None else hours * HOUR_MS
