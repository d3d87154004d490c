"""A pipeline without a broker: a consumer group in memory, which rejects commits on request, and everything above it."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, cast

import polars as pl
from prometheus_client import CollectorRegistry

from consumer.assignment.event_log import EventLog
from consumer.assignment.first_start import LiveProgress
from consumer.assignment.handler import AssignmentHandler
from consumer.assignment.pipeline import Pipeline
from consumer.assignment.start_offset_resolver import StartOffsetResolver
from consumer.config import StartPosition
from consumer.decoding.event_rules import EventRules
from consumer.decoding.row_encoding import Selector
from consumer.decoding.schema_lookup import SchemaLookup
from consumer.delivery.circuit_breaker import RateLimit
from consumer.delivery.dead_letters import DeadLetterWriter
from consumer.delivery.flow import DeliveryFlow
from consumer.delivery.route_states import RouteStates
from consumer.destinations.contract import Destination
from consumer.metrics import ConsumerMetrics
from consumer.offsets.backup import OffsetBackup
from consumer.timing import AssignmentTiming, BreakerTiming, SenderTiming
from relay.avro.codec import SchemaRef
from relay.kafka import KafkaError, OffsetAndMetadata, OffsetMetadataTooLargeError, TopicPartition
from relay.kafka.bounded_consumer import BoundedConsumer
from relay.schema_registry.store import Missing, Unavailable
from schemas import Schema
from tests.support.dead_letters import FakeDeadLetterWriter
from tests.support.in_memory_log import InMemoryLog
from tests.support.messages import WRITER_SCHEMAS, event, message
from tests.support.waiting import wait_until

A, B = TopicPartition("events", 0), TopicPartition("events", 1)


class FakeGroup:
    """The group, the topic and the membership of one process (relay.kafka.bounded_consumer.BoundedConsumer)."""

    def __init__(self, count: int, committed: int | None = 0) -> None:
        self.log: list[Any] = [message(event(number), offset=number) for number in range(count)]
        self.stored = None if committed is None else OffsetAndMetadata(committed, "")
        self.next_offset = 0
        self.paused = True
        self.unreliable = False
        self.rejects_commits = False
        self.rejected_commits = 0
        self.max_metadata = 4096
        self.commits: list[int | None] = []

    @property
    def committed_offset(self) -> int | None:
        return None if self.stored is None else self.stored.offset

    def seek(self, _partition: TopicPartition, offset: int) -> None:
        self.next_offset = offset

    def pause(self, _partitions: Iterable[TopicPartition]) -> None:
        self.paused = True

    def resume(self, _partitions: Iterable[TopicPartition]) -> None:
        self.paused = False

    async def wait_for_membership(self) -> None:
        pass

    def corrupt_batch(self, _partition: TopicPartition) -> None:
        return None

    async def position(self, _partition: TopicPartition) -> int:
        return self.next_offset

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        if self.rejects_commits:
            self.rejected_commits += 1
            raise KafkaError("the group has moved on")
        if any(len(each.metadata) > self.max_metadata for each in offsets.values()):
            raise OffsetMetadataTooLargeError
        if A not in offsets:
            return
        self.stored = offsets[A]
        self.commits.append(self.committed_offset)

    async def committed(
        self, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata | None]:
        return dict.fromkeys(partitions, self.stored)

    async def first_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, len(self.log))

    async def offsets_for_time(
        self, partitions: Collection[TopicPartition], at_ms: int
    ) -> dict[TopicPartition, int | None]:
        found = next((record.offset for record in self.log if record.timestamp >= at_ms), None)
        return dict.fromkeys(partitions, found)

    def poll(self, count: int) -> dict[TopicPartition, list[Any]]:
        records = [] if self.paused else self.log[self.next_offset : self.next_offset + count]
        self.next_offset += len(records)
        return {A: records}


class FakeSchemaStore:
    """Knows the schema of `tests.support.messages`, or what a test puts in its place."""

    def __init__(self) -> None:
        self.answers: dict[SchemaRef, Schema | Unavailable] = dict(WRITER_SCHEMAS.items())
        self.known: dict[SchemaRef, Schema] = {}

    async def resolve(self, ref: SchemaRef) -> Schema | Missing | Unavailable:
        answer = self.known.get(ref) or self.answers.get(ref) or Missing(f"there is no {ref}")
        if isinstance(answer, dict):
            self.known[ref] = answer  # a found schema is kept, as the store keeps it
        return answer

    async def refresh(self, ref: SchemaRef) -> Schema | Missing | Unavailable:
        self.known.pop(ref, None)
        return await self.resolve(ref)

    def source(self, _ref: SchemaRef) -> str:
        return "The schema registry at https://registry.example"


def handler(
    kafka: FakeGroup,
    destination: Destination,
    start: StartPosition = "earliest",
    *,
    linger: float = 0.01,
    select: Selector | None = None,
    hide: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
    registry: CollectorRegistry | None = None,
    sender: Mapping[str, Any] | None = None,
    breaker: BreakerTiming | None = None,
    schema_store: FakeSchemaStore | None = None,
    live: LiveProgress | None = None,
    log: EventLog | None = None,
    **timing: Any,
) -> AssignmentHandler:
    """Return one process's handler, without memory of a former one. `sender` and `timing` are fields of their values."""

    async def no_backup() -> OffsetBackup:
        return OffsetBackup({}, 0)

    metrics = ConsumerMetrics(registry or CollectorRegistry()).for_pipeline("target", "live")
    flow = DeliveryFlow(
        destination,
        RouteStates(RateLimit(), breaker, destination.limits.routes),
        cast("DeadLetterWriter", FakeDeadLetterWriter()),
        metrics,
        timing=SenderTiming(**(sender or {})),
    )
    resolver = StartOffsetResolver(
        start, no_backup, log or InMemoryLog(lambda: dict(enumerate(kafka.log))), metrics, live=live
    )
    schemas = SchemaLookup(schema_store or FakeSchemaStore(), metrics)
    return AssignmentHandler(
        Pipeline(
            resolver,
            schemas,
            flow,
            linger,
            EventRules(select, hide),
            AssignmentTiming(**timing),
            ends_at_split_offset=live is not None,
        )
    )


async def assign(handler: AssignmentHandler, kafka: FakeGroup) -> None:
    """Assign partition A, and wait until it has begun."""
    handler.assigned(cast("BoundedConsumer", kafka), {A})
    await wait_until(lambda: handler.ready)


async def kill(handler: AssignmentHandler, kafka: FakeGroup) -> None:
    """End a process without a last word: no request goes on, and nothing is committed."""
    kafka.rejects_commits = True
    assert handler._assignment is not None
    closing = asyncio.create_task(handler._assignment.close(finish_seconds=0, answer_seconds=0))
    await asyncio.wait({closing}, timeout=30)
    assert closing.done()
    kafka.rejects_commits = False


def count(registry: CollectorRegistry, name: str, **labels: str) -> float:
    """Return a counter of the live flow."""
    labels = {"destination": "target", "flow": "live", **labels}
    found = registry.get_sample_value(f"jira_relay_consumer_{name}_total", labels)
    assert found is not None, f"{name} has no series {labels}; each begins at 0"
    return found


def counters(registry: CollectorRegistry) -> tuple[float, list[float]]:
    """Return records read, and the four ends of a record: accepted, skipped, dead-lettered, released."""
    accepted, skipped, released = (
        count(registry, f"events_{name}") for name in ("accepted", "skipped", "released")
    )
    dead = sum(
        count(registry, "events_dead_lettered", reason=reason) for reason in ("unreadable", "rejected")
    )
    return count(registry, "events_read"), [accepted, skipped, dead, released]
