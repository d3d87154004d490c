"""The token bucket of the site's rate limit."""

import time
from collections.abc import Callable


class TokenBucket:
    """A token bucket that holds the tokens of one second and is refilled evenly."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spent = 0.0
        self._at = clock()

    def take(self, rate: float | None) -> float:
        """Take one token at `rate` tokens a second. Return 0, or the seconds until there is one. None: no limit."""
        now = self._clock()
        if rate is None:
            return 0.0
        self._spent = max(0.0, self._spent - (now - self._at) * rate)
        self._at = now
        if self._spent + 1 > rate:
            return (self._spent + 1 - rate) / rate
        self._spent += 1
        return 0.0
