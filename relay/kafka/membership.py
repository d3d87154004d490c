import math
import time
from collections.abc import Callable

FROZEN_SECONDS = 2.0


class MembershipLease:
    """Whether we can still be a member of the group, as far as this process can know.

    Whoever was frozen cannot tell from what it reads next: answers of before the freeze may still lie in its sockets. So a
    confirmation counts from when it was asked for, grows old, and counts for nothing while the process has not been seen
    awake since. Times are monotonic seconds; the second clock also sees the sleep of a whole machine.
    """

    def __init__(
        self,
        session_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.renewed_at = -math.inf
        self._session_seconds = session_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        self._invalidated_at = -math.inf
        self._tick = (-math.inf, -math.inf)

    def tick(self) -> None:
        """To be called again and again, more often than twice a second: we are awake."""
        if not self._awake():
            self.invalidate()
        self._tick = (self._clock(), self._wall_clock())

    def invalidate(self) -> None:
        self._invalidated_at = self._clock()

    def renew(self, requested_at: float) -> None:
        """The group has answered a question of `requested_at` as it answers a member."""
        if self._awake():
            self.renewed_at = max(self.renewed_at, requested_at)

    @property
    def valid(self) -> bool:
        fresh = self._clock() - self.renewed_at < self._session_seconds
        return fresh and self.renewed_at > self._invalidated_at and self._awake()

    def _awake(self) -> bool:
        ticked, wall = self._tick
        return self._clock() - ticked <= FROZEN_SECONDS and self._wall_clock() - wall <= FROZEN_SECONDS
