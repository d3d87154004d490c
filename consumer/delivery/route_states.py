"""The state of each route of a flow, which its deliveries share across assignments.

A route that is refused, throttled or not answered holds up no other: it has a circuit breaker, acceptances and locks of its own.
"""

import asyncio
import random
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace

from consumer.delivery.bisection import AcceptanceLog
from consumer.delivery.circuit_breaker import CircuitBreaker, RateLimit
from consumer.delivery.routes import organizations_of
from consumer.destinations.outcome import Paused, Retry
from consumer.timing import BreakerTiming
from relay.aio import Signal
from relay.timestamps import now_ms, to_iso_seconds


class RouteState:
    """Circuit breaker, acceptances and locks of one route, and the rejected bodies that put its configuration in doubt."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self.breaker = breaker
        self.acceptance_log = AcceptanceLog()
        self.bisection_lock = asyncio.Lock()
        self.suspicion_lock = asyncio.Lock()
        self._suspected: dict[Hashable, tuple[int, str]] = {}
        self._accepted_signal = Signal()

    @property
    def problem(self) -> Paused | Retry | None:
        """Why the route accepts nothing. None: it does, or nothing is sent."""
        suspected = next(iter(self._suspected.values()), None)
        return Paused(suspected[1]) if suspected else self.breaker.problem

    @property
    def problem_since_ms(self) -> int:
        """When the problem began, in ms UTC."""
        suspected = next(iter(self._suspected.values()), None)
        return suspected[0] if suspected else self.breaker.problem_since_ms

    def rows_accepted(self) -> None:
        """Record an acceptance: the configuration of the route is not suspected any more."""
        self._suspected.clear()
        self._accepted_signal.notify()

    def config_suspected(self, key: Hashable, text: str) -> None:
        """Report that a body was rejected, and nothing has been accepted since."""
        since_ms, _ = self._suspected.get(key, (now_ms(), text))
        self._suspected[key] = since_ms, text

    def is_config_suspected(self, key: Hashable) -> bool:
        return key in self._suspected

    def config_cleared(self, key: Hashable) -> None:
        self._suspected.pop(key, None)

    async def accepted_within(self, seconds: float) -> bool:
        """Return whether the route accepts anything within this time."""
        try:
            async with asyncio.timeout(seconds):
                await self._accepted_signal.wait()
        except TimeoutError:
            return False
        return True


class RouteStates:
    """The states of the routes of one flow, each made at its first use. A flow without routes has one, under None.

    `routes`: by organization, as `Limits.routes`.
    """

    def __init__(
        self,
        rate_limit: RateLimit,
        timing: BreakerTiming | None = None,
        routes: Mapping[str, str] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._rate_limit = rate_limit
        self._timing = timing
        self._routes = routes or {}
        self._jitter = jitter
        self._states: dict[str | None, RouteState] = {}

    def of(self, route: str | None) -> RouteState:
        state = self._states.get(route)
        if state is None:
            breaker = CircuitBreaker(
                self._rate_limit, self._timing, jitter=self._jitter, shares_unasked=not self._routes
            )
            state = self._states[route] = RouteState(breaker)
        return state

    @property
    def problem(self) -> Paused | Retry | None:
        """The problem of a route, a Paused first. It names the organizations, unless no route accepts anything. None: no route has one."""
        failing = self._failing()
        if not failing:
            return None
        route, problem = next(
            (each for each in failing if isinstance(each[1], Paused)),
            failing[0],
        )
        if not self._routes or 1 < len(failing) == len(self._states):
            return problem
        return replace(problem, reason=self._text(route, problem.reason, len(failing) - 1))

    @property
    def all_answer(self) -> bool:
        """Whether no route is refused, throttled or without an answer; one whose configuration is suspected answers."""
        return all(each.breaker.problem is None for each in self._states.values())

    def _failing(self) -> list[tuple[str | None, Paused | Retry]]:
        """Return the routes that have a problem, the oldest first."""
        found = [
            (state.problem_since_ms, number, route, problem)
            for number, (route, state) in enumerate(self._states.items())
            if (problem := state.problem) is not None
        ]
        return [(route, problem) for *_, route, problem in sorted(found, key=lambda each: each[:2])]

    def _text(self, route: str | None, reason: str, others: int) -> str:
        more = (
            f" {others} more routes wait too."
            if others > 1
            else " One more route waits too."
            if others
            else ""
        )
        return (
            f"Events of {organizations_of(route, self._routes)} wait since {to_iso_seconds(self.of(route).problem_since_ms)}:"
            f" {reason.removesuffix('.')}.{more} Events of other organizations are delivered."
        )

    @property
    def wait_seconds(self) -> float:
        """Seconds until every waiting route makes its next request, at the earliest."""
        return max((state.breaker.wait_seconds for state in self._states.values()), default=0.0)

    def problem_seconds(self, now: int) -> float | None:
        """Return the age of the oldest problem of a route. None: none has one, or there are no routes. `now` is ms UTC."""
        since = [self.of(route).problem_since_ms for route, _ in self._failing()] if self._routes else []
        return max(0, now - min(since)) / 1000 if since else None
