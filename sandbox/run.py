"""The course of a sandbox: build, watch it live, let it settle, judge."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay import lifecycle
from relay.aio import run_unless_stopped
from relay.errors import RelayError
from relay.lifecycle import Service, stop_on_signals
from sandbox import evidence, report
from sandbox.scenario import Scenario
from sandbox.screen import Screen
from sandbox.verdict import judge
from sandbox.world import SandboxWorld, log_to_file, running_world, sandbox_directory, simulated_jira


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """`program` is how this program is called, as a shell takes it; `repository` where Kafka is fetched from."""

    records: Path | None
    duration: float | None
    keep: bool
    repository: str | None
    program: str


async def run(options: SandboxOptions) -> bool:
    """Whether everything that happened has arrived. Raises RelayError where that cannot be told."""
    async with sandbox_directory(keep=options.keep) as directory:
        log_to_file(directory / "sandbox.log")
        with stop_on_signals() as stop, Screen() as screen:
            async with simulated_jira(options.records) as jira, AsyncExitStack() as stack:
                screen.announce(
                    f"Starting Kafka, a simulated Azure and {len(jira.sites)} simulated Jira in {directory}"
                )
                building = running_world(
                    directory, jira, options.repository, DownloadProgress(screen.announce)
                )
                world = await run_unless_stopped(stop, stack.enter_async_context(building))
                if world is None:
                    raise RelayError("Stopped before everything was running.")
                scenario = Scenario(world, options.records, options.duration, screen)
                scenario.print_introduction(options.program)
                with _telling_where_logs_are(directory, keep=options.keep):
                    await _run_scenario(world, scenario, stop)
                    passed = await _judge(world, scenario.as_of_ms, screen, keep=options.keep)
        if options.keep:
            screen.print_line(f"Kept: {directory}")
        return passed


@contextmanager
def _telling_where_logs_are(directory: Path, *, keep: bool) -> Iterator[None]:
    """What goes wrong also says what became of the logs."""
    try:
        yield
    except RelayError as error:
        fate = f"are kept in {directory}" if keep else "are deleted; with --keep they are kept"
        raise RelayError(f"{error}\nThe sandbox is over; its data and logs {fate}.") from error


class DownloadProgress:
    """Tells of the one download of Kafka in steps of a tenth."""

    def __init__(self, announce: Callable[[str], None]) -> None:
        self._announce = announce
        self._last_tenth = -1

    def __call__(self, done: int, total: int) -> None:
        tenth = 10 * done // max(1, total)
        if tenth > self._last_tenth:
            self._last_tenth = tenth
            self._announce(f"Fetching Kafka, this once: {done / 1e6:.0f} of {total / 1e6:.0f} MB")


async def _run_scenario(world: SandboxWorld, scenario: Scenario, stop: asyncio.Event) -> None:
    """The course to its end; raises RelayError when anything that takes part in it dies."""
    finished = asyncio.Event()

    async def run_scenario() -> None:
        await scenario.run(stop)
        finished.set()

    async def watch_kafka() -> None:
        if why := await world.kafka.wait_for_exit():
            raise why

    services: dict[str, Service] = {
        "embedded Kafka": _as_service(watch_kafka),
        "producer": _as_service(world.producer.watch),
        "consumer": _as_service(world.consumer.watch),
        "watch on Kafka": _as_service(scenario.observer.run),
        "sandbox": _as_service(run_scenario),
    }
    await lifecycle.run_services(services, finished, stopping_seconds=5)


def _as_service(work: Callable[[], Coroutine[Any, Any, None]]) -> Service:
    async def service(finished: asyncio.Event) -> None:
        await run_unless_stopped(finished, work())

    return service


async def _judge(world: SandboxWorld, as_of_ms: int, screen: Screen, *, keep: bool) -> bool:
    screen.announce("Everything is compared: what happened, what is in Kafka, what is at the sink.")
    stop_problems = await asyncio.gather(world.producer.stop(), world.consumer.stop())
    found = await evidence.collect_evidence(
        world.jira.truth(), world.connection, world.azure, [fault for fault in stop_problems if fault]
    )
    if keep:
        await asyncio.to_thread(evidence.write_rows, world.azure, world.directory)
    verdict = await asyncio.to_thread(judge, found, as_of_ms)
    for line in report.render_report(verdict):
        screen.print_line(line)
    return verdict.passed
