"""A run of the sandbox: traffic, faults, and the wait for the last records."""

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
from sandbox.destinations.contract import DeliveredRow, DestinationPeer
from sandbox.expected import created_ms
from sandbox.faults import FaultPlayer, plan_faults
from sandbox.latency import LatencyRecorder
from sandbox.narrator import StatusNarrator
from sandbox.observer import Observer, OrganizationSnapshot
from sandbox.processes import last_error
from sandbox.screen import Screen
from sandbox.world import SandboxWorld
from simulators.jira_cloud.site import SimulatedSite

RECORDS_PER_SECOND = 4.0
"""Rate over all sites."""
LATE_SHARE, LATE_SECONDS, PROJECT_SHARE = 0.05, 8.0, 0.02
OBSERVE_SECONDS = 0.5
LOOKS_FOR_ROWS = 5
"""Looks at the destinations between two snapshots; they are the resolution of latencies."""
FIRST_ROW_TIMEOUT_SECONDS = 60.0
ARRIVAL_TIMEOUT_SECONDS = 30.0
QUIET_SECONDS = 1.0
"""Beside a polling round, so that a repeat would have arrived."""
DEAD_LETTER_SECONDS = 8.0

StopCondition = Callable[[Sequence[OrganizationSnapshot]], bool]


class Scenario:
    """Traffic and faults in a world until every record has arrived, shown on the screen."""

    def __init__(
        self,
        world: SandboxWorld,
        records: Path | None,
        duration: float | None,
        interval: float,
        screen: Screen,
    ) -> None:
        self._world = world
        self._records = records
        self._duration = duration
        self._interval = interval
        self._screen = screen
        self._status_narrator = StatusNarrator()
        self._record_counts = {
            name: _record_counter(site, records) for name, site in world.jira.sites.items()
        }
        self._faults = FaultPlayer(world.jira.sites, world.destinations, world.producer, screen.announce)
        self._first_row = asyncio.Event()
        self._example: tuple[str, int] | None = None
        """Organization and id of the record whose rows are shown; None: none has reached a destination yet."""
        self._all_arrived = AllArrivedDetector(time.monotonic, interval)
        self.as_of_ms = 0
        """Records created until then, in ms UTC, must have arrived."""
        visible_at = {name: site.log.visible_at for name, site in world.jira.sites.items()}
        self.latency = LatencyRecorder(visible_at, world.destinations)
        self.observer = Observer(world.connection, self._record_counts, world.destinations)

    def print_introduction(self, program: str) -> None:
        """Print the address of Kafka and a command for a second terminal."""
        world = self._world
        self._screen.announce(f"Everything is running. Kafka: {world.kafka.bootstrap}")
        self._screen.print_line(f"Console: {world.console.url}, token: {world.console.token}")
        self._screen.print_line(
            f"Try in a second terminal:\n    {program} --config {world.config} organizations list"
        )
        if self._records is not None:
            for sentence in self._describe_records_file():
                self._screen.print_line(sentence)

    def _describe_records_file(self) -> Sequence[str]:
        (site,) = self._world.jira.sites.values()
        future_count = len(site.log) - self._record_counts[site.name]()
        served = f"{site.name} serves the {len(site.log):,} records of {self._records}."
        if not future_count:
            return [served]
        future = (
            f"Records with a future time: {future_count:,}. The relay reads records until now, so they arrive when"
            " their time comes; the verdict does not wait for them."
        )
        return [served, future]

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`, the end of the duration, or the arrival of every record of the file; then wait until all arrived."""
        async with _running_meanwhile(self._play_faults()) as faults:
            async with _running_meanwhile(self._generate_traffic()) as traffic:
                await self._observe(self._stop_condition(stop, (traffic, faults)))
            self._faults.end()
            for site in self._world.jira.sites.values():
                site.reveal()
            await self._wait_for_arrival()
        self._screen.finish(self.observer.take_snapshots())

    def _stop_condition(self, stop: asyncio.Event, tasks: "Sequence[asyncio.Task[None]]") -> StopCondition:
        loop = asyncio.get_running_loop()
        started = loop.time()

        def should_stop(snapshots: Sequence[OrganizationSnapshot]) -> bool:
            for task in tasks:
                if task.done():
                    task.result()
            if self._records is not None and self._duration is None and self._all_arrived(snapshots):
                return True
            passed = loop.time() - started
            if self._records is None and passed > FIRST_ROW_TIMEOUT_SECONDS and not self._first_row.is_set():
                raise self._no_row_error()
            return stop.is_set() or (self._duration is not None and passed >= self._duration)

        return should_stop

    async def _generate_traffic(self) -> None:
        """Generate records until cancelled. A file of records is served without further traffic, and without faults."""
        if self._records is None:
            await self._world.jira.generate_traffic(
                RECORDS_PER_SECOND,
                late_share=LATE_SHARE,
                late_seconds=LATE_SECONDS,
                project_share=PROJECT_SHARE,
            )

    async def _play_faults(self) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        if self._records is None:
            await self._first_row.wait()
            seconds_left = None if self._duration is None else self._duration - (loop.time() - started)
            await self._faults.play(plan_faults(seconds_left))

    def _no_row_error(self) -> RelayError:
        services = (self._world.producer, self._world.consumer)
        errors = "; ".join(f"the {each.name}: {last_error(each.log)}" for each in services)
        return RelayError(
            f"No record reached every destination within {FIRST_ROW_TIMEOUT_SECONDS:.0f} s; {errors}"
        )

    async def _wait_for_arrival(self) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()

        def should_stop(snapshots: Sequence[OrganizationSnapshot]) -> bool:
            arrived = self._all_arrived(snapshots) and not self._faults.unhealed
            return arrived or loop.time() - started > ARRIVAL_TIMEOUT_SECONDS + self._interval

        if not should_stop(self._take_snapshots()):
            self._screen.announce("Traffic and faults have stopped; waiting for the last records to arrive.")
        await self._observe(should_stop)

    async def _observe(self, should_stop: StopCondition) -> None:
        """Show states and counts until `should_stop` returns true."""
        while not should_stop(snapshots := self._take_snapshots()):
            if not self._first_row.is_set():
                self._show_first_row()
            for sentence in self._status_narrator.describe_changes(self.observer.statuses):
                self._screen.announce(sentence)
            self._screen.update(snapshots)
            await self._record_latency()

    async def _record_latency(self) -> None:
        """Look for new rows until the next snapshots."""
        for _ in range(LOOKS_FOR_ROWS):
            self.latency.note_new_rows(now_ms())
            await asyncio.sleep(OBSERVE_SECONDS / LOOKS_FOR_ROWS)

    def _take_snapshots(self) -> list[OrganizationSnapshot]:
        self.as_of_ms = now_ms()
        return self.observer.take_snapshots()

    def _show_first_row(self) -> None:
        """Show a record beside its row at each destination; nothing until all have it."""
        found = {name: _first_rows(peer) for name, peer in self._world.destinations.items()}
        if self._example is None:
            first = max(next(iter(found.values())).values(), key=_count_values, default=None)
            if first is None:
                return
            self._example = first.organization, first.record_id
        rows = {
            name: by_record[self._example] for name, by_record in found.items() if self._example in by_record
        }
        if len(rows) < len(found):
            return
        organization, record_id = self._example
        truth = self._world.jira.sites[organization].all_records()
        record = next((one for one in truth if one["id"] == record_id), {})
        for name, delivered in rows.items():
            self._screen.print_renderable(
                view.render_side_by_side(
                    organization, record, name, self._world.destinations[name], delivered
                )
            )
        self._first_row.set()


def _first_rows(peer: DestinationPeer) -> dict[tuple[str, int], DeliveredRow]:
    """Return the rows of a destination that has few yet, live ones first, by organization and id of their record."""
    rows = [*peer.rows(history=False), *peer.rows(history=True)]
    return {(each.organization, each.record_id): each for each in rows}


def _count_values(delivered: DeliveredRow) -> int:
    return sum(value is not None for value in delivered.row.values())


@asynccontextmanager
async def _running_meanwhile(work: Coroutine[Any, Any, None]) -> "AsyncIterator[asyncio.Task[None]]":
    """Run `work` while the block runs; cancel it at the end of the block."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


class AllArrivedDetector:
    """Detects that every record has arrived and no count has changed for QUIET_SECONDS and a polling round.

    With dead letters in the place of records it waits for DEAD_LETTER_SECONDS and a round.
    """

    def __init__(self, clock: Callable[[], float], interval: float) -> None:
        """`interval`: seconds between two polling rounds."""
        self._clock = clock
        self._interval = interval
        self._unchanged_since = clock()
        self._last_counts: Sequence[OrganizationSnapshot] = ()

    def __call__(self, snapshots: Sequence[OrganizationSnapshot]) -> bool:
        counts = [replace(each, state="", reason=None, complete_up_to=None) for each in snapshots]
        if counts != self._last_counts or not all(each.all_arrived for each in snapshots):
            self._unchanged_since, self._last_counts = self._clock(), counts
            return False
        accepted = all(each.all_accepted for each in snapshots)
        quiet = QUIET_SECONDS if accepted else DEAD_LETTER_SECONDS
        return self._clock() - self._unchanged_since >= quiet + self._interval


def _record_counter(site: SimulatedSite, records: Path | None) -> Callable[[], int]:
    """Return a function that counts the records of a site until now; those of a file may be in the future."""
    if records is None:
        return lambda: len(site.log)
    created = sorted(map(created_ms, site.all_records()))
    return lambda: bisect.bisect_right(created, now_ms())
