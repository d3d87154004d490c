"""An installation with events, progress and seals on a real Kafka, and an audit log that a test changes."""

import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any, cast

from pyroaring import BitMap64

from management.completeness.canonical import canonical_record
from management.completeness.collect import ProofContext
from management.completeness.rounds import seal_again, seal_due
from management.completeness.sealing import Sealer, SealResult, open_sealer
from producer.events import Event, UnreadableRecord
from producer.sources.contract import Source
from producer.sources.errors import SourceError
from producer.sources.purpose import Purpose
from producer.sources.window_result import WindowResult
from producer.state.checkpoint import Checkpoint, new_checkpoint
from producer.state.intervals import TimeRange
from producer.state.ledger import DayLedger, Ledger, LedgerDelta, progress_key
from relay.avro.codec import InternalCodec
from relay.config.schema_registry import SchemaRegistryConfig
from relay.kafka.connection import Connection
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics, partition_of
from relay.timestamps import DAY_MS, day_of, day_start
from tests.support.day_seals import KEY
from tests.support.messages import event, message
from tests.support.pipeline_world import FRAMED_ENCODER

SHARDS, LATE_DAYS = 2, 7
ORGANIZATION = "acme.atlassian.net"


def created_on(day: str, number: int) -> int:
    """Return an instant of a day, another one for each number."""
    return day_start(day) + 1000 + number


def some_event(day: str, number: int, **fields: Any) -> Event:
    """Return an event of a day, collected a second after it was created."""
    created = created_on(day, number)
    return event(number, created=created, **{"collected": created + 1000, **fields})


class AuditLog:
    """A source of these events. `failure`: what each request ends with; None: it answers."""

    def __init__(self) -> None:
        self.events: dict[int, Event] = {}
        self.unreadable: tuple[UnreadableRecord, ...] = ()
        self.failure: SourceError | None = None
        self.listed: list[str] = []
        """The days that were listed."""
        self.asked = 0
        """How often the audit log was asked who it is, before a day is listed."""

    async def bind_identity(self, _bound_to: str | None) -> None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure

    async def verify_empty(self, _empty: TimeRange, _purpose: Purpose) -> None:
        return None

    async def read(self, window: TimeRange, _purpose: Purpose) -> AsyncGenerator[WindowResult, None]:
        self.listed.append(day_of(window.start))
        found = [
            {name: each[name] for name in each if name not in {"collected", "mode"}}
            for each in self.events.values()
            if each["created"] in window
        ]
        count = len(found) + len(self.unreadable)
        yield WindowResult(window, window, tuple(found), self.unreadable, count, 0, proven=True)

    def restore(self, found: Event) -> bytes:
        return json.dumps(canonical_record({"unmodeled": None, **found})).encode()

    @property
    def source(self) -> Source:
        return cast(Source, self)


class ProofWorld:
    """Events and progress of one organization on Kafka, by a clock of the test."""

    def __init__(self, connection: Connection, now_ms: int, first_day: str) -> None:
        self.now = now_ms
        self.log = AuditLog()
        self.connection = connection
        self.topics = Topics(connection.kafka.topic_prefix)
        self.context = ProofContext(
            connection, SchemaRegistryConfig(), {}, lambda: self.now, second_look_seconds=0.0
        )
        begin = replace(
            new_checkpoint(ORGANIZATION, day_start(first_day), now=now_ms),
            window_end=now_ms,
            week_mark=now_ms,
        )
        self.checkpoint: Checkpoint = begin
        self.days: dict[str, DayLedger] = {}

    async def publish(self, *events: Event, listed: bool = True, recorded: bool = True) -> None:
        """Write events, their ledgers and the checkpoint. `listed`: the audit log has them; `recorded`: their ledgers do."""
        for each in events:
            if listed:
                self.log.events[each["id"]] = each
            if recorded:
                day = self.days.setdefault(day_of(each["created"]), DayLedger())
                self.days[day_of(each["created"])] = replace(day, ids=day.ids | BitMap64([each["id"]]))
        partition = partition_of(ORGANIZATION, SHARDS)
        async with RecordWriter(self.connection) as writer:
            for each in events:
                found = message(each, FRAMED_ENCODER)
                await writer.send(
                    self.topics.events,
                    found.key,
                    found.value,
                    partition=partition,
                    timestamp_ms=each["collected"],
                )
            for key, value in self._progress().items():
                await writer.send(self.topics.progress, key.encode(), value, partition=partition)

    def _progress(self) -> dict[str, bytes]:
        records = Ledger(ORGANIZATION).to_records(LedgerDelta(self.days, 0))
        found = {key: InternalCodec("day_ledger").encode(record) for key, record in records.items() if record}
        checkpoint = InternalCodec("checkpoint").encode(self.checkpoint.to_record())
        return found | {progress_key(ORGANIZATION): checkpoint}

    async def pass_days(self, days: int) -> None:
        """Move the clock and the marks of the re-reads."""
        self.now += days * DAY_MS
        self.checkpoint = replace(self.checkpoint, window_end=self.now, week_mark=self.now)
        await self.publish()

    async def seal(self, day: str = "") -> SealResult:
        """Seal what is due, or a day again."""
        async with open_sealer(self.context, KEY) as sealer:
            return await self.seal_with(sealer, day)

    async def seal_with(self, sealer: Sealer, day: str = "") -> SealResult:
        """Seal what is due, or a day again, by this sealer."""
        if day:
            return await seal_again(self.connection, sealer, ORGANIZATION, day, self.source_of)
        (found,) = await seal_due(
            self.connection, sealer, [ORGANIZATION], self.source_of, LATE_DAYS, lambda: self.now
        )
        return found

    def source_of(self, _name: str) -> Source:
        return self.log.source


def days_from(first: str, count: int) -> Sequence[str]:
    """Return consecutive days."""
    return [day_of(day_start(first) + each * DAY_MS) for each in range(count)]
