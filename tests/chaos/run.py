"""One round: build, trouble, heal, let settle, judge."""

import asyncio
import contextlib
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from relay.credentials.redaction import Redactor
from relay.errors import RelayError
from relay.telemetry import logs
from relay.timestamps import now_ms
from sandbox.observer import Sight, Watch
from tests.chaos.course import Course
from tests.chaos.deeds import Deeds
from tests.chaos.judge import Report, Round, verdict
from tests.chaos.operators import Operators
from tests.chaos.peers import Organizations
from tests.chaos.plan import plan
from tests.chaos.traffic import Traffic
from tests.chaos.world import World, opened

SITES = 8
RATE = 6.0
"""Happenings a second, over all organizations."""
SETTLE_SECONDS = 120.0
QUIET_SECONDS = 6.0
"""Longer than a round: what would be repeated, would be by then."""


@dataclass(frozen=True, slots=True)
class Wishes:
    seed: int
    minutes: float
    producers: int
    consumers: int
    kinds: Collection[str]
    gap: float
    keep: bool


async def run(wishes: Wishes) -> bool:
    """Whether every promise was kept. The directory with all logs is kept where one was not."""
    directory = Path(tempfile.mkdtemp(prefix=f"jira-relay-chaos-{wishes.seed}-"))
    logs.configure_logging("json", "info", Redactor(), (directory / "chaos.log").open("a"))
    diary = Diary(directory / "diary.txt")
    diary.say(f"Seed {wishes.seed}: {wishes.producers} producers, {wishes.consumers} consumers, {directory}")
    passed = False
    try:
        async with opened(directory, wishes.seed, wishes.producers, wishes.consumers) as world:
            report = await _round(world, wishes, diary)
        passed = not report.faults
        _tell(report, diary)
    finally:
        diary.say(f"{'PASSED' if passed else 'FAILED'}, seed {wishes.seed}.")
        if not passed or wishes.keep:
            diary.say(f"Logs of all processes: {directory}")
        else:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
    return passed


class Diary:
    """What was done and when, on the screen and in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        clock = time.strftime("%H:%M:%S", time.gmtime())
        line = f"{time.monotonic() - self._began:7.1f} {clock}Z  {text}"
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        with self._path.open("a") as file:
            file.write(line + "\n")


async def _round(world: World, wishes: Wishes, diary: Diary) -> Report:
    course = Course(world, wishes.seed, diary.say)
    traffic = Traffic(wishes.seed, now_ms)
    operators = Operators(world, random.Random(f"operators {wishes.seed}"))
    organizations = Organizations(course, operators, traffic)
    deeds = Deeds(course, organizations)
    seconds = wishes.minutes * 60
    async with _beside(*(slot.supervise(diary.say) for slot in world.slots)):
        for _ in range(SITES):
            await organizations.add_site()
        diary.say("Everything runs.")
        async with _beside(traffic.run(organizations.sites, RATE)):
            await deeds.play(plan(wishes.seed, seconds, wishes.gap, wishes.kinds), seconds)
        traffic.reveal(organizations.sites)
        diary.say("No more traffic, no more trouble: everything may settle.")
        await _settle(world, diary, consumed=wishes.consumers > 0)
    course.unclean += [
        words for words in await asyncio.gather(*(slot.stop() for slot in world.slots)) if words
    ]
    diary.say("All processes have ended.")
    return await verdict(
        Round(course, deeds.done, operators, organizations, traffic, consumed=wishes.consumers > 0)
    )


async def _settle(world: World, diary: Diary, *, consumed: bool) -> None:
    """Until all has arrived and nothing more comes, or until the time is up."""
    happened = {name: site.log.__len__ for name, site in world.jira.sites.items()}
    watch = Watch(world.connection, happened, world.azure)
    began = time.monotonic()
    async with _beside(watch.run()):
        while not all(_arrived(sight, consumed=consumed) for sight in watch.sights()):
            await asyncio.sleep(0.5)
            if time.monotonic() - began > SETTLE_SECONDS:
                diary.say(f"Not settled within {SETTLE_SECONDS:.0f} s.")
                break
        else:
            diary.say(f"Settled after {time.monotonic() - began:.1f} s.")
        await asyncio.sleep(QUIET_SECONDS)
        for sight in watch.sights():
            if sight.state != "active" or not _arrived(sight, consumed=consumed):
                diary.say(
                    f"{sight.organization} is {sight.state} ({sight.reason}): {sight.happened} happened,"
                    f" {sight.in_kafka} in Kafka, {sight.accepted} accepted."
                )


def _arrived(sight: Sight, *, consumed: bool) -> bool:
    return sight.in_kafka >= sight.happened and (not consumed or sight.accepted >= sight.happened)


@asynccontextmanager
async def _beside(*work: Awaitable[None]) -> AsyncIterator[None]:
    """Goes on meanwhile; what fails there fails here."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, RelayError):
                await task


def _tell(report: Report, diary: Diary) -> None:
    for fact in report.facts:
        diary.say(fact)
    for fault in report.faults:
        diary.say(f"FAULT: {fault}")
