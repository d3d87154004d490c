"""The circuit breaker that all deliveries of one route of a flow share."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from consumer.destinations.outcome import Outcome, Partial, Paused, Retry
from consumer.timing import BreakerTiming
from relay.aio import Signal
from relay.timestamps import now_ms

TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to make one request. `generation` numbers the problem that was known before it."""

    generation: int
    probe: bool


class BreakerState:
    """Pure. Times are seconds of one clock, jitter is from 0 to 1.

    Without a problem every delivery may send. After a Retry or a Paused none may until the wait is over; then one probes
    alone, and its answer decides for all.
    """

    def __init__(self, timing: BreakerTiming | None = None) -> None:
        self._timing = timing or BreakerTiming()
        self.problem: Retry | Paused | None = None
        self.open_until = 0.0
        self._generation = 0
        self._attempt = 0
        self._probing = False

    def try_acquire(self, now: float) -> Permit | float | None:
        """Return a permit, the seconds to wait before asking again, or None to wait for a change signal."""
        if self.problem is None:
            return Permit(self._generation, probe=False)
        if self._probing:
            return None
        if now < self.open_until:
            return self.open_until - now
        self._probing = True
        return Permit(self._generation, probe=True)

    def release(self, permit: Permit, outcome: Outcome | None, now: float, jitter: float) -> None:
        """Take a permit back with the outcome; None: the request was not made, or its answer was not awaited."""
        if permit.probe:
            self._probing = False
        if isinstance(outcome, Partial):
            outcome = outcome.as_retry() or outcome
        if isinstance(outcome, Retry | Paused):
            self._record_failure(permit, outcome, now, jitter)
        elif outcome is not None and permit.generation == self._generation:
            self.problem, self._attempt = None, 0

    def _record_failure(self, permit: Permit, outcome: Retry | Paused, now: float, jitter: float) -> None:
        requested_wait = (outcome.after or 0.0) if isinstance(outcome, Retry) else 0.0
        if (
            permit.generation != self._generation
        ):  # the request began before this problem was known: the same problem
            self.open_until = max(self.open_until, now + requested_wait)
            return
        if type(outcome) is not type(self.problem):
            self._attempt = 0
        backoff = self._timing.retry if isinstance(outcome, Retry) else self._timing.paused
        wait = backoff.wait(self._attempt, jitter, requested_wait)
        self.problem, self.open_until = outcome, now + wait
        self._attempt += 1
        self._generation += 1


class RateLimit:
    """A wait that the endpoint asked for, shared by the flows and routes of one destination. Other problems stay with their route."""

    def __init__(self) -> None:
        self.blocked_until = 0.0


class CircuitBreaker:
    """Lets requests through as `BreakerState` and the destination's `RateLimit` say."""

    def __init__(
        self,
        rate_limit: RateLimit,
        timing: BreakerTiming | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        *,
        shares_unasked: bool = True,
    ) -> None:
        """`shares_unasked`: whether a 429 that asks for no wait holds up the others too; of several routes, one may be full alone."""
        self._rate_limit = rate_limit
        self._shares_unasked = shares_unasked
        self._state = BreakerState(timing)
        self._clock = clock
        self._jitter = jitter
        self._changed = Signal()
        self._permit_users = 0
        """Deliveries that wait for a permit or hold one."""
        self.problem_since_ms = 0
        """When the problem began, in ms UTC."""

    @property
    def problem(self) -> Retry | Paused | None:
        """The reason why requests wait. None: they do not, or no request is left to find out whether the problem is over."""
        untried = self._permit_users == 0 and self._clock() > self._state.open_until
        return None if untried else self._state.problem

    @property
    def wait_seconds(self) -> float:
        """Seconds until the next request, at the earliest."""
        return max(0.0, self._state.open_until - self._clock()) if self.problem else 0.0

    async def acquire(self) -> Permit:
        """Wait for a permit, however long. The caller gives it back with `release`."""
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
        if isinstance(outcome, Partial):
            outcome = outcome.as_retry() or outcome
        had_problem = self._state.problem is not None
        self._state.release(permit, outcome, self._clock(), self._jitter())
        if not had_problem:
            self.problem_since_ms = now_ms()
        if (
            isinstance(outcome, Retry)
            and outcome.status == TOO_MANY_REQUESTS
            and (self._shares_unasked or outcome.after is not None)
        ):
            self._rate_limit.blocked_until = max(self._rate_limit.blocked_until, self._state.open_until)
        self._changed.notify()
