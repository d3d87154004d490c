"""Builds the pipelines of a destination: topic, consumer group, decoding and delivery, put together."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AsyncExitStack
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
from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import Destination, DestinationConfig, Flow, Kinds
from consumer.group_names import PipelineFlow, group_name
from consumer.losses.loss_log import LossLog
from consumer.losses.refilled import open_refilled_ranges
from consumer.losses.store import LossStore
from consumer.metrics import ConsumerMetrics, PipelineMetrics
from consumer.offsets.backup import OffsetBackup, read_offset_backup
from consumer.offsets.delivered import DeliveryProgress
from consumer.offsets.group_reader import read_group_progress
from consumer.older_events import OlderEvents
from consumer.replay.archive_opening import archives_for
from consumer.replay.job_opener import DestinationParts
from consumer.replay.membership import ReplayMembership, build_replays
from consumer.running_pipelines import RunningDestination, RunningPipeline
from consumer.targets.guard import TargetGuard
from consumer.targets.store import ClaimStore
from consumer.targets.target import target_of
from consumer.timing import ConsumerTiming
from consumer.topic_settings import TopicSettings
from relay.errors import RelayError
from relay.kafka import TopicPartition
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

    store: SchemaStore
    writer: RecordWriter
    workers: Executor
    """Threads that decode events and build bodies."""
    topic_settings: TopicSettings
    archives: Mapping[str, DestinationConfig]
    """The destinations whose objects a replay may read."""


class PipelineFactory:
    """Builds the live and the history pipeline of each destination."""

    def __init__(
        self,
        config: ConsumerConfig,
        destinations: Mapping[str, DestinationConfig],
        connection: Connection,
        topics: Topics,
        shared: SharedParts,
        metrics: ConsumerMetrics,
        kinds: Kinds = DESTINATIONS,
        timing: ConsumerTiming | None = None,
    ) -> None:
        self._shared = shared
        self._config = config
        self._destinations = destinations
        self._connection = connection
        self.topics = topics
        self._kinds = kinds
        self._timing = timing or ConsumerTiming()
        self._claims = ClaimStore(connection, topics.destinations)
        self.metrics = metrics

    def start_text(self, name: str) -> str:
        """Return how the destination begins at its first start, as the status records it."""
        start = self._start(name)
        return start if isinstance(start, str) else start.isoformat()

    def _start(self, name: str) -> StartPosition:
        return self._destinations[name].start or self._config.start

    def _first_start(self, name: str, flow: PipelineFlow) -> StartPosition:
        """Return where a flow begins at its first start. History has no recent part: with `recent` it begins with all of it."""
        start = self._start(name)
        return "earliest" if flow == "older" or (flow == "history" and start == "recent") else start

    def _guards(self, name: str) -> Mapping[Flow, TargetGuard]:
        """Return the guard of each flow's groups: live events and history may go to different targets."""
        config = self._destinations[name]
        return {
            flow: TargetGuard(name, flow, target_of(config.kind, identity), self._claims, self._timing.target)
            for flow, identity in self._kinds[config.kind].identity(config).items()
        }

    async def build(self, name: str, stack: AsyncExitStack) -> RunningDestination:
        """Open the destination and build its pipelines, live first; they share only rate limits.

        The one of older events reads the live topic up to where the live group began, and sends to history.

        Raises RelayError for a destination whose settings cannot work.
        """
        config = self._destinations[name]
        kind = self._kinds[config.kind]
        if kind.request_timeout_seconds >= REBALANCE_TIMEOUT_SECONDS:
            raise RelayError(
                f"A request of destinations.{name} may take {kind.request_timeout_seconds:g} s, longer than a rebalance waits"
                f" ({REBALANCE_TIMEOUT_SECONDS:g} s). Lower the request timeout of the kind {config.kind}."
            )
        flows = await stack.enter_async_context(kind.open_beside(name, config, self._connection.kafka))
        rate_limit, guards = RateLimit(), self._guards(name)
        losses = self._loss_log(name)
        live = self._build_pipeline(name, flows["live"], rate_limit, "live", guards["live"], losses)
        replays = await self._replays(name, flows, guards, rate_limit, live, stack)
        refilled = open_refilled_ranges(
            losses, lambda: replays.owns, self._connection, self.topics, self._timing.losses
        )
        if "history" not in flows:
            return RunningDestination([live], self._older_events(name, live, None), losses, replays, refilled)
        guard = guards["history"]
        history = self._build_pipeline(name, flows["history"], rate_limit, "history", guard, losses)

        async def live_progress(
            partitions: Sequence[TopicPartition],
        ) -> Mapping[TopicPartition, DeliveryProgress]:
            return await older_events.live_progress(partitions)

        older = self._build_pipeline(
            name, flows["history"], rate_limit, "older", guard, losses, live_progress
        )
        older_events = self._older_events(name, live, older)
        return RunningDestination([live, history, older], older_events, losses, replays, refilled)

    async def _replays(
        self,
        name: str,
        flows: Mapping[Flow, Destination],
        guards: Mapping[Flow, TargetGuard],
        rate_limit: RateLimit,
        live: RunningPipeline,
        stack: AsyncExitStack,
    ) -> ReplayMembership:
        """Its progress has a writer of its own: a write that a hand-over cancels must not fail the writes of others."""
        writer = await stack.enter_async_context(RecordWriter(self._connection))
        metrics, shared = self.metrics.for_pipeline(name, "replay"), self._shared
        parts = DestinationParts(
            *(name, self._destinations[name], flows, guards, rate_limit, live.flow.routes),
            *(SchemaLookup(shared.store, metrics), metrics, shared.writer, self.topics.dead_letters),
            *(shared.topic_settings, shared.workers),
        )
        return build_replays(
            *(parts, self._connection, self.topics, shared.archives, writer),
            *(self._timing, REBALANCE_TIMEOUT_SECONDS, self.metrics),
        )

    def _loss_log(self, name: str) -> LossLog:
        store = LossStore(self._connection, self.topics.destinations, self._shared.writer)
        return LossLog(name, store, archives_for(self._destinations, name), self._timing.losses)

    def _older_events(self, name: str, live: RunningPipeline, older: RunningPipeline | None) -> OlderEvents:
        return OlderEvents(
            name,
            live.topic,
            live.handler,
            (older.member, older.handler) if older else None,
            self._backup_reader(name, live.topic, older=True),
            self._timing.older,
        )

    def _build_pipeline(
        self,
        name: str,
        destination: Destination,
        rate_limit: RateLimit,
        flow: PipelineFlow,
        guard: TargetGuard,
        losses: LossLog,
        live_progress: LiveProgress | None = None,
    ) -> RunningPipeline:
        """`live_progress`: where each partition of older events ends; None: the pipeline has no end."""
        topic = self.topics.backfill if flow == "history" else self.topics.events
        metrics = self.metrics.for_pipeline(name, flow)
        delivery_flow = self._delivery_flow(name, flow, destination, rate_limit, metrics)
        pipeline = Pipeline(
            self._start_offsets(name, flow, topic, metrics, guard, losses, live_progress),
            SchemaLookup(self._shared.store, metrics),
            delivery_flow,
            self._linger_seconds(destination),
            compile_rules(name, self._destinations[name]),
            self._timing.assignment,
            ends_at_split_offset=live_progress is not None,
            require_own_target=guard.require_own,
        )
        handler = AssignmentHandler(pipeline)
        member = Member(
            self._connection,
            group_name(self.topics.prefix, name, flow),
            topic,
            handler,
            max_records=MAX_POLL_RECORDS,
            rebalance_seconds=REBALANCE_TIMEOUT_SECONDS,
            consumer_options=FETCH_OPTIONS,
        )
        coverage = CoverageCheck(topic, self._coverage_reader(handler, topic), self._timing.coverage)
        return RunningPipeline(
            topic,
            member,
            handler,
            delivery_flow,
            metrics,
            coverage,
            self._shared.topic_settings,
            flow,
            guard,
            partial(read_group_progress, self._connection, group_name(self.topics.prefix, name, flow), topic),
        )

    def _delivery_flow(
        self,
        name: str,
        flow: PipelineFlow,
        destination: Destination,
        rate_limit: RateLimit,
        metrics: PipelineMetrics,
    ) -> DeliveryFlow:
        dead_letters = DeadLetterWriter(
            self._shared.writer,
            self.topics.dead_letters,
            name,
            topic_problem=lambda: self._shared.topic_settings.dead_letter_problem,
            fields=lambda _: {"flow": flow},
        )
        return DeliveryFlow(
            destination,
            RouteStates(rate_limit, self._timing.breaker, destination.limits.routes),
            dead_letters,
            metrics,
            timing=self._timing.sender,
            workers=self._shared.workers,
        )

    def _start_offsets(
        self,
        name: str,
        flow: PipelineFlow,
        topic: str,
        metrics: PipelineMetrics,
        guard: TargetGuard,
        losses: LossLog,
        live_progress: LiveProgress | None,
    ) -> StartOffsetResolver:
        return StartOffsetResolver(
            self._first_start(name, flow),
            self._backup_reader(name, topic, older=flow == "older"),
            KafkaEventLog(self._connection),
            metrics,
            self._timing.start,
            live=live_progress,
            began_ms=lambda: guard.claimed_at,
            losses=losses,
        )

    def _linger_seconds(self, destination: Destination) -> float:
        linger = destination.limits.linger_seconds
        return self._config.linger_seconds if linger is None else linger

    def _coverage_reader(
        self, handler: AssignmentHandler, topic: str
    ) -> Callable[[], Awaitable[GroupCoverage | None]]:
        async def read() -> GroupCoverage | None:
            async with asyncio.timeout(self._timing.coverage.timeout_seconds):
                return await handler.group_coverage(topic)

        return read

    def _backup_reader(self, name: str, topic: str, *, older: bool) -> Callable[[], Awaitable[OffsetBackup]]:
        return lambda: read_offset_backup(self._connection, self.topics.status, name, topic, older=older)
