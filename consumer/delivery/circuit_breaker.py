"""Whether a request may be started now: what the senders to one stream share while it is in trouble."""

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
class Turn:
    """The right to make one request; `number` is of the trouble before it."""

    number: int
    probe: bool


class Trouble:
    """Pure: times are seconds of one clock, chance is from 0 to 1.

    While there is none, everybody may send. After a Retry or a Paused nobody may until the wait is over; then one probes
    alone, and its answer decides for all.
    """

    def __init__(self) -> None:
        self.reason: Retry | Paused | None = None
        self.until = 0.0
        self._number = 0
        self._attempt = 0
        self._probing = False

    def turn(self, now: float) -> Turn | float | None:
        """A turn, or how many seconds to wait before asking again; None: until something changes."""
        if self.reason is None:
            return Turn(self._number, probe=False)
        if self._probing:
            return None
        if now < self.until:
            return self.until - now
        self._probing = True
        return Turn(self._number, probe=True)

    def over(self, turn: Turn, outcome: Outcome | None, now: float, chance: float) -> None:
        """What came of a turn; None: the request was not made, or nobody waited for its answer."""
        if turn.probe:
            self._probing = False
        if isinstance(outcome, Retry | Paused):
            self._worse(turn, outcome, now, chance)
        elif outcome is not None and turn.number == self._number:
            self.reason, self._attempt = None, 0

    def _worse(self, turn: Turn, outcome: Retry | Paused, now: float, chance: float) -> None:
        asked = (outcome.after or 0.0) if isinstance(outcome, Retry) else 0.0
        if turn.number != self._number:  # of the same trouble as the one that came before it
            self.until = max(self.until, now + asked)
            return
        if type(outcome) is not type(self.reason):
            self._attempt = 0
        first, cap = _WAITS[type(outcome)]
        wait = backoff_seconds(self._attempt, chance, first=first, cap=cap, minimum=asked)
        self.reason, self.until = outcome, now + wait
        self._attempt += 1
        self._number += 1


_WAITS: dict[type[Outcome], tuple[float, float]] = {
    Retry: (RETRY_FIRST_SECONDS, RETRY_CAP_SECONDS),
    Paused: (PAUSED_FIRST_SECONDS, PAUSED_CAP_SECONDS),
}


class Throttle:
    """Until when the rule itself wants no request, whichever stream it is for. One stream's other troubles are its own."""

    def __init__(self) -> None:
        self.until = 0.0


class Gate:
    """Lets requests through as `Trouble` and the rule's `Throttle` say."""

    def __init__(
        self,
        throttle: Throttle,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._throttle = throttle
        self._trouble = Trouble()
        self._clock = clock
        self._chance = chance
        self._changed = Signal()
        self._entered = 0
        """How many wait for a turn or have one."""

    @property
    def trouble(self) -> Retry | Paused | None:
        """Why requests wait; None while they need not, or where there is none to try it with: it may long be over."""
        untried = self._entered == 0 and self._clock() > self._trouble.until
        return None if untried else self._trouble.reason

    @property
    def wait_seconds(self) -> float:
        """How long until the next request at the earliest."""
        return max(0.0, self._trouble.until - self._clock()) if self.trouble else 0.0

    async def enter(self) -> Turn:
        """Wait for a turn, however long. Whoever has one gives it back with `leave`."""
        self._entered += 1
        try:
            return await self._turn()
        except BaseException:
            self._entered -= 1
            raise

    async def _turn(self) -> Turn:
        while True:
            if (throttled := self._throttle.until - self._clock()) > 0:
                await asyncio.sleep(throttled)
                continue
            turn = self._trouble.turn(self._clock())
            if isinstance(turn, Turn):
                return turn
            try:
                async with asyncio.timeout(turn):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def leave(self, turn: Turn, outcome: Outcome | None) -> None:
        self._entered -= 1
        self._trouble.over(turn, outcome, self._clock(), self._chance())
        if isinstance(outcome, Retry) and outcome.status == TOO_MANY_REQUESTS:
            self._throttle.until = max(self._throttle.until, self._trouble.until)
        self._changed.notify()
