"""One round: start a relay, play faults, heal, wait until everything has arrived, judge."""

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
from sandbox.observer import Observer, OrganizationSnapshot
from tests.chaos.context import RoundContext
from tests.chaos.executor import DisturbanceExecutor
from tests.chaos.judge import RoundOutcome, RoundReport, judge_round
from tests.chaos.operators import Operators
from tests.chaos.peer_faults import OrganizationFaults
from tests.chaos.plan import plan_disturbances
from tests.chaos.proof_judge import proof_violations, wait_for_seals
from tests.chaos.traffic import Traffic
from tests.chaos.world import ChaosWorld, running_world

SITES = 8
RECORDS_PER_SECOND = 6.0
"""Rate over all organizations."""
SETTLE_TIMEOUT_SECONDS = 120.0
QUIET_SECONDS = 6.0
"""Longer than a polling round, so that a repeat would have arrived."""


@dataclass(frozen=True, slots=True)
class RoundOptions:
    seed: int
    minutes: float
    producers: int
    consumers: int
    brokers: int
    controllers_apart: bool
    kinds: Collection[str]
    gap: float
    keep: bool
    watches: int = 0
    processes: int = 1
    """Of each consumer."""


async def run(options: RoundOptions) -> bool:
    """Play a round. Return whether every promise was kept; if not, the directory with all logs is kept."""
    directory = Path(tempfile.mkdtemp(prefix=f"jira-relay-chaos-{options.seed}-"))
    logs.configure_logging("json", "info", Redactor(), (directory / "chaos.log").open("a"))
    log = RoundLog(directory / "round.txt")
    log.write(
        f"Seed {options.seed}: {options.producers} producers, {options.consumers} consumers of {options.processes}, {options.watches} watches,"
        f" {options.brokers} brokers, {'controllers apart, ' if options.controllers_apart else ''}{directory}"
    )
    passed = False
    try:
        async with running_world(
            directory,
            options.seed,
            options.producers,
            options.consumers,
            options.brokers,
            controllers_apart=options.controllers_apart,
            unclean_elections="unclean election" in options.kinds,
            watches=options.watches,
            processes=options.processes,
        ) as world:
            report = await _run_round(world, options, log)
        passed = not report.violations
        _write_report(report, log)
    finally:
        log.write(f"{'PASSED' if passed else 'FAILED'}, seed {options.seed}.")
        if not passed or options.keep:
            log.write(f"Logs of all processes: {directory}")
        else:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
    return passed


class RoundLog:
    """The log of a round: each fault and fact with its time, on the screen and in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._started = time.monotonic()

    def write(self, text: str) -> None:
        clock = time.strftime("%H:%M:%S", time.gmtime())
        line = f"{time.monotonic() - self._started:7.1f} {clock}Z  {text}"
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        with self._path.open("a") as file:
            file.write(line + "\n")


async def _run_round(world: ChaosWorld, options: RoundOptions, log: RoundLog) -> RoundReport:
    context = RoundContext(world, options.seed, log.write)
    traffic = Traffic(options.seed, now_ms)
    operators = Operators(world, random.Random(f"operators {options.seed}"))
    organizations = OrganizationFaults(context, operators, traffic)
    executor = DisturbanceExecutor(context, organizations)
    seconds = options.minutes * 60
    async with _running_meanwhile(*(slot.supervise(log.write) for slot in world.slots)):
        for _ in range(SITES):
            await organizations.add_site()
        log.write("Everything is running.")
        async with _running_meanwhile(traffic.run(organizations.sites, RECORDS_PER_SECOND)):
            await executor.run(plan_disturbances(options.seed, seconds, options.gap, options.kinds), seconds)
        traffic.reveal(organizations.sites)
        log.write("Traffic and faults have stopped; waiting for the last records to arrive.")
        await _settle(world, log, has_consumers=options.consumers > 0)
        old = [site.name for site in organizations.sites if world.is_old(site.name)]
        without_seals = await wait_for_seals(world.connection, old)
    context.stop_problems += [
        problem for problem in await asyncio.gather(*(slot.stop() for slot in world.slots)) if problem
    ]
    log.write("All processes have ended.")
    report = await judge_round(
        RoundOutcome(
            context, executor.executed, operators, organizations, traffic, has_consumers=options.consumers > 0
        )
    )
    if world.has_watch:
        facts, violations = await proof_violations(world.connection, without_seals)
        report = RoundReport([*report.facts, *facts], [*report.violations, *violations])
    return report


async def _settle(world: ChaosWorld, log: RoundLog, *, has_consumers: bool) -> None:
    """Wait until every record has arrived and nothing more follows, or until the time is up."""
    record_counts = {name: site.log.__len__ for name, site in world.jira.sites.items()}
    observer = Observer(world.connection, record_counts, world.destinations)
    started = time.monotonic()
    async with _running_meanwhile(observer.run()):
        while not all(
            _has_arrived(snapshot, has_consumers=has_consumers) for snapshot in observer.take_snapshots()
        ):
            await asyncio.sleep(0.5)
            if time.monotonic() - started > SETTLE_TIMEOUT_SECONDS:
                log.write(f"Not settled within {SETTLE_TIMEOUT_SECONDS:.0f} s.")
                break
        else:
            log.write(f"Settled after {time.monotonic() - started:.1f} s.")
        await asyncio.sleep(QUIET_SECONDS)
        for snapshot in observer.take_snapshots():
            if snapshot.state != "active" or not _has_arrived(snapshot, has_consumers=has_consumers):
                log.write(
                    f"{snapshot.organization} is {snapshot.state} ({snapshot.reason}): {snapshot.in_jira} records"
                    f" in Jira, {snapshot.in_kafka} in Kafka, {min(snapshot.accepted.values())} accepted."
                )


def _has_arrived(snapshot: OrganizationSnapshot, *, has_consumers: bool) -> bool:
    return snapshot.in_kafka >= snapshot.in_jira and (
        not has_consumers or min(snapshot.accepted.values()) >= snapshot.in_jira
    )


@asynccontextmanager
async def _running_meanwhile(*work: Awaitable[None]) -> AsyncIterator[None]:
    """Run the work while the block runs, and cancel it at the end. Raises the error of work that failed."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, RelayError):
                await task


def _write_report(report: RoundReport, log: RoundLog) -> None:
    for fact in report.facts:
        log.write(fact)
    for violation in report.violations:
        log.write(f"VIOLATION: {violation}")
