"""Measure what the watch over days costs, as a part of what polling costs in the same run.

    .venv/bin/python benchmarks/sealing.py [--organizations 1000] [--events 20] [--seconds 60]

1. `jira-relay produce` polls the organizations every ten seconds; its CPU time gives that of a quiet round. The days of the week
   are then listed as a re-read lists them, which gives the CPU time of a record that polling reads again.
2. `jira-relay proof watch` makes its first round, from nothing: it seals a day of each organization, and counts the seven days
   after it.
3. The same days are counted twice in this process. The second count is that of each later day: its records were seen.
4. A round that finds nothing due is made in this process; a day has 47 more of them.

A bare server plays the Jira sites, in a thread of its own. Figures are CPU seconds of the relay alone.
"""

import argparse
import asyncio
import base64
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bounds import service
from organizations import SHARDS, JiraStub, cpu_seconds, put_organizations
from sealed_sites import DAYS, LATE_DAYS, Sites, SiteThread, names_of, put_checkpoints, put_days

from cli.operator_context import audit_logs, open_all_sources
from embedded import EmbeddedKafka
from management.completeness.audit_logs import SourceOf
from management.completeness.collect import ProofContext, count_partition
from management.completeness.due_days import DueDays, LastCount, due_days
from management.completeness.progress import ProgressSummary
from management.completeness.progress_follower import ProgressFollower
from management.completeness.rounds import seal_round
from management.completeness.seal_view import PATIENT, SealView
from management.completeness.sealing import open_sealer
from management.completeness.signature import SigningKey
from management.organizations.store import read_organizations
from management.settings import Settings
from producer.sources.purpose import Purpose
from producer.state.intervals import TimeRange
from relay.config.schema_registry import SchemaRegistryConfig
from relay.credentials.resolver import CredentialResolver
from relay.kafka.connection import Connection
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import partition_of
from relay.timestamps import DAY_MS, day_of, day_start, now_ms

ROUNDS_A_DAY = 48
REREAD_DAYS = 24 * 1.5 + LATE_DAYS + 1.5
"""Days of records that polling lists in a day: each hour those of the last day and of the present one so far, once those of the week."""
POLLING_ROUND = 0.0024
"""CPU seconds of a quiet round of polling among 1,000 organizations, by benchmarks/organizations.py (docs/performance.md)."""
INTERVAL = 10
START_SECONDS = 180.0
"""Within which each organization must have been polled twice."""
KEY = bytes(32)
ENVIRONMENT = {"RELAY_KEY_BENCHMARK": "a key"}


def require(true: bool, found: object) -> None:
    """Raise unless the benchmark measures what it means to."""
    if not true:
        raise RuntimeError(f"The benchmark is wrong: {found}")


async def polling_seconds(kafka: EmbeddedKafka, count: int, seconds: float) -> float:
    """Return the CPU seconds of a quiet round of one organization."""
    variables = {**ENVIRONMENT, "RELAY_PRODUCER__INTERVAL_SECONDS": str(INTERVAL)}
    async with service("produce", kafka.bootstrap, variables) as pid:
        end = time.monotonic() + START_SECONDS
        while _rounds() < 2 * count:
            require(time.monotonic() < end, "the producer did not begin to poll")
            await asyncio.sleep(1)
        spent, before = cpu_seconds(pid), _rounds()
        await asyncio.sleep(seconds)
        return (cpu_seconds(pid) - spent) / (_rounds() - before)


def _rounds() -> int:
    return sum(map(len, JiraStub.rounds.values()))


async def watch_seconds(kafka: EmbeddedKafka, connection: Connection, count: int) -> float:
    """Return the CPU seconds of the first round of the watch, its start excluded."""
    variables = {**ENVIRONMENT, "RELAY_PROOF__KEY": base64.b64encode(KEY).decode()}
    view = SealView(connection, now_ms, PATIENT)
    async with service(("proof", "watch"), kafka.bootstrap, variables) as pid:
        await asyncio.sleep(10)
        started, end = cpu_seconds(pid), time.monotonic() + 480
        while True:
            await view.refresh()
            found = view.index.organizations.values()
            if len(found) == count and all(len(one.accounts) == LATE_DAYS and one.sealed for one in found):
                words = {
                    mark.state for one in found for mark in (*one.accounts.values(), *one.sealed.values())
                }
                require(words == {"complete"}, words)
                return cpu_seconds(pid) - min(started, 3.0)
            require(time.monotonic() < end, "the round did not end")
            await asyncio.sleep(2)


async def idle_seconds(connection: Connection, names: list[str]) -> float:
    """Return the CPU seconds of a round in which nothing is due."""
    context, now = ProofContext(connection, SchemaRegistryConfig(), {}, now_ms), now_ms()
    async with open_sealer(context, SigningKey(KEY)) as sealer:

        def plan(name: str, progress: ProgressSummary) -> DueDays:
            seals = sealer.index.of(name)
            counts = {
                day: LastCount(now, progress.counts.get(day, 0), settled=True, since=now)
                for day in (*seals.accounts, *seals.sealed)
            }
            found = due_days(progress, seals, counts, now, LATE_DAYS)
            require(not found.all, found)
            return found

        progress = ProgressFollower(connection)
        await seal_round(connection, sealer, names, progress, plan, lambda _: None)
        await put_checkpoints(connection, names)
        began = time.process_time()
        await seal_round(connection, sealer, names, progress, plan, lambda _: None)
        return time.process_time() - began


@dataclass(frozen=True, slots=True)
class Counts:
    """CPU seconds of one organization: to list all of its days, and to count them from nothing and once they were seen."""

    listing: float
    first: float
    again: float


async def count_seconds(
    connection: Connection, settings: Settings, sites: SiteThread, names: list[str], days: list[str]
) -> Counts:
    """List and count the days of all organizations, in this process."""
    context = ProofContext(connection, SchemaRegistryConfig(), {}, now_ms)
    organizations = await read_organizations(connection)
    async with open_all_sources(settings, CredentialResolver(None, None, ENVIRONMENT)) as sources:
        source_of = audit_logs(sources, organizations)
        found = []
        for work in (list_all, *[count_all] * 2):
            began, of_sites = time.process_time(), sites.seconds()
            await work(context, source_of, names, days)
            found.append((time.process_time() - began - (sites.seconds() - of_sites)) / len(names))
    return Counts(*found)


async def list_all(_context: ProofContext, source_of: SourceOf, names: list[str], days: list[str]) -> None:
    for name in names:
        source = source_of(name)
        require(source is not None, name)
        if source is not None:
            await source.bind_identity(None)
            for day in days:
                window = TimeRange(day_start(day), day_start(day) + DAY_MS)
                async for each in source.read(window, Purpose.REREAD):
                    require(each.failure is None and not each.unreadable, each)


async def count_all(context: ProofContext, source_of: SourceOf, names: list[str], days: list[str]) -> None:
    for partition in range(SHARDS):
        wanted = {name: days for name in names if partition_of(name, SHARDS) == partition}
        for name, counted in (
            (await count_partition(context, partition, wanted, source_of)).items() if wanted else ()
        ):
            states = {each.account.state for each in counted.days.values()}
            require(states == {"complete"}, (name, states))


async def main(count: int, events: int, seconds: float) -> None:
    sites = SiteThread()
    Sites.first_day = first_day = day_start(day_of(now_ms() - (DAYS - 1) * DAY_MS))
    days = [day_of(first_day + number * DAY_MS) for number in range(DAYS - 1)]
    with tempfile.TemporaryDirectory() as directory:
        async with EmbeddedKafka(Path(directory), heap="512m", flush_each_write=False) as kafka:
            settings = Settings(
                kafka={"bootstrap": kafka.bootstrap, "replication_factor": 1, "shards": SHARDS}
            )
            connection = Connection(settings.kafka)
            await create_missing_topics(connection)
            await put_organizations(connection, count, sites.port)
            await put_days(connection, count, sites.port, first_day, events)
            polled = await polling_seconds(kafka, count, seconds) if seconds else POLLING_ROUND
            Sites.events_a_day = events
            names = names_of(count, sites.port)
            busy = await watch_seconds(kafka, connection, count) / count
            counts = await count_seconds(connection, settings, sites, names, days)
            idle = await idle_seconds(connection, names) / count
    sites.stop()
    report(count, events, polled, busy, counts, idle, is_measured=bool(seconds))


def report(
    count: int, events: int, polled: float, busy: float, counts: Counts, idle: float, *, is_measured: bool
) -> None:
    """Print what a day costs: a new day is counted from nothing, and each of the others once more."""
    counted = DAYS - 1
    day = counts.first / counted + counts.again * (counted - 1) / counted + ROUNDS_A_DAY * idle
    quiet = polled * 86_400 / 60
    rereads = counts.listing / counted * REREAD_DAYS
    print(
        f"{count} organizations, {events} events a day each. CPU of one: a quiet round of polling {1000 * polled:.2f} ms"
        f" ({'measured' if is_measured else 'by benchmarks/organizations.py'}), so {quiet:.2f} s a day, and"
        f" {rereads:.2f} s to list records again; the first round of the watch {1000 * busy:.1f} ms, a count of its days from nothing"
        f" {1000 * counts.first:.1f} ms and again {1000 * counts.again:.1f} ms, an idle round {1000 * idle:.3f} ms."
    )
    print(
        f"A day of the watch is {1000 * day:.1f} ms, which is {100 * day / (quiet + rereads):.2f} % of polling every minute."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--organizations", type=int, default=1_000, help="organizations")
    parser.add_argument("--events", type=int, default=20, help="events of an organization and day")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="seconds of polling; 0: it is not measured"
    )
    given = parser.parse_args()
    asyncio.run(main(given.organizations, given.events, given.seconds))
