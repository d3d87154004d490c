import asyncio
import bisect
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from relay.errors import RelayError
from relay.timestamps import now_ms
from sandbox import view
from sandbox.expected import created_ms
from sandbox.faults import Faults, plan
from sandbox.narrator import Narrator
from sandbox.observer import Sight, Watch
from sandbox.processes import last_complaint
from sandbox.screen import Screen
from sandbox.world import World
from simulators.azure.world import HISTORY, LIVE
from simulators.jira_cloud.site import Site

RATE = 4.0
"""Records a second, over all sites."""
LATE, LATE_SECONDS, PROJECTS = 0.05, 8.0, 0.02
LOOK_SECONDS = 0.5
FIRST_ROW_SECONDS = 60.0
SETTLE_SECONDS = 30.0
QUIET_SECONDS = 3.0
"""Longer than a round: what would come twice, would have come by then."""
DEAD_LETTER_SECONDS = 10.0

Enough = Callable[[Sequence[Sight]], bool]


class Course:
    """What happens in a world, from its first record until everything has settled, and what is told of it."""

    def __init__(self, world: World, records: Path | None, duration: float | None, screen: Screen) -> None:
        self._world = world
        self._records = records
        self._duration = duration
        self._screen = screen
        self._narrator = Narrator()
        self._happened = {name: _happened(site, records) for name, site in world.jira.sites.items()}
        self._faults = Faults(world.jira.sites, world.azure, world.producer, screen.say)
        self._first_row = asyncio.Event()
        self._quiet = Quiet(time.monotonic)
        self.as_of_ms = 0
        """What had happened by then was found to have arrived, or was waited for in vain."""
        self.watch = Watch(world.connection, self._happened, world.azure)

    def introduce(self, program: str) -> None:
        world, tell = self._world, self._screen.tell
        self._screen.say(f"Everything runs. Kafka: {world.kafka.bootstrap}")
        tell(f"For a second terminal:\n    {program} --config {world.config} organizations list")
        if self._records is not None:
            for sentence in self._served():
                tell(sentence)

    def _served(self) -> Sequence[str]:
        (site,) = self._world.jira.sites.values()
        ahead = len(site.log) - self._happened[site.name]()
        served = f"{site.name} serves the {len(site.log):,} records of {self._records}."
        if not ahead:
            return [served]
        future = (
            f"In the future: {ahead:,} of them. The relay asks Jira for what has happened until now, so they come when their"
            " time has come; the verdict does not wait for them."
        )
        return [served, future]

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`, the end of the duration, or the arrival of all that a file holds; then until all has settled."""
        async with _beside(self._play_faults()) as faults:
            async with _beside(self._traffic()) as traffic:
                await self._look(self._enough(stop, (traffic, faults)))
            self._faults.end()
            for site in self._world.jira.sites.values():
                site.reveal()
            await self._settle()
        self._screen.last(self.watch.sights())

    def _enough(self, stop: asyncio.Event, tasks: "Sequence[asyncio.Task[None]]") -> Enough:
        loop = asyncio.get_running_loop()
        began = loop.time()

        def enough(sights: Sequence[Sight]) -> bool:
            for task in tasks:
                if task.done():
                    task.result()
            if self._records is not None and self._duration is None and self._quiet(sights):
                return True
            passed = loop.time() - began
            if self._records is None and passed > FIRST_ROW_SECONDS and not self._first_row.is_set():
                raise self._nothing_came()
            return stop.is_set() or (self._duration is not None and passed >= self._duration)

        return enough

    async def _traffic(self) -> None:
        """A file of records comes without any, and without faults."""
        if self._records is None:
            await self._world.jira.live(RATE, late=LATE, late_seconds=LATE_SECONDS, project=PROJECTS)

    async def _play_faults(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        if self._records is None:
            await self._first_row.wait()
            left = None if self._duration is None else self._duration - (loop.time() - began)
            await self._faults.play(plan(left))

    def _nothing_came(self) -> RelayError:
        services = (self._world.producer, self._world.consumer)
        said = "; ".join(f"the {child.name}: {last_complaint(child.log)}" for child in services)
        return RelayError(f"Nothing has reached the sink within {FIRST_ROW_SECONDS:.0f} s; {said}")

    async def _settle(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()

        def enough(sights: Sequence[Sight]) -> bool:
            settled = self._quiet(sights) and not self._faults.healing
            return settled or loop.time() - began > SETTLE_SECONDS

        if not enough(self._sights()):
            self._screen.say("Nothing happens any more: what is under way may settle.")
        await self._look(enough)

    async def _look(self, enough: Enough) -> None:
        """Tells how things stand until it is enough."""
        while not enough(sights := self._sights()):
            if not self._first_row.is_set():
                self._look_for_first_row()
            for sentence in self._narrator.changes(self.watch.statuses):
                self._screen.say(sentence)
            self._screen.update(sights)
            await asyncio.sleep(LOOK_SECONDS)

    def _sights(self) -> list[Sight]:
        self.as_of_ms = now_ms()
        return self.watch.sights()

    def _look_for_first_row(self) -> None:
        """The fullest of the first rows is shown beside its record."""
        azure = self._world.azure
        table = LIVE if azure.accepted(LIVE) else HISTORY
        if not (rows := azure.rows(table)[:50]):
            return
        row = max(rows, key=lambda row: sum(value is not None for value in row.values()))
        truth = self._world.jira.sites[row["Organization"]].truth()
        record = next((one for one in truth if one["id"] == row["EventId"]), {})
        self._screen.show(view.side_by_side(record, row, table))
        self._first_row.set()


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> "AsyncIterator[asyncio.Task[None]]":
    """Does the work as long as the block lasts, at most."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


class Quiet:
    """Whether everything has arrived, and nothing has changed for a while; for longer where dead letters stand for records."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()
        self._seen: Sequence[Sight] = ()

    def __call__(self, sights: Sequence[Sight]) -> bool:
        counts = [replace(sight, state="", reason=None, complete_up_to=None) for sight in sights]
        if counts != self._seen or not all(sight.settled for sight in sights):
            self._since, self._seen = self._clock(), counts
            return False
        arrived = all(sight.arrived for sight in sights)
        return self._clock() - self._since >= (QUIET_SECONDS if arrived else DEAD_LETTER_SECONDS)


def _happened(site: Site, records: Path | None) -> Callable[[], int]:
    """How many records have happened by now; those of a file may lie in the future."""
    if records is None:
        return lambda: len(site.log)
    created = sorted(map(created_ms, site.truth()))
    return lambda: bisect.bisect_right(created, now_ms())
