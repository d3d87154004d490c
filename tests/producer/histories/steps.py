"""Time that only a history moves, and the steps at which it may strike."""

import asyncio
from dataclasses import dataclass

MOST_TURNS = 20_000


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time stands still until `clock` (seconds) is moved."""

    clock = 0.0

    def time(self):
        return self.clock

    def settle(self):
        """Run until everybody waits for a step or for time."""
        for _ in range(MOST_TURNS):
            if not self._ready and (self.next_timer() is None or self.next_timer() > self.clock):
                return
            self.call_soon(self.stop)
            self.run_forever()
        raise AssertionError("somebody is busy without end")

    def next_timer(self):
        """When the next wait ends, as far as anything still waits for it."""
        return min((one.when() for one in self._scheduled if not one.cancelled()), default=None)


@dataclass(eq=False, slots=True)
class Step:
    """Where a process waits for the world outside; `kind` says what for."""

    process: object
    kind: str
    answer: asyncio.Future


class Steps:
    """All that processes wait for, oldest first. `free`: nobody waits, everything goes well."""

    def __init__(self):
        self.waiting = []
        self.free = False
        self.counted = 0
        self.halt_when = lambda _number, _kind: False
        """Whether nobody goes on at this step, which is then found in `halted`."""
        self.halted = None

    async def reach(self, process, kind):
        """Wait until this step is let go; what comes of it."""
        number, self.counted = self.counted, self.counted + 1
        step = Step(process, kind, asyncio.get_running_loop().create_future())
        self.waiting.append(step)
        if self.halt_when(number, kind):
            self.halt_when = lambda _number, _kind: False
            self.halted, self.free = step, False
        elif self.free:
            step.answer.set_result("ok")
        try:
            return await step.answer
        finally:
            self.waiting.remove(step)

    def let(self, step, outcome="ok"):
        if not step.answer.done():
            step.answer.set_result(outcome)
