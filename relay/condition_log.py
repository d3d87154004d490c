"""Log lasting conditions: a line at the start, one at each new kind of failure, one an hour, and one at the end.

A condition that is retried every few seconds has no line for each retry: those are at debug.
"""

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

import structlog

NO_FIELDS: Final[Mapping[str, object]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ConditionTiming:
    """`grace_seconds`: a shorter condition is an ordinary one, such as a start, and has no line.

    `remind_seconds`: between two reminders. A condition that flaps, with `burst` starts in `remind_seconds`, gets no
    further line until an episode lasts `min_episode_seconds`.
    """

    grace_seconds: float = 0.0
    remind_seconds: float = 3_600.0
    burst: int = 3
    min_episode_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class ConditionStart:
    """A line to write while the condition lasts: since when it does, its failed attempts, and unlogged episodes before."""

    seconds: float
    attempts: int
    episodes_before: int


@dataclass(frozen=True, slots=True)
class ConditionEnd:
    """A line to write at the end: how long the condition lasted, and its failed attempts."""

    seconds: float
    attempts: int


@dataclass(slots=True)
class _Episode:
    since: float
    kinds: set[str]
    seen_at: float
    last_line: float | None = None
    attempts: int = 0


@dataclass(slots=True)
class Condition:
    """One condition, pure. Times are seconds of one clock that never goes back."""

    timing: ConditionTiming = field(default_factory=ConditionTiming)
    _episode: _Episode | None = None
    _starts: list[float] = field(default_factory=list)
    _unlogged: int = 0

    def failed(self, kind: str, now: float, attempts: int = 1) -> ConditionStart | None:
        """Record failed attempts. None: they need no line.

        A condition that nobody reported for `remind_seconds` was abandoned, by a process that lost its subject meanwhile.
        """
        timing = self.timing
        if self._episode is None or now - self._episode.seen_at > timing.remind_seconds:
            self._episode = _Episode(now, set(), now)
        episode = self._episode
        episode.attempts, episode.seen_at = episode.attempts + attempts, now
        if now - episode.since < timing.grace_seconds:
            return None
        if episode.last_line is None:
            self._starts = [each for each in self._starts if now - each < timing.remind_seconds]
            if len(self._starts) >= timing.burst and now - episode.since < timing.min_episode_seconds:
                return None
            self._starts.append(now)
        elif kind in episode.kinds and now - episode.last_line < timing.remind_seconds:
            return None
        episode.kinds.add(kind)
        episode.last_line = now
        unlogged, self._unlogged = self._unlogged, 0
        return ConditionStart(now - episode.since, episode.attempts, unlogged)

    def ended(self, now: float) -> ConditionEnd | None:
        """Record that all is well. None: it was before, or its start had no line."""
        episode, self._episode = self._episode, None
        if episode is None:
            return None
        if episode.last_line is None:
            self._unlogged += not self.timing.grace_seconds
            return None
        return ConditionEnd(now - episode.since, episode.attempts)


class ConditionLog:
    """Writes the lines of conditions, each under a key: an organization, a shard, a destination."""

    def __init__(
        self,
        log: structlog.stdlib.BoundLogger,
        clock: Callable[[], float] = time.monotonic,
        timing: ConditionTiming | None = None,
    ) -> None:
        self._log = log
        self._clock = clock
        self._timing = timing or ConditionTiming()
        self._conditions: dict[Hashable, Condition] = {}

    def failed(
        self,
        key: Hashable,
        kind: str,
        message: str,
        fields: Mapping[str, object] = NO_FIELDS,
        *,
        level: Literal["warning", "error"] = "warning",
        attempts: int = 1,
    ) -> None:
        """Log a failed attempt at `level` when it begins, is of a new kind, or lasts another hour; else at debug.

        `attempts`: how many have failed since the last call; 0 where the condition is only observed.
        """
        condition = self._conditions.setdefault(key, Condition(self._timing))
        start = condition.failed(kind, self._clock(), attempts)
        if start is None:
            if attempts:
                self._log.debug(message, **fields)
            return
        lasting: dict[str, object] = {}
        if start.seconds:
            lasting = {"lasting": duration_text(start.seconds), "attempts": start.attempts}
        if start.episodes_before:
            lasting["short_episodes_before"] = start.episodes_before
        write_line = self._log.error if level == "error" else self._log.warning
        write_line(message, **fields, **lasting)

    def ended(self, key: Hashable, message: str, fields: Mapping[str, object] = NO_FIELDS) -> None:
        """Log the end: `message`, for how long, and how many attempts had failed. Nothing if nothing had failed."""
        condition = self._conditions.get(key)
        recovery = condition.ended(self._clock()) if condition is not None else None
        if recovery is not None:
            attempts = "attempt" if recovery.attempts == 1 else "attempts"
            counted = f" ({recovery.attempts:,} {attempts})" if recovery.attempts else ""
            self._log.info(f"{message} for {duration_text(recovery.seconds)}{counted}.", **fields)

    def forget(self, key: Hashable) -> None:
        """Forget a condition whose subject is gone from this process; it gets no line of an end."""
        self._conditions.pop(key, None)


def duration_text(seconds: float) -> str:
    """Return a duration in its two largest units: `12 s`, `14 min`, `2 h 5 min`, `3 d 4 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if whole else "less than 1 s"
    minutes = whole // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
