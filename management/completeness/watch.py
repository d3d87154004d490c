"""The watch over days: counts them once they end, seals them when nothing can come late, and counts again what changes."""

import asyncio
import time
from collections.abc import Mapping, Sequence

import structlog
from prometheus_client import CollectorRegistry

from management.completeness.attention import DayCounts, attention_of
from management.completeness.collect import ProofContext
from management.completeness.due_days import MAX_DAYS, DueDays, due_days, overdue_ms, pass_number
from management.completeness.ownership import Ownership
from management.completeness.progress import ProgressSummary
from management.completeness.progress_follower import ProgressFollower
from management.completeness.rounds import seal_round
from management.completeness.sealing import Sealer, SealResult, open_sealer
from management.completeness.signature import SigningKey
from management.completeness.watch_report import NAME, WAITING, DayWatchTiming, WatchReport
from management.organizations.store import read_organizations
from producer.sources.contract import Source, SourceFactory
from relay.aio import cancel_all, run_unless_stopped, supervise
from relay.errors import describe
from relay.kafka import KAFKA_FAILURES
from relay.kafka.consumer_group import Member
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics
from relay.organizations import Organization
from relay.telemetry.health import Health
from relay.timestamps import DAY_MS, HOUR_MS

NEW_MS = DAY_MS + HOUR_MS
"""Until a new organization must have been polled."""

log = structlog.get_logger(__name__)


class DayWatch:
    """Counts and seals while this process owns the topic of seals. It keeps nothing that is not on the topics or counted again."""

    def __init__(
        self,
        context: ProofContext,
        key: SigningKey,
        late_days: int,
        sources: SourceFactory,
        report: WatchReport,
        timing: DayWatchTiming,
    ) -> None:
        self._context, self._key, self._late_days = context, key, late_days
        self._sources, self._timing = sources, timing
        self.report = report
        self.ownership = Ownership()
        self._counts: dict[str, DayCounts] = {}
        self._progress, self._pass = ProgressFollower(context.connection), -1

    async def run(self) -> None:
        """Work while this process is the owner, until cancelled."""
        while True:
            self.report.tell("waiting", WAITING)
            await self.ownership.wait(owned=True)
            working = asyncio.create_task(self._work(), name="rounds over days")
            losing = asyncio.create_task(self.ownership.wait(owned=False))
            try:
                await asyncio.wait({working, losing}, return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    working.result()
            finally:
                await cancel_all((working, losing))
                self._counts.clear()
                self.report.forget()

    async def _work(self) -> None:
        while True:
            try:
                async with open_sealer(self._context, self._key) as sealer:
                    await self._rounds(sealer)
            except KAFKA_FAILURES as error:
                self.report.fail(describe(error))
            except Exception:
                log.exception(
                    "Days could not be counted because of a defect in the relay; its other services go on."
                )
                self.report.fail("The relay has a defect; its log has the details.")
            await asyncio.sleep(self._timing.retry_seconds)

    async def _rounds(self, sealer: Sealer) -> None:
        """Make rounds until the sealer has ended, as when an operator's `proof seal` has fenced it."""
        while True:
            began = self._context.now_ms()
            pause = await self._timed_round(sealer)
            if sealer.ended:
                return
            await asyncio.sleep(pause)
            if self._context.now_ms() < began - HOUR_MS:  # the index was bounded by a clock that was ahead
                return

    async def _timed_round(self, sealer: Sealer) -> float:
        """Make a round, and return the seconds until the next one."""
        began = time.monotonic()
        self.report.begin()
        organizations = await read_organizations(self._context.connection)
        results = await self.round(sealer, organizations)
        took = time.monotonic() - began
        self.report.end(results, len(organizations), took)
        return self._timing.pause(took)

    async def round(self, sealer: Sealer, organizations: Mapping[str, Organization]) -> list[SealResult]:
        """Count and seal what is due. Raises RelayError."""
        now, unpolled = self._context.now_ms(), set[str]()
        self._context.seen.begin(now // DAY_MS)
        if self._pass != pass_number(now):  # what is kept of Kafka is read anew now and then
            self._progress, self._pass = ProgressFollower(self._context.connection), pass_number(now)

        def plan(name: str, progress: ProgressSummary) -> DueDays:
            if progress.marks is None and organizations[name].added + NEW_MS <= now:
                unpolled.add(name)
            counts, seals = self._counts.setdefault(name, DayCounts()), sealer.index.of(name)
            paused = organizations[name].paused
            counts.overdue_ms = overdue_ms(progress, seals, now, self._late_days, paused=paused)
            is_pass = counts.passed != self._pass
            return due_days(
                progress, seals, counts.last, now, self._late_days, is_pass=is_pass, paused=paused
            )

        def source_of(name: str) -> Source:
            return self._sources.source_for(organizations[name])

        names = sorted(organizations)
        connection = self._context.connection
        results = await seal_round(connection, sealer, names, self._progress, plan, source_of)
        self._show(results, sealer, unpolled, now)
        self.report.keep_only(organizations)
        for gone in self._counts.keys() - organizations.keys():
            del self._counts[gone]
        return results

    def _show(self, results: Sequence[SealResult], sealer: Sealer, unpolled: set[str], now: int) -> None:
        for each in results:
            name = each.organization
            counts = self._counts.setdefault(name, DayCounts())
            counts.add(each.counted, now)
            if each.failure is None and len(each.counted) < MAX_DAYS:
                counts.passed = self._pass
            found = attention_of(*(sealer.index.of(name), counts, each, now), is_polled=name not in unpolled)
            self.report.attend(name, found, counts.overdue_ms)


async def run_day_watch(
    context: ProofContext,
    key: SigningKey,
    late_days: int,
    sources: SourceFactory,
    stop: asyncio.Event,
    registry: CollectorRegistry,
    health: Health,
    timing: DayWatchTiming,
) -> None:
    """Watch over the days of all organizations, until `stop`. Several processes may: one works, the others wait."""
    connection = context.connection
    topics = Topics(connection.kafka.topic_prefix)
    health.report(NAME, ok=True)
    async with RecordWriter(connection) as writer:
        report = WatchReport(context.now_ms, writer, topics.status, registry, health, timing)
        watch = DayWatch(context, key, late_days, sources, report, timing)
        member = Member(connection, f"{topics.prefix}.proof", topics.seals, watch.ownership)
        work = {
            "membership of the watch": member.run(),
            "watch over days": watch.run(),
            "status of the watch": report.keep_status(watch.ownership, lambda: member.trouble),
            "status writer of the watch": report.status_writer.run(),
        }
        tasks = [asyncio.create_task(each, name=name) for name, each in work.items()]
        try:
            await supervise(stop, tasks)
        finally:
            await cancel_all(tasks)
            report.end_status()
            await run_unless_stopped(asyncio.Event(), report.status_writer.flush())
