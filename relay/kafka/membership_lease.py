"""The lease of a group membership: how long this process may act as a member."""

import math
import time
from collections.abc import Callable


class MembershipLease:
    """Whether this process can still be a member of its group. All times are monotonic seconds.

    1. After a freeze, the next answer proves nothing: it may have been in the socket before the freeze began.
    2. So a confirmation counts from the time of its request, and expires with the session.
    3. It counts only while the process ticks: a gap between two ticks is a freeze.
    4. The monotonic clock may stop while a machine sleeps, so ticks also compare the wall clock.
    """

    def __init__(
        self,
        session_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        frozen_seconds: float = 2.0,
    ) -> None:
        """`frozen_seconds`: a longer gap between two ticks is a freeze."""
        self.frozen_seconds = frozen_seconds
        self.renewed_at = -math.inf
        self._session_seconds = session_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        self._invalidated_at = -math.inf
        self._tick = (-math.inf, -math.inf)

    def tick(self) -> None:
        """Record that the process runs. Call it more often than twice a second."""
        if not self._awake():
            self.invalidate()
        self._tick = (self._clock(), self._wall_clock())

    def invalidate(self) -> None:
        """Reject every confirmation that was requested before now."""
        self._invalidated_at = self._clock()

    def renew(self, requested_at: float) -> None:
        """Record that the group confirmed the membership, in answer to a request of `requested_at`."""
        if self._awake():
            self.renewed_at = max(self.renewed_at, requested_at)

    @property
    def valid(self) -> bool:
        """Return whether a fresh confirmation exists."""
        fresh = self._clock() - self.renewed_at < self._session_seconds
        return fresh and self.renewed_at > self._invalidated_at and self._awake()

    def _awake(self) -> bool:
        ticked, wall = self._tick
        longest = self.frozen_seconds
        return self._clock() - ticked <= longest and self._wall_clock() - wall <= longest
