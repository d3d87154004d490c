"""The script of a simulated peer: which fault is played at which request."""

import random
import time
from collections.abc import Callable

from aiohttp import web

from simulators.faults import Fault


class ScriptedFault:
    """One fault of a script. `played` counts the requests that it answered."""

    def __init__(self, fault: Fault, times: int | None, until: float | None, rate: float, skip: int) -> None:
        self.fault = fault
        self.played = 0
        self._times = times
        self._until = until
        self._rate = rate
        self._skip = skip

    def cancel(self) -> None:
        """End the fault: no further request meets it."""
        self._times = 0

    def is_over(self, now: float) -> bool:
        """Return whether its count is used up or its time has passed. `now` is in seconds of the script's clock."""
        spent = self._times is not None and self.played >= self._times
        return spent or (self._until is not None and now >= self._until)

    def hits(self, draw: float) -> bool:
        """Decide whether it answers a request, and count it if so. `draw` is random, in [0, 1)."""
        if draw >= self._rate:
            return False
        if self._skip > 0:
            self._skip -= 1
            return False
        self.played += 1
        return True


class FaultScript:
    """The faults of one peer. For each request, the first one that fits is played."""

    def __init__(self, seed: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._faults: list[tuple[ScriptedFault, Callable[[web.Request], bool] | None]] = []
        self._random = random.Random(seed)
        self._clock = clock

    def add(
        self,
        fault: Fault,
        *,
        times: int | None = None,
        seconds: float | None = None,
        rate: float | None = None,
        skip: int = 0,
        only: Callable[[web.Request], bool] | None = None,
    ) -> ScriptedFault:
        """Add a fault for one request, or for `times` requests, for `seconds` from now, or at `rate` (0 to 1).

        It lets `skip` matching requests pass first. `only` selects the matching requests; None is all.
        """
        if times is None and seconds is None and rate is None:
            times = 1
        until = None if seconds is None else self._clock() + seconds
        scripted = ScriptedFault(fault, times, until, 1.0 if rate is None else rate, skip)
        self._faults.append((scripted, only))
        return scripted

    def clear(self) -> None:
        """Remove every fault."""
        self._faults.clear()

    def next_fault(self, request: web.Request) -> Fault | None:
        """Return the fault that answers this request, or None to serve it normally."""
        now = self._clock()
        self._faults = [fault for fault in self._faults if not fault[0].is_over(now)]
        for scripted, only in self._faults:
            if (only is None or only(request)) and scripted.hits(self._random.random()):
                return scripted.fault
        return None

    async def answer(self, request: web.Request, serve: Callable[[], web.Response]) -> web.StreamResponse:
        """Return the answer of the fault that hits this request, or else the one that `serve` makes."""

        async def served() -> web.Response:
            return serve()

        fault = self.next_fault(request)
        return await (served() if fault is None else fault.play(request, served))
