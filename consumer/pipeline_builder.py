"""Builds the pipelines of one destination: topic, consumer group, decoding and delivery of each flow, put together."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

from consumer.assignment.coverage import CoverageCheck
from consumer.assignment.event_log import KafkaEventLog
from consumer.assignment.first_start import LiveProgress
from consumer.assignment.handler import AssignmentHandler
from consumer.assignment.pipeline import Pipeline
from consumer.assignment.start_offset_resolver import StartOffsetResolver
from consumer.config import ConsumerConfig, StartPosition
from consumer.decoding.event_rules import compile_rules
from consumer.decoding.schema_lookup import SchemaLookup
from consumer.delivery.circuit_breaker import RateLimit
from consumer.delivery.dead_letters import DeadLetterWriter
from consumer.delivery.flow import DeliveryFlow
from consumer.delivery.route_states import RouteStates
from consumer.destinations.contract import Destination, DestinationConfig
from consumer.group_names import PipelineFlow, group_name
from consumer.losses.loss_log import LossLog
from consumer.metrics import ConsumerMetrics, PipelineMetrics
from consumer.offsets.backup import OffsetBackup, read_offset_backup
from consumer.offsets.group_reader import read_group_progress
from consumer.running_pipelines import RunningPipeline
from consumer.targets.guard import TargetGuard
from consumer.timing import ConsumerTiming
from consumer.topic_settings import TopicSettings
from relay.kafka.bounded_consumer import GroupCoverage
from relay.kafka.connection import Connection
from relay.kafka.consumer_group import Member
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics
from relay.schema_registry.store import SchemaStore

REBALANCE_TIMEOUT_SECONDS = 45.0
"""The group waits so long for a member to release its partitions; longer than any request, so that its answer still counts."""

# Fetched records are compressed and may grow a thousandfold, so a fetch takes few of them.
FETCH_OPTIONS = {"max_partition_fetch_bytes": 262_144, "fetch_max_bytes": 8_388_608}
MAX_POLL_RECORDS = 2_000
"""Beside `POLL_BYTES`: thousands of records without a value take memory too."""


@dataclass(frozen=True, slots=True)
class SharedParts:
    """The parts of a process that all its pipelines share."""

    connection: Connection
    topics: Topics
    store: SchemaStore
    writer: RecordWriter
    workers: Executor
    """Threads that decode events and build bodies."""
    topic_settings: TopicSettings
    archives: Mapping[str, DestinationConfig]
    """The destinations whose objects a replay may read."""
    metrics: ConsumerMetrics
    timing: ConsumerTiming


@dataclass(frozen=True, slots=True)
class PipelineBuilder:
    """Builds the pipelines of the destination `name`; `rate_limit` and `losses` are the same for all of them."""

    name: str
    config: DestinationConfig
    defaults: ConsumerConfig
    shared: SharedParts
    rate_limit: RateLimit
    losses: LossLog

    def build(
        self,
        flow: PipelineFlow,
        destination: Destination,
        guard: TargetGuard,
        live_progress: LiveProgress | None = None,
    ) -> RunningPipeline:
        """`live_progress`: where each partition of older events ends; None: the pipeline has no end."""
        shared = self.shared
        topic = shared.topics.backfill if flow == "history" else shared.topics.events
        group = group_name(shared.topics.prefix, self.name, flow)
        metrics = shared.metrics.for_pipeline(self.name, flow)
        delivery_flow = self._delivery_flow(flow, destination, metrics)
        linger = destination.limits.linger_seconds
        pipeline = Pipeline(
            self._start_offsets(flow, topic, metrics, guard, live_progress),
            SchemaLookup(shared.store, metrics),
            delivery_flow,
            self.defaults.linger_seconds if linger is None else linger,
            compile_rules(self.name, self.config),
            shared.timing.assignment,
            ends_at_split_offset=live_progress is not None,
            require_own_target=guard.require_own,
        )
        handler = AssignmentHandler(pipeline)
        member = Member(
            shared.connection,
            group,
            topic,
            handler,
            max_records=MAX_POLL_RECORDS,
            rebalance_seconds=REBALANCE_TIMEOUT_SECONDS,
            consumer_options=FETCH_OPTIONS,
        )
        return RunningPipeline(
            topic,
            member,
            handler,
            delivery_flow,
            metrics,
            CoverageCheck(topic, self._coverage_reader(handler, topic), shared.timing.coverage),
            shared.topic_settings,
            flow,
            guard,
            partial(read_group_progress, shared.connection, group, topic),
        )

    def backup_reader(self, topic: str, *, older: bool) -> Callable[[], Awaitable[OffsetBackup]]:
        """Return the reader of the offsets that the status topic has of the group of a topic, or of that of older events."""
        shared = self.shared
        return lambda: read_offset_backup(
            shared.connection, shared.topics.status, self.name, topic, older=older
        )

    def _delivery_flow(
        self, flow: PipelineFlow, destination: Destination, metrics: PipelineMetrics
    ) -> DeliveryFlow:
        shared = self.shared
        dead_letters = DeadLetterWriter(
            shared.writer,
            shared.topics.dead_letters,
            self.name,
            topic_problem=lambda: shared.topic_settings.dead_letter_problem,
            fields=lambda _: {"flow": flow},
        )
        return DeliveryFlow(
            destination,
            RouteStates(self.rate_limit, shared.timing.breaker, destination.limits.routes),
            dead_letters,
            metrics,
            timing=shared.timing.sender,
            workers=shared.workers,
        )

    def _start_offsets(
        self,
        flow: PipelineFlow,
        topic: str,
        metrics: PipelineMetrics,
        guard: TargetGuard,
        live_progress: LiveProgress | None,
    ) -> StartOffsetResolver:
        return StartOffsetResolver(
            self._first_start(flow),
            self.backup_reader(topic, older=flow == "older"),
            KafkaEventLog(self.shared.connection),
            metrics,
            self.shared.timing.start,
            live=live_progress,
            began_ms=lambda: guard.claimed_at,
            losses=self.losses,
        )

    def _first_start(self, flow: PipelineFlow) -> StartPosition:
        """Return where a flow begins at its first start. History has no recent part: with `recent` it begins with all of it."""
        start = start_position(self.config, self.defaults)
        return "earliest" if flow == "older" or (flow == "history" and start == "recent") else start

    def _coverage_reader(
        self, handler: AssignmentHandler, topic: str
    ) -> Callable[[], Awaitable[GroupCoverage | None]]:
        async def read() -> GroupCoverage | None:
            async with asyncio.timeout(self.shared.timing.coverage.timeout_seconds):
                return await handler.group_coverage(topic)

        return read


def start_position(config: DestinationConfig, defaults: ConsumerConfig) -> StartPosition:
    """Return where a destination begins at its first start."""
    return config.start or defaults.start
