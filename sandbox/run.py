"""One sandbox from start to verdict: build the world, run the scenario, judge the result."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay import lifecycle
from relay.aio import run_unless_stopped
from relay.errors import RelayError
from relay.lifecycle import Service, stop_on_signals
from sandbox import evidence, report
from sandbox.child_environment import INTERVAL_SECONDS
from sandbox.latency import latency_lines
from sandbox.replay import play_replays
from sandbox.replay_verdict import PlayedReplay
from sandbox.scenario import Scenario
from sandbox.screen import Screen
from sandbox.verdict import judge
from sandbox.world import SandboxWorld, log_to_file, running_world, sandbox_directory, simulated_jira


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """Options of the command. None as `duration`, in seconds: run until a signal.

    `program` is the command line that started this program, quoted for a shell.
    `repository` is the URL that Kafka is fetched from; None is the default one.
    """

    destinations: Sequence[str]
    """Kinds of destinations, keys of PEERS."""
    records: Path | None
    duration: float | None
    keep: bool
    repository: str | None
    program: str
    interval: float = INTERVAL_SECONDS
    """Seconds between two rounds of an organization."""


async def run(options: SandboxOptions) -> bool:
    """Run a sandbox. Return whether every record has arrived. Raises RelayError when that cannot be judged."""
    async with sandbox_directory(keep=options.keep) as directory:
        log_to_file(directory / "sandbox.log")
        with stop_on_signals() as stop, Screen() as screen:
            async with simulated_jira(options.records) as jira, AsyncExitStack() as stack:
                screen.announce(
                    f"Starting Kafka, {', '.join(options.destinations)} and {_site_count_text(len(jira.sites))} in {directory}"
                )
                building = running_world(
                    directory,
                    jira,
                    options.destinations,
                    options.repository,
                    options.interval,
                    DownloadProgress(screen.announce),
                )
                world = await run_unless_stopped(stop, stack.enter_async_context(building))
                if world is None:
                    raise RelayError("The sandbox was stopped before everything was running.")
                scenario = Scenario(world, options.records, options.duration, options.interval, screen)
                scenario.print_introduction(options.program)
                with _errors_naming_the_logs(directory, keep=options.keep):
                    replays = await _run_scenario(world, scenario, screen, stop)
                    for line in latency_lines(scenario.latency.summaries()):
                        screen.print_line(line)
                    passed = await _judge(world, scenario.as_of_ms, replays, screen, keep=options.keep)
        if options.keep:
            screen.print_line(f"Logs and rows are kept in {directory}")
        return passed


def _site_count_text(count: int) -> str:
    return "one simulated Jira site" if count == 1 else f"{count} simulated Jira sites"


@contextmanager
def _errors_naming_the_logs(directory: Path, *, keep: bool) -> Iterator[None]:
    """Add to each RelayError where the logs are, or how to keep them."""
    try:
        yield
    except RelayError as error:
        fate = f"are kept in {directory}" if keep else "were deleted; run with --keep to keep them"
        raise RelayError(f"{error}\nThe sandbox has ended; its data and logs {fate}.") from error


class DownloadProgress:
    """Announces the download of Kafka, once for each tenth."""

    def __init__(self, announce: Callable[[str], None]) -> None:
        self._announce = announce
        self._last_tenth = -1

    def __call__(self, done: int, total: int) -> None:
        tenth = 10 * done // max(1, total)
        if tenth > self._last_tenth:
            self._last_tenth = tenth
            self._announce(f"Downloading Kafka, once: {done / 1e6:.0f} of {total / 1e6:.0f} MB")


async def _run_scenario(
    world: SandboxWorld, scenario: Scenario, screen: Screen, stop: asyncio.Event
) -> dict[str, PlayedReplay]:
    """Run the scenario to its end, and then a replay. Return the replay to each destination.

    Raises RelayError when Kafka, a service or the observer ends before it.
    """
    finished = asyncio.Event()
    replays: dict[str, PlayedReplay] = {}

    async def run_scenario() -> None:
        await scenario.run(stop)
        replays.update(await play_replays(world, screen.announce))
        finished.set()

    async def watch_kafka() -> None:
        if why := await world.kafka.wait_for_exit():
            raise why

    services: dict[str, Service] = {
        "embedded Kafka": _as_service(watch_kafka),
        "producer": _as_service(world.producer.watch),
        "consumer": _as_service(world.consumer.watch),
        "console": _as_service(world.console.process.watch),
        "observer of Kafka": _as_service(scenario.observer.run),
        "sandbox": _as_service(run_scenario),
    }
    await lifecycle.run_services(services, finished, stopping_seconds=5)
    return replays


def _as_service(work: Callable[[], Coroutine[Any, Any, None]]) -> Service:
    async def service(finished: asyncio.Event) -> None:
        await run_unless_stopped(finished, work())

    return service


async def _judge(
    world: SandboxWorld, as_of_ms: int, replays: Mapping[str, PlayedReplay], screen: Screen, *, keep: bool
) -> bool:
    screen.announce(
        "Comparing the records in Jira with the events in Kafka and the rows at the destinations."
    )
    stop_problems = await asyncio.gather(
        *(each.stop() for each in (world.producer, world.consumer, world.console.process))
    )
    found = await evidence.collect_evidence(
        world.jira.truth(),
        world.connection,
        world.destinations,
        [fault for fault in stop_problems if fault],
        replays,
    )
    if keep:
        await asyncio.to_thread(evidence.write_rows, world.destinations, world.directory)
    verdict = await asyncio.to_thread(judge, found, as_of_ms)
    for line in report.render_report(verdict):
        screen.print_line(line)
    return verdict.passed
