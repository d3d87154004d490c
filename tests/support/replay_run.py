"""Runs of one replay without Kafka: a source in memory, a destination that answers as told, and the records of progress."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import polars as pl
from prometheus_client import CollectorRegistry

from consumer.decoding.event_rules import EventRules
from consumer.decoding.schema_lookup import SchemaLookup
from consumer.delivery.circuit_breaker import RateLimit
from consumer.delivery.dead_letters import DeadLetterWriter
from consumer.delivery.flow import DeliveryFlow
from consumer.delivery.route_states import RouteStates
from consumer.formats.encoded_rows import EncodedRows
from consumer.metrics import ConsumerMetrics
from consumer.replay.letters import ReplayLetters
from consumer.replay.parts import ReplayParts
from consumer.replay.place_keeper import ProgressLog
from consumer.replay.runner import ReplayRun
from consumer.replay.selection import Selection
from consumer.replay.source import Chunk
from consumer.timing import BackoffCurve, BreakerTiming, ReplayTiming, SenderTiming
from relay.kafka import Record, TopicPartition
from relay.replays.job import ReplayJob, ReplayProgress, ReplayRange
from tests.support.dead_letters import FakeDeadLetterWriter
from tests.support.delivery import FakeDestination
from tests.support.messages import Message, event, message
from tests.support.replays import replay_job

QUICK = BackoffCurve(0.001, 0.001)
TIMING = ReplayTiming(
    record_seconds=0.005,
    heartbeat_seconds=60,
    source=QUICK,
    schema=QUICK,
    defect=QUICK,
    live_check_seconds=0.001,
    retry_seconds=0.001,
    finish_seconds=1,
    answer_seconds=1,
    write_seconds=1,
)
SENDER_TIMING = SenderTiming(rejection=QUICK, dead_letter=QUICK, defect=QUICK, confirmation=QUICK)


class Killed(BaseException):
    """The process dies here."""


class MarkedDestination(FakeDestination):
    """Makes a row of organization, id, mode and replay of each event."""

    def encode(self, events: pl.DataFrame) -> EncodedRows:
        rows = zip(*(events[name] for name in ("organization", "id", "mode", "replay_id")), strict=True)
        return EncodedRows.of([":".join(map(str, row)).encode() for row in rows], b",")


class MemorySource:
    """Yields records of partitions in chunks of `size`; `failures` are raised first, each once."""

    def __init__(self, records: Mapping[TopicPartition, Sequence[Message]], size: int = 3) -> None:
        self.records = records
        self.size = size
        self.failures: list[Exception] = []
        self.lost: dict[TopicPartition, tuple[int, int]] = {}
        self.left_out: dict[int, str] = {}
        """By offset, in every partition."""
        self.confirmed: list[tuple[list[int], list[int]]] = []
        self.ends: dict[TopicPartition, int] = {}

    async def chunks(self, starts: Mapping[TopicPartition, int]) -> AsyncIterator[Chunk]:
        for tp in sorted(self.records):
            left = [each for each in self.records[tp] if each.offset >= starts[tp]]
            lost = self.lost.get(tp)
            if lost is not None and starts[tp] < lost[1]:
                yield Chunk(tp, (), lost[1], lost=(lost,))
            for start in range(0, len(left), self.size):
                if self.failures:
                    raise self.failures.pop()
                part = left[start : start + self.size]
                last = start + self.size >= len(left)
                out = {
                    i: self.left_out[each.offset]
                    for i, each in enumerate(part)
                    if each.offset in self.left_out
                }
                yield Chunk(
                    tp, cast("list[Record]", part), self.ends[tp] if last else part[-1].offset + 1, out
                )

    def letter_fields(self, record: Record) -> Mapping[str, str]:  # noqa: ARG002
        return {}

    def ending_of(self, record: Record) -> None:  # noqa: ARG002
        return None

    async def confirm(self, delivered: Sequence[Record], dead_lettered: Sequence[Record]) -> None:
        self.confirmed.append(([each.offset for each in delivered], [each.offset for each in dead_lettered]))


class ReplayBench:
    """One job, what is left of it, and the runs of it one after the other, as after deaths."""

    def __init__(self, source: MemorySource, destination: FakeDestination, schemas: Any, **job: Any) -> None:
        source.ends = {tp: records[-1].offset + 2 for tp, records in source.records.items()}
        ranges = tuple(
            ReplayRange(tp.topic, tp.partition, source.lost.get(tp, (records[0].offset,))[0], source.ends[tp])
            for tp, records in source.records.items()
        )
        self.job: ReplayJob = replay_job(ranges=ranges, **job)
        self.source = source
        self.destination = destination
        self.schemas = schemas
        self.written: list[ReplayProgress] = []
        self.letters = FakeDeadLetterWriter()
        self.selection = Selection(None)
        self.rules = EventRules()
        self.step: Callable[[], None] = lambda: None
        """Called at each step of a run; raises Killed to end it there."""
        self.live_wait: Callable[[], str | None] = lambda: None
        self.breaker = BreakerTiming(QUICK, QUICK)
        self.metrics = ConsumerMetrics(CollectorRegistry())
        self.timing = TIMING

    def new_run(self) -> ReplayRun:
        """Return a run that begins at the last progress."""
        metrics = self.metrics.for_pipeline("sentinel", "replay")
        letters = ReplayLetters(self.letters)
        flow = DeliveryFlow(
            self.destination,
            RouteStates(RateLimit(), self.breaker, self.destination.limits.routes, jitter=lambda: 0.0),
            cast("DeadLetterWriter", letters),
            metrics,
            timing=SENDER_TIMING,
            replay=self.job.id,
        )
        parts = ReplayParts(
            flow,
            letters,
            SchemaLookup(self.schemas, metrics),
            self.rules,
            self.selection,
            self.source,
            self._live_wait,
        )
        log = ProgressLog(self._write, self._wait, "host-1", lambda: 1_000)
        return ReplayRun(self.job, self.written[-1] if self.written else None, parts, log, self.timing)

    def _live_wait(self) -> str | None:
        return self.live_wait()

    async def _wait(self) -> None:
        self.step()

    async def _write(self, progress: ReplayProgress) -> None:
        self.step()
        await asyncio.sleep(0)
        self.written.append(progress)
        self.step()

    async def run_killed_at(self, number: int) -> bool:
        """Run until the step of this number, and kill the process there; return False if the job was done before it."""
        steps = 0
        died = asyncio.Event()

        def step() -> None:
            nonlocal steps
            steps += 1
            if steps >= number:
                died.set()
                raise asyncio.CancelledError

        self.step = step
        run = asyncio.create_task(self.new_run().run())
        death = asyncio.create_task(died.wait())
        await asyncio.wait({run, death}, return_when=asyncio.FIRST_COMPLETED)
        self.step = _dead if died.is_set() else lambda: None
        for task in (run, death):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, RuntimeError):
                await task
        return died.is_set()

    async def run_to_end(self, seconds: float = 30) -> ReplayProgress:
        """Run until the job has ended; return its last progress."""
        self.step = lambda: None
        await asyncio.wait_for(self.new_run().run(), seconds)
        return self.written[-1]


def _dead() -> None:
    """Nothing of a dead process acts any more."""
    raise asyncio.CancelledError


def partition(number: int = 0) -> TopicPartition:
    return TopicPartition("p.events", number)


def messages(offsets: Iterable[int], number: int = 0, **fields: Any) -> list[Message]:
    """Return events whose ids are their offsets, on one partition."""
    return [
        replace(message(event(each, **fields)), topic="p.events", partition=number, offset=each)
        for each in offsets
    ]
