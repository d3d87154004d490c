"""The pace of a job: its rate, and the priority of live events. Pure; times are seconds of one clock."""

from collections.abc import Callable
from typing import Protocol

from consumer.delivery.circuit_breaker import RateLimit
from consumer.destinations.outcome import Paused, Retry

RATE_SECONDS = 1.0
"""A body holds no more rows than the rate allows in this time, so that the rate is even."""


class Pace:
    """Bounds the events a second of one job."""

    def __init__(self, rate: int | None) -> None:
        """`rate`: events a second; None: no limit."""
        self._rate = rate
        self._next_at = 0.0

    @property
    def max_rows(self) -> int | None:
        """Rows of one body; None: no limit of its own."""
        return None if self._rate is None else max(1, int(self._rate * RATE_SECONDS))

    def wait_seconds(self, now: float) -> float:
        """Return the seconds until the next body may start."""
        return max(0.0, self._next_at - now)

    def started(self, rows: int, now: float) -> None:
        """Note that a body of so many rows starts now. Time without a body is not made up for."""
        if self._rate is not None:
            self._next_at = max(self._next_at, now) + rows / self._rate


class _Routes(Protocol):
    @property
    def problem(self) -> Paused | Retry | None: ...


def live_wait(routes: _Routes, rate_limit: RateLimit, clock: Callable[[], float]) -> str | None:
    """Return why live events wait for the destination, so that a replay lets them go first; None: they do not.

    A live flow that an operator must mend (Paused) is no reason: a replay takes nothing from it.
    """
    if (seconds := rate_limit.blocked_until - clock()) > 0:
        return f"The destination asks for a pause of {seconds:.0f} s; live events go first."
    problem = routes.problem
    return (
        f"Live events wait for the destination and go first: {problem.reason}"
        if isinstance(problem, Retry)
        else None
    )
