"""The producer service: wiring, supervision, readiness and the process's status."""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from producer.config import ProducerConfig
from producer.metrics import ProducerMetrics
from producer.polling.context import PollingContext
from producer.polling.poller import Poller
from producer.polling.window import PollingConfig
from producer.publishing.publisher import ShardPublisher
from producer.publishing.schema_watch import watch_event_schema
from producer.publishing.topic_limits import TopicLimitsWatcher
from producer.recovery.loader import ShardLoader
from producer.sharding.assignment import ShardAssignment
from producer.sharding.hanging_transactions import watch_hanging_transactions
from producer.sharding.shard import Shard
from producer.sources.catalogue import open_sources
from producer.sources.contract import SourceFactory, SourceSetup
from producer.sources.throttle import RequestSlots
from producer.status_reporter import OrganizationStatusReporter, status_key
from relay.aio import cancel_all, run_unless_stopped, supervise
from relay.config.schema_registry import SchemaRegistryConfig
from relay.credentials.resolver import CredentialResolver
from relay.kafka import KAFKA_FAILURES
from relay.kafka.connection import Connection
from relay.kafka.consumer_group import Member
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import read_limits, read_shard_count, require_lossless_topics
from relay.kafka.topics import Topics
from relay.organizations import Organization
from relay.schema_registry.store import SchemaStore, open_schema_store
from relay.status.model import Status, service_key, take_over
from relay.status.reader import StatusHistory, remove_stale
from relay.status.writer import StatusWriter
from relay.telemetry.health import Health
from relay.timestamps import DAY_MS, now_ms


@dataclass(frozen=True, slots=True)
class ProducerServiceTiming:
    """Pauses and bounds of the service."""

    status_valid_ms: int = 60_000
    heartbeat_seconds: float = 1.0
    heartbeats_per_status: int = 15
    remove_stale_seconds: float = 3_600.0
    final_status_seconds: float = 3.0
    stop_seconds: float = 15.0


TIMING = ProducerServiceTiming()


async def run_producer(
    config: ProducerConfig,
    schema_registry: SchemaRegistryConfig,
    connection: Connection,
    credentials: CredentialResolver,
    stop: asyncio.Event,
    registry: CollectorRegistry,
    health: Health,
    timing: ProducerServiceTiming = TIMING,
) -> None:
    """Poll every organization of the shards that the group assigns to this process, until `stop`.

    Raises RelayError if Kafka cannot be reached at the start, or lacks the relay's topics.
    """
    health.report("producer", ok=False, reason="joining the group")
    topics = Topics(connection.kafka.topic_prefix)
    metrics = ProducerMetrics(registry)
    slots = RequestSlots(on_request_ended=metrics.request_ended)
    async with (
        open_schema_store(schema_registry, connection) as store,
        RecordWriter(connection) as writer,
        open_sources(SourceSetup(config, credentials, now_ms, slots)) as sources,
    ):
        await run_unless_stopped(stop, require_lossless_topics(connection, config.late_days * DAY_MS))
        cluster = await run_unless_stopped(stop, _read_cluster_limits(connection, store))
        if cluster is None:
            return
        shard_count, limits = cluster
        loader = ShardLoader(connection, topics, store, limits, metrics, now_ms)
        parts = _build_parts(config, connection, sources, writer, loader, shard_count)
        tasks = _start_tasks(parts, connection, topics, limits, store, health, timing)
        try:
            await supervise(stop, tasks)
        finally:
            owned = parts.status_writer.put_statuses(status_key(""))  # releasing the shards forgets them
            await cancel_all(tasks, attempts=1, seconds=timing.stop_seconds)
        await _write_final_status(StatusWriter(writer, topics.status), owned, timing)


@dataclass(frozen=True, slots=True)
class _Parts:
    """The group membership of the process, the shards it is assigned, and the writer of their statuses."""

    member: Member
    assignment: ShardAssignment
    status_writer: StatusWriter


def _build_parts(
    config: ProducerConfig,
    connection: Connection,
    sources: SourceFactory,
    writer: RecordWriter,
    loader: ShardLoader,
    shard_count: int,
) -> _Parts:
    """Wire membership, shards and pollers. A status waits while the membership is in doubt."""
    topics = loader.topics
    status_writer = StatusWriter(writer, topics.status, lambda: member.valid)
    pollers = PollerFactory(
        config, sources, status_writer, StatusHistory(connection, topics.status), loader.metrics
    )
    assignment = ShardAssignment(
        shard_count,
        lambda number: Shard(number, member, loader.load, pollers),
        fencing=connection.profile.transactions,
    )
    member = Member(connection, f"{topics.prefix}.producer", topics.organizations, assignment)
    return _Parts(member, assignment, status_writer)


def _start_tasks(
    parts: _Parts,
    connection: Connection,
    topics: Topics,
    limits: TopicLimitsWatcher,
    store: SchemaStore,
    health: Health,
    timing: ProducerServiceTiming,
) -> set[asyncio.Task[None]]:
    """Start the tasks of the service. None of them ends by itself."""
    status_writer, assignment = parts.status_writer, parts.assignment
    work: dict[str, Coroutine[Any, Any, None]] = {
        "group membership": parts.member.run(),
        "watch for hanging transactions": watch_hanging_transactions(connection, topics, assignment),
        "watch of topic limits": limits.watch(),
        "watch of the schema of events": watch_event_schema(store, health),
        "status writer": status_writer.run(),
        "heartbeat": _heartbeat(status_writer, assignment, parts.member, health, timing),
        "removal of stale status": _remove_stale_status(status_writer, connection, topics, timing),
    }
    return {asyncio.create_task(coroutine, name=name) for name, coroutine in work.items()}


async def _write_final_status(
    status_writer: StatusWriter, owned: Mapping[str, Status], timing: ProducerServiceTiming
) -> None:
    """Delete the status of this process, and end the validity of those of its organizations.

    A Kafka that does not answer leaves them to expire.
    """
    for key, status in owned.items():
        status_writer.expire(key, status, now_ms())
    status_writer.tombstone(service_key("produce"))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timing.final_status_seconds):
            await status_writer.flush()


async def _read_cluster_limits(connection: Connection, store: SchemaStore) -> tuple[int, TopicLimitsWatcher]:
    """Read the number of shards and the limits of their topics. Waits as long as Kafka does not answer."""
    count = await read_shard_count(connection)
    await store.event_encoder()
    return count, TopicLimitsWatcher(connection, await read_limits(connection))


class PollerFactory:
    """Polls the organizations of this process's shards: the OrganizationHandler of each shard."""

    def __init__(
        self,
        settings: ProducerConfig,
        sources: SourceFactory,
        status_writer: StatusWriter,
        status_history: StatusHistory,
        metrics: ProducerMetrics,
    ) -> None:
        self._settings = settings
        self._config = PollingConfig(
            settle=int(settings.settle_seconds * 1000),
            overlap=int(settings.overlap_seconds * 1000),
            reread_day_every=int(settings.reread_day_every_seconds * 1000),
            reread_week_every=int(settings.reread_week_every_seconds * 1000),
            allowed_lateness=settings.late_days * 86_400_000,
        )
        self._sources = sources
        self._status_writer = status_writer
        self._status_history = status_history
        self._metrics = metrics

    async def poll(self, organization: Organization, publisher: ShardPublisher) -> None:
        """Poll it until cancelled or the publisher fails. A paused organization only keeps its status alive."""
        interval = organization.interval_seconds or self._settings.interval_seconds
        key = status_key(organization.name)
        previous = self._status_writer.last_put(key) or await self._status_history.latest(key)
        reporter = OrganizationStatusReporter(
            organization, self._status_writer, self._metrics, now_ms, interval, previous
        )
        if organization.paused:
            await reporter.heartbeat()
        source = self._sources.source_for(organization)
        context = PollingContext(
            organization, publisher, source, reporter, self._metrics, self._config, now_ms
        )
        await Poller(context, interval).run()

    def deleted(self, organization: str) -> None:
        """Remove its status and metrics; its progress remains in Kafka."""
        self._status_writer.tombstone(status_key(organization))
        self._release(organization)

    def released(self, organization: str) -> None:
        """Forget its unsent status; its new owner publishes it."""
        self._status_writer.forget(status_key(organization))
        self._release(organization)

    def _release(self, organization: str) -> None:
        self._sources.remove(organization)
        self._metrics.remove_organization(organization)


async def _heartbeat(
    status_writer: StatusWriter,
    assignment: ShardAssignment,
    member: Member,
    health: Health,
    timing: ProducerServiceTiming,
) -> None:
    """Report whether this process is ready: at once at /readyz, now and then on the status topic."""
    status = take_over("starting", now_ms())
    heartbeats = 0
    while True:
        ready = assignment.ready and member.valid
        reason = (
            "some shards are not loaded"
            if assignment.ready or assignment.numbers
            else "not a member of the consumer group"
        )
        health.report("producer", ok=ready, reason=f"{reason}; see the log for the reason")
        state = "active" if ready else "opening shards"
        if state != status.state or heartbeats % timing.heartbeats_per_status == 0:
            status = status.transition(state, f"shards {assignment.numbers}", now_ms()).valid_for(
                timing.status_valid_ms
            )
            status_writer.put(service_key("produce"), status)
        heartbeats += 1
        await asyncio.sleep(timing.heartbeat_seconds)


async def _remove_stale_status(
    status_writer: StatusWriter, connection: Connection, topics: Topics, timing: ProducerServiceTiming
) -> None:
    while True:
        await asyncio.sleep(timing.remove_stale_seconds)
        with contextlib.suppress(*KAFKA_FAILURES):
            await remove_stale(status_writer, connection, topics.status, now_ms())
