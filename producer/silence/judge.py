"""Decides whether the present silence of an organization is usual. Pure.

The rhythm is learned up to the last event: a silence that goes on teaches nothing, so that an outage never becomes usual while it
lasts. What is judged is the time that the source has answered for. A source that gives no answer proves no silence.
"""

import math
from collections.abc import Iterator

from producer.silence.expectation import silence_probability
from producer.silence.rhythm import learn_rhythm
from producer.state.active_hours import HOURS_KEPT, ActiveHours
from producer.state.checkpoint import Checkpoint, EventTime
from producer.state.intervals import TimeRange, remove_range
from relay.status.model import Silence
from relay.timestamps import DAY_MS, HOUR_MS

UNLIKELY = 0.001
"""A silence with a lower probability is named. benchmarks/silence.py says what that finds and how often it is wrong."""
LEARNING_MS = 14 * DAY_MS
LONG_MS = 7 * DAY_MS
"""A silence of this length is named even while the rhythm is being learned, and says so."""


class SilenceJudge:
    """Judges the silence of one organization, anew for each hour of it: in between, the chance does not change."""

    def __init__(self) -> None:
        self._judged: tuple[int, int, float] | None = None
        """Last hour with an event, first hour that is not over, and the chance of what is between."""
        self._measured: tuple[ActiveHours | None, int | None] = (None, None)
        """The hours whose longest silence is known, and that silence."""

    def judge(self, checkpoint: Checkpoint, added: int) -> Silence | None:
        """Return the silence up to where the source has answered. None: the newest event is not known.

        `added`: when the organization was added (ms UTC).
        """
        newest = checkpoint.newest_event
        if newest is None and (checkpoint.last_event or checkpoint.last_backfill):
            return None
        since = added if newest is None else _last_event(newest, checkpoint)
        until = _answered_up_to(checkpoint, since)
        active = checkpoint.active_hours or ActiveHours(since=until)
        known_until = _known_from(checkpoint, active) + LEARNING_MS
        if self._measured[0] is not active:
            self._measured = active, longest_silence(active)
        longest = self._measured[1]
        if until < known_until:
            word = "silent" if until - since >= LONG_MS else "learning"
            return Silence(since, until, word, learning_until=known_until, longest=longest)
        if newest is None or not active.bits:
            return Silence(since, until, "silent" if until - since >= LONG_MS else "quiet")
        probability = self._probability(checkpoint, active, since // HOUR_MS, until // HOUR_MS)
        word = "silent" if probability < UNLIKELY else "quiet"
        return Silence(since, until, word, probability, longest=longest)

    def _probability(self, checkpoint: Checkpoint, active: ActiveHours, last: int, end: int) -> float:
        if self._judged is None or self._judged[:2] != (last, end):
            chance = 1.0
            if end > last + 1:
                rhythm = learn_rhythm(active, observed_hours(checkpoint, active))
                chance = silence_probability(rhythm, last + 1, end)
            self._judged = last, end, chance
        return self._judged[2]


def _last_event(newest: EventTime, checkpoint: Checkpoint) -> int:
    """Return when the newest event was created, or for one that bears a time to come, the end of the hour that it was read in.

    Without this, such an event would be the end of each silence until its time has come.
    """
    active = checkpoint.active_hours
    if newest.created <= checkpoint.window_end or active is None or not active.bits:
        return newest.created
    return min(newest.created, (active.newest + 1) * HOUR_MS - 1)


def _answered_up_to(checkpoint: Checkpoint, since: int) -> int:
    """Return the instant up to which the source has answered for each instant from `since` on (ms UTC).

    An unread range before the last event may stay for ever, and says nothing of the silence after it.
    """
    live = max(since, checkpoint.live_since)
    unread = (each.start for each in checkpoint.unread_ranges if each.end > live)
    return max(since, min(checkpoint.window_end, next(unread, checkpoint.window_end)))


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
