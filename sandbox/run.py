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
from sandbox.scenario import Course
from sandbox.screen import Screen
from sandbox.verdict import judge
from sandbox.world import World, kept_directory, log_to, opened, simulated_jira


@dataclass(frozen=True, slots=True)
class Wishes:
    """`program` is how this program is called, as a shell takes it; `repository` where Kafka is fetched from."""

    records: Path | None
    duration: float | None
    keep: bool
    repository: str | None
    program: str


async def run(wishes: Wishes) -> bool:
    """Whether everything that happened has arrived. Raises RelayError where that cannot be told."""
    async with kept_directory(keep=wishes.keep) as directory:
        log_to(directory / "sandbox.log")
        with stop_on_signals() as stop, Screen() as screen:
            async with simulated_jira(wishes.records) as jira, AsyncExitStack() as stack:
                screen.say(
                    f"Starting Kafka, a simulated Azure and {len(jira.sites)} simulated Jira in {directory}"
                )
                building = opened(directory, jira, wishes.repository, Download(screen.say))
                world = await run_unless_stopped(stop, stack.enter_async_context(building))
                if world is None:
                    raise RelayError("Stopped before everything was running.")
                course = Course(world, wishes.records, wishes.duration, screen)
                course.introduce(wishes.program)
                with _told_of(directory, keep=wishes.keep):
                    await _live(world, course, stop)
                    passed = await _judge(world, course.as_of_ms, screen, keep=wishes.keep)
        if wishes.keep:
            screen.tell(f"Kept: {directory}")
        return passed


@contextmanager
def _told_of(directory: Path, *, keep: bool) -> Iterator[None]:
    """What goes wrong also says what became of the logs."""
    try:
        yield
    except RelayError as error:
        fate = f"are kept in {directory}" if keep else "are deleted; with --keep they are kept"
        raise RelayError(f"{error}\nThe sandbox is over; its data and logs {fate}.") from error


class Download:
    """Tells of the one download of Kafka in steps of a tenth."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told = -1

    def __call__(self, done: int, total: int) -> None:
        tenth = 10 * done // max(1, total)
        if tenth > self._told:
            self._told = tenth
            self._say(f"Fetching Kafka, this once: {done / 1e6:.0f} of {total / 1e6:.0f} MB")


async def _live(world: World, course: Course, stop: asyncio.Event) -> None:
    """The course to its end; raises RelayError when anything that takes part in it dies."""
    over = asyncio.Event()

    async def to_the_end() -> None:
        await course.run(stop)
        over.set()

    async def kafka_dies() -> None:
        if why := await world.kafka.wait_for_exit():
            raise why

    services: dict[str, Service] = {
        "embedded Kafka": _until_over(kafka_dies),
        "producer": _until_over(world.producer.watch),
        "consumer": _until_over(world.consumer.watch),
        "watch on Kafka": _until_over(course.watch.run),
        "sandbox": _until_over(to_the_end),
    }
    await lifecycle.run_services(services, over, stopping_seconds=5)


def _until_over(work: Callable[[], Coroutine[Any, Any, None]]) -> Service:
    async def service(over: asyncio.Event) -> None:
        await run_unless_stopped(over, work())

    return service


async def _judge(world: World, as_of_ms: int, screen: Screen, *, keep: bool) -> bool:
    screen.say("Everything is compared: what happened, what is in Kafka, what is at the sink.")
    unclean = await asyncio.gather(world.producer.stop(), world.consumer.stop())
    found = await evidence.gather(
        world.jira.truth(), world.connection, world.azure, [fault for fault in unclean if fault]
    )
    if keep:
        await asyncio.to_thread(evidence.write_rows, world.azure, world.directory)
    verdict = await asyncio.to_thread(judge, found, as_of_ms)
    for line in report.in_words(verdict):
        screen.tell(line)
    return verdict.passed
