import asyncio
from collections import Counter
from collections.abc import Iterable

from tests.chaos import plan
from tests.chaos.broker import Broker
from tests.chaos.course import Course
from tests.chaos.peers import Organizations, Sink
from tests.chaos.plan import Event
from tests.chaos.processes import Processes


class Deeds:
    """Does what is planned until it is over; then everything heals."""

    def __init__(self, course: Course, organizations: Organizations) -> None:
        self.done: Counter[str] = Counter()
        self._course = course
        self._organizations = organizations
        self._processes = Processes(course)
        self._broker = Broker(course)
        self._sink = Sink(course)

    async def play(self, events: Iterable[Event], seconds: float) -> None:
        """Returns when `seconds` have passed and all is as it was, as far as we did it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            for event in events:
                await asyncio.sleep(max(0.0, began + event.at - loop.time()))
                group.create_task(self._do(event))
            await asyncio.sleep(max(0.0, began + seconds - loop.time()))
            self._course.over.set()
        self._course.world.azure.clear_faults()
        self._organizations.free_of_faults()

    async def _do(self, event: Event) -> None:
        if event.kind in plan.PROCESS:
            done = await self._processes.do(event)
        elif event.kind in plan.KAFKA:
            done = await self._broker.do(event)
        elif event.kind in plan.SINK:
            done = await self._sink.do(event)
        else:
            done = await self._organizations.do(event)
        self.done[event.kind] += done
