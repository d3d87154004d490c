"""Time that only a history moves, and the steps at which a fault may come."""

import asyncio
from dataclasses import dataclass

MAX_ITERATIONS = 20_000


class SimulatedTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose time changes only with `clock` (seconds)."""

    clock = 0.0

    def time(self):
        return self.clock

    def settle(self):
        """Run until every task waits for a step or for time."""
        for _ in range(MAX_ITERATIONS):
            if not self._ready and (self.next_timer() is None or self.next_timer() > self.clock):
                return
            self.call_soon(self.stop)
            self.run_forever()
        raise AssertionError("a task is busy without end")

    def next_timer(self):
        """Return the end of the next wait that a task still waits for, or None."""
        return min((one.when() for one in self._scheduled if not one.cancelled()), default=None)


@dataclass(eq=False, slots=True)
class ExternalStep:
    """A wait for the world outside; `kind` names its subject."""

    process: object
    kind: str
    outcome: asyncio.Future


class ExternalSteps:
    """All waits of the processes, oldest first. While `free`, each step succeeds at once."""

    def __init__(self):
        self.waiting = []
        self.free = False
        self.counted = 0
        self.halt_when = lambda _number, _kind: False
        """Return whether a step halts everything; it is then in `halted`."""
        self.halted = None

    async def wait_for_outcome(self, process, kind):
        """Wait until this step is completed; return its outcome."""
        number, self.counted = self.counted, self.counted + 1
        step = ExternalStep(process, kind, asyncio.get_running_loop().create_future())
        self.waiting.append(step)
        if self.halt_when(number, kind):
            self.halt_when = lambda _number, _kind: False
            self.halted, self.free = step, False
        elif self.free:
            step.outcome.set_result("ok")
        try:
            return await step.outcome
        finally:
            self.waiting.remove(step)

    def complete(self, step, outcome="ok"):
        if not step.outcome.done():
            step.outcome.set_result(outcome)
