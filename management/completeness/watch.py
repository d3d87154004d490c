"""The watch over days: counts them once they end, seals them when nothing can come late, and counts again what changes."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry

from management.completeness import metrics as catalogue
from management.completeness.attention import Attention, DayCounts, attention_of, worst_first
from management.completeness.collect import ProofContext
from management.completeness.due_days import DueDays, due_days
from management.completeness.findings import STATUS_PREFIX
from management.completeness.ownership import Ownership
from management.completeness.progress import RecordedProgress
from management.completeness.rounds import seal_round
from management.completeness.sealing import Sealer, SealResult, open_sealer
from management.completeness.signature import SigningKey
from management.organizations.store import read_organizations
from producer.sources.contract import Source, SourceFactory
from relay.aio import cancel_all, run_unless_stopped, supervise
from relay.errors import describe
from relay.kafka import KAFKA_FAILURES
from relay.kafka.consumer_group import Member
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics
from relay.organizations import Organization
from relay.status.model import Status, service_key, take_over
from relay.status.writer import StatusWriter
from relay.telemetry.condition_log import ConditionLog
from relay.telemetry.health import Health
from relay.telemetry.metrics import MetricSet
from relay.timestamps import DAY_MS, HOUR_MS

NAME = "proof"
WAITING = "Of several processes one counts the days; this one waits until it is the one"
NEW_MS = DAY_MS + HOUR_MS
"""Until a new organization must have been polled."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DayWatchTiming:
    """Seconds. `round_seconds`: between the beginnings of two rounds. `rest`: the pause is at least so many times the round.

    `rest_seconds`: the longest pause for that reason. A round is long too where many sites do not answer, and they may soon.
    """

    round_seconds: float = 1_800.0
    rest: float = 9.0
    rest_seconds: float = 21_600.0
    retry_seconds: float = 60.0
    status_seconds: float = 20.0

    def pause(self, took: float) -> float:
        """Return the seconds between a round that took so long and the next one."""
        return max(self.round_seconds - took, min(self.rest * took, self.rest_seconds), 0.0)


class DayWatch:
    """Counts and seals while this process owns the topic of seals. It keeps nothing that is not on the topics or counted again."""

    def __init__(
        self,
        context: ProofContext,
        key: SigningKey,
        late_days: int,
        sources: SourceFactory,
        writer: RecordWriter,
        registry: CollectorRegistry,
        health: Health,
        timing: DayWatchTiming,
    ) -> None:
        self._context, self._key, self._late_days = context, key, late_days
        self._sources, self._health, self._timing = sources, health, timing
        self._metrics = MetricSet(catalogue.CATALOGUE, registry)
        self.status_writer = StatusWriter(writer, Topics(context.connection.kafka.topic_prefix).status)
        self.ownership = Ownership()
        self._counts: dict[str, DayCounts] = {}
        self._attention: dict[str, Attention] = {}
        self._began = time.monotonic()
        """When the round began."""
        self._status = take_over("starting", context.now_ms())
        self._conditions = ConditionLog(log)

    async def run(self) -> None:
        """Work while this process is the owner, until cancelled."""
        while True:
            self._tell("waiting", WAITING)
            await self.ownership.wait(owned=True)
            working = asyncio.create_task(self._work(), name="rounds over days")
            losing = asyncio.create_task(self.ownership.wait(owned=False))
            try:
                await asyncio.wait({working, losing}, return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    working.result()
            finally:
                await cancel_all((working, losing))
                self._forget()

    async def _work(self) -> None:
        while True:
            try:
                async with open_sealer(self._context, self._key) as sealer:
                    await self._rounds(sealer)
            except KAFKA_FAILURES as error:
                self._fail(describe(error))
            except Exception:
                log.exception(
                    "Days could not be counted because of a defect in the relay; its other services go on."
                )
                self._fail("The relay has a defect; its log has the details.")
            await asyncio.sleep(self._timing.retry_seconds)

    async def _rounds(self, sealer: Sealer) -> None:
        """Make rounds until the sealer has ended, as when an operator's `proof seal` has fenced it."""
        while True:
            pause = await self._timed_round(sealer)
            if sealer.ended:
                return
            await asyncio.sleep(pause)

    async def _timed_round(self, sealer: Sealer) -> float:
        """Make a round, and return the seconds until the next one."""
        self._tell("active", "a round over all organizations has begun")
        self._began = time.monotonic()
        organizations = await read_organizations(self._context.connection)
        results = await self.round(sealer, organizations)
        took = time.monotonic() - self._began
        self._report(results, len(organizations), took)
        return self._timing.pause(took)

    async def round(self, sealer: Sealer, organizations: Mapping[str, Organization]) -> list[SealResult]:
        """Count and seal what is due. Raises RelayError."""
        now, unpolled = self._context.now_ms(), set[str]()

        def plan(name: str, progress: RecordedProgress) -> DueDays:
            if progress.checkpoint is None and organizations[name].added + NEW_MS <= now:
                unpolled.add(name)
            counts = self._counts.setdefault(name, DayCounts())
            seals = sealer.index.of(name)
            return due_days(progress, seals, counts.last, now, self._late_days)

        def source_of(name: str) -> Source:
            return self._sources.source_for(organizations[name])

        names = sorted(organizations)
        results = await seal_round(self._context.connection, sealer, names, plan, source_of)
        for each in results:
            counts = self._counts.setdefault(each.organization, DayCounts())
            counts.add(each.counted, now)
            found = attention_of(
                *(sealer.index.of(each.organization), counts, each, now),
                is_polled=each.organization not in unpolled,
            )
            self._attend(each.organization, found)
        for gone in self._attention.keys() - organizations.keys():
            self._drop(gone)
        return results

    def _attend(self, name: str, found: Attention) -> None:
        """Show the state of an organization as metric and, while it is not complete, as status."""
        self._metrics.set_state(catalogue.ORGANIZATION_STATE, found.state, organization=name)
        before, key, now = self._attention.get(name), f"{STATUS_PREFIX}{name}", self._context.now_ms()
        self._attention[name] = found
        if found.state == "complete":
            if before is None or before.state != "complete":
                self.status_writer.tombstone(key)
            if before is not None and before.state != "complete":
                log.info("The days of an organization are complete again.", organization=name)
            return
        known = self.status_writer.last_put(key) or take_over(found.state, now)
        self.status_writer.put(
            key, known.transition(found.state, found.reason, now).valid_for(self._valid_ms())
        )
        if before is None or before.state != found.state:
            log.warning(
                "Days of an organization are not complete.",
                organization=name,
                state=found.state,
                reason=found.reason,
            )

    def _valid_ms(self) -> int:
        """Return how long a status holds, which is three rounds with their pauses: a difference must not vanish between two."""
        took = time.monotonic() - self._began
        return int((took + self._timing.pause(took)) * 3_000) + 900_000

    def _drop(self, name: str) -> None:
        self._attention.pop(name, None)
        self._counts.pop(name, None)
        self._metrics.remove(organization=name)
        self.status_writer.tombstone(f"{STATUS_PREFIX}{name}")

    def _forget(self) -> None:
        """Leave everything to the next owner."""
        for name in list(self._attention):
            self.status_writer.forget(f"{STATUS_PREFIX}{name}")
            self._metrics.remove(organization=name)
        self._attention.clear()
        self._counts.clear()

    def _report(self, results: Sequence[SealResult], count: int, took: float) -> None:
        sealed, failed = sum(len(each.seals) for each in results), [each for each in results if each.failure]
        state = "complete" if not failed and len(results) == count else "partial"
        self._metrics[catalogue.SEALS].inc(sealed)
        self._metrics[catalogue.ROUND_DURATION].set(took)
        self._metrics.set_state(catalogue.ROUND_STATE, state)
        if state == "complete":
            self._metrics[catalogue.LAST_ROUND].set(self._context.now_ms() / 1000)
            self._conditions.ended("round", "Every organization's days are counted again; they were not")
        else:
            reason = failed[0].failure if failed else "The round ended early."
            text = "The days of some organizations were not counted."
            self._conditions.failed("round", text, text, {"organizations": len(failed), "reason": reason})
        log.info("A round over days ended.", organizations=count, seals=sealed, seconds=round(took, 1))
        self._tell("active", self._summary(count, took))

    def _summary(self, count: int, took: float) -> str:
        named = list(worst_first(self._attention))
        rest = f": {', '.join(named[:5])}{' and more' if len(named) > 5 else ''}" if named else ""
        return f"{len(named):,} of {count:,} organizations are not complete{rest}; the last round took {took:.0f} s"

    def _fail(self, reason: str) -> None:
        self._metrics.set_state(catalogue.ROUND_STATE, "failed")
        self._conditions.failed(
            "round", reason, "Days could not be counted; the relay tries again.", {"reason": reason}
        )
        self._tell("failing", reason)

    def _tell(self, state: str, reason: str) -> None:
        self._status = self._status.transition(state, reason, self._context.now_ms())
        self._health.report(NAME, ok=state != "failing", reason=reason.rstrip("."))

    async def keep_status(self, trouble: Callable[[], str | None] = lambda: None) -> None:
        """Write the status of the process again and again, until cancelled. `trouble`: why Kafka does not let it join the others."""
        while True:
            if not self.ownership.owns:
                refused = trouble()
                self._tell("waiting" if refused is None else "failing", refused or WAITING)
            valid = int(self._timing.status_seconds * 3_000)
            status: Status = self._status.transition(
                self._status.state, self._status.reason, self._context.now_ms()
            )
            self.status_writer.put(service_key(NAME), status.valid_for(valid))
            await asyncio.sleep(self._timing.status_seconds)


async def run_day_watch(
    context: ProofContext,
    key: SigningKey,
    late_days: int,
    sources: SourceFactory,
    stop: asyncio.Event,
    registry: CollectorRegistry,
    health: Health,
    timing: DayWatchTiming = DayWatchTiming(),
) -> None:
    """Watch over the days of all organizations, until `stop`. Several processes may: one works, the others wait."""
    connection = context.connection
    topics = Topics(connection.kafka.topic_prefix)
    health.report(NAME, ok=True)
    async with RecordWriter(connection) as writer:
        watch = DayWatch(context, key, late_days, sources, writer, registry, health, timing)
        member = Member(connection, f"{topics.prefix}.proof", topics.seals, watch.ownership)
        work = {
            "membership of the watch": member.run(),
            "watch over days": watch.run(),
            "status of the watch": watch.keep_status(lambda: member.trouble),
            "status writer of the watch": watch.status_writer.run(),
        }
        tasks = [asyncio.create_task(each, name=name) for name, each in work.items()]
        try:
            await supervise(stop, tasks)
        finally:
            await cancel_all(tasks)
            watch.status_writer.tombstone(service_key(NAME))
            await run_unless_stopped(asyncio.Event(), watch.status_writer.flush())
