"""Whether a request may be started now: what the senders to one stream share while it has a problem."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from consumer.destinations.outcome import Outcome, Paused, Retry
from relay.aio import Signal
from relay.retry import backoff_seconds

RETRY_FIRST_SECONDS, RETRY_CAP_SECONDS = 0.5, 30.0
TOO_MANY_REQUESTS = 429
PAUSED_FIRST_SECONDS, PAUSED_CAP_SECONDS = 5.0, 30.0


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to make one request; `generation` is of the problem before it."""

    generation: int
    probe: bool


class BreakerState:
    """Pure: times are seconds of one clock, chance is from 0 to 1.

    While there is none, everybody may send. After a Retry or a Paused nobody may until the wait is over; then one probes
    alone, and its answer decides for all.
    """

    def __init__(self) -> None:
        self.problem: Retry | Paused | None = None
        self.open_until = 0.0
        self._generation = 0
        self._attempt = 0
        self._probing = False

    def try_acquire(self, now: float) -> Permit | float | None:
        """A permit, or how many seconds to wait before asking again; None: until something changes."""
        if self.problem is None:
            return Permit(self._generation, probe=False)
        if self._probing:
            return None
        if now < self.open_until:
            return self.open_until - now
        self._probing = True
        return Permit(self._generation, probe=True)

    def release(self, permit: Permit, outcome: Outcome | None, now: float, chance: float) -> None:
        """What came of a permit; None: the request was not made, or nobody waited for its answer."""
        if permit.probe:
            self._probing = False
        if isinstance(outcome, Retry | Paused):
            self._record_failure(permit, outcome, now, chance)
        elif outcome is not None and permit.generation == self._generation:
            self.problem, self._attempt = None, 0

    def _record_failure(self, permit: Permit, outcome: Retry | Paused, now: float, chance: float) -> None:
        requested_wait = (outcome.after or 0.0) if isinstance(outcome, Retry) else 0.0
        if permit.generation != self._generation:  # of the same problem as the one that came before it
            self.open_until = max(self.open_until, now + requested_wait)
            return
        if type(outcome) is not type(self.problem):
            self._attempt = 0
        first, cap = _BACKOFF[type(outcome)]
        wait = backoff_seconds(self._attempt, chance, first=first, cap=cap, minimum=requested_wait)
        self.problem, self.open_until = outcome, now + wait
        self._attempt += 1
        self._generation += 1


_BACKOFF: dict[type[Outcome], tuple[float, float]] = {
    Retry: (RETRY_FIRST_SECONDS, RETRY_CAP_SECONDS),
    Paused: (PAUSED_FIRST_SECONDS, PAUSED_CAP_SECONDS),
}


class RateLimit:
    """Until when the rule itself wants no request, whichever stream it is for. One stream's other problems are its own."""

    def __init__(self) -> None:
        self.blocked_until = 0.0


class CircuitBreaker:
    """Lets requests through as `BreakerState` and the rule's `RateLimit` say."""

    def __init__(
        self,
        rate_limit: RateLimit,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._rate_limit = rate_limit
        self._state = BreakerState()
        self._clock = clock
        self._chance = chance
        self._changed = Signal()
        self._permit_users = 0
        """How many wait for a permit or have one."""

    @property
    def problem(self) -> Retry | Paused | None:
        """Why requests wait; None while they need not, or where there is none to try it with: it may long be over."""
        untried = self._permit_users == 0 and self._clock() > self._state.open_until
        return None if untried else self._state.problem

    @property
    def wait_seconds(self) -> float:
        """How long until the next request at the earliest."""
        return max(0.0, self._state.open_until - self._clock()) if self.problem else 0.0

    async def acquire(self) -> Permit:
        """Wait for a permit, however long. Whoever has one gives it back with `release`."""
        self._permit_users += 1
        try:
            return await self._acquire()
        except BaseException:
            self._permit_users -= 1
            raise

    async def _acquire(self) -> Permit:
        while True:
            if (rate_limited := self._rate_limit.blocked_until - self._clock()) > 0:
                await asyncio.sleep(rate_limited)
                continue
            permit = self._state.try_acquire(self._clock())
            if isinstance(permit, Permit):
                return permit
            try:
                async with asyncio.timeout(permit):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def release(self, permit: Permit, outcome: Outcome | None) -> None:
        self._permit_users -= 1
        self._state.release(permit, outcome, self._clock(), self._chance())
        if isinstance(outcome, Retry) and outcome.status == TOO_MANY_REQUESTS:
            self._rate_limit.blocked_until = max(self._rate_limit.blocked_until, self._state.open_until)
        self._changed.notify()
