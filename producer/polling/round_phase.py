"""When the rounds of an organization begin: at a phase of its own, so that those of many organizations spread evenly."""

import math
import random
from dataclasses import dataclass, field

_PART_OF_INTERVAL = 0.98
"""Rounds are so much closer than the interval, so that a loop that wakes up late still keeps it."""
_EARLY_PART = 0.01
"""A round may begin so much of its period before its phase: a timer is not exact, and must not cause two rounds in place of one."""


@dataclass(frozen=True, slots=True)
class RoundPhase:
    """The times at which one loop begins its rounds.

    A start, an outage and a slow Kafka begin thousands of rounds in one moment. If each counted from the round before it, they
    would begin together again after each interval. A fixed phase spreads them at the next round.
    """

    interval_seconds: float
    phase: float = field(default_factory=random.random)
    """From 0 to below 1, of the time between two rounds."""

    def seconds_to_next(self, began: float) -> float:
        """Return the seconds from a round's begin, at `began` (seconds of any clock), to the begin of the next.

        At most `interval_seconds`, and shorter once, after a round that did not begin at its phase.
        """
        period = _PART_OF_INTERVAL * self.interval_seconds
        past = began / period - self.phase
        remaining = math.floor(past) + 1 - past
        return period * (remaining if remaining > _EARLY_PART else remaining + 1)
