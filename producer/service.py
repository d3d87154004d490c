"""The producer: everything of it wired together."""

import asyncio
import contextlib

from prometheus_client import CollectorRegistry

from producer.config import ProducerConfig
from producer.metrics import ProducerMetrics
from producer.polling.poller import Poller
from producer.polling.window import PollingConfig
from producer.publishing.publisher import ShardPublisher
from producer.publishing.topic_limits import TopicLimitsWatcher
from producer.recovery.loader import ShardLoader
from producer.sharding import hanging_transactions
from producer.sharding.assignment import ShardAssignment
from producer.sharding.shard import Shard
from producer.sources.jira_cloud.client import open_clients
from producer.sources.jira_cloud.source import JiraCloudSources
from producer.sources.throttle import REQUEST_SLOTS
from producer.status_reporter import StatusReporter, status_key
from relay.aio import cancel_all, run_unless_stopped, supervise
from relay.config.schema_registry import SchemaRegistryConfig
from relay.credentials.resolver import CredentialResolver
from relay.credentials.url_policy import AllowedHosts
from relay.kafka import KAFKA_FAILURES
from relay.kafka.connection import Connection
from relay.kafka.consumer_group import Member
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import read_limits, read_shard_count
from relay.kafka.topics import Topics
from relay.organizations import Organization
from relay.schema_registry.store import SchemaStore, open_schema_store
from relay.status.model import service_key, take_over
from relay.status.reader import StatusHistory, remove_stale
from relay.status.writer import StatusWriter
from relay.telemetry.health import Health
from relay.timestamps import now_ms

SERVICE_VALID_MS = 60_000
HEARTBEAT_SECONDS = 1.0
HEARTBEATS_PER_STATUS = 15
REMOVE_STALE_SECONDS = 3_600.0
FINAL_STATUS_SECONDS = 3.0
STOP_SECONDS = 15.0


async def run_producer(
    config: ProducerConfig,
    schema_registry: SchemaRegistryConfig,
    connection: Connection,
    credentials: CredentialResolver,
    stop: asyncio.Event,
    registry: CollectorRegistry,
    health: Health,
) -> None:
    """Poll every organization of the shards that fall to this process, until `stop`.

    Raises RelayError where Kafka cannot be reached at the start or has not our topics.
    """
    health.report("producer", ok=False, reason="joining the group")
    topics = Topics(connection.kafka.topic_prefix)
    async with (
        open_schema_store(schema_registry, connection) as store,
        RecordWriter(connection) as writer,
        open_clients(REQUEST_SLOTS) as clients,
    ):
        cluster = await run_unless_stopped(stop, _read_cluster_limits(connection, store))
        if cluster is None:
            return
        count, limits = cluster
        metrics = ProducerMetrics(registry)
        shard_loader = ShardLoader(connection, topics, store, limits, metrics, now_ms)
        status_writer = StatusWriter(writer, topics.status, lambda: member.valid)
        hosts = AllowedHosts(config.gateway_url, config.allowed_hosts)
        sources = JiraCloudSources(clients, credentials, hosts, now_ms)
        poller_factory = PollerFactory(
            config, sources, status_writer, StatusHistory(connection, topics.status), metrics
        )
        assignment = ShardAssignment(
            count,
            lambda number: Shard(number, member, shard_loader.load, poller_factory),
            fencing=connection.profile.transactions,
        )
        member = Member(connection, f"{topics.prefix}.producer", topics.organizations, assignment)
        tasks = {
            asyncio.create_task(member.run(), name="membership of the producers' group"),
            asyncio.create_task(
                hanging_transactions.watch_hanging_transactions(connection, topics, assignment),
                name="watch of the ends",
            ),
            asyncio.create_task(limits.watch(), name="watch of the limits"),
            asyncio.create_task(status_writer.run(), name="status board"),
            asyncio.create_task(_heartbeat(status_writer, assignment, member, health), name="beat"),
            asyncio.create_task(
                _remove_stale_status(status_writer, connection, topics), name="sweep of the status board"
            ),
        }
        try:
            await supervise(stop, tasks)
        finally:
            await cancel_all(tasks, attempts=1, seconds=STOP_SECONDS)
        final_status = StatusWriter(writer, topics.status)
        final_status.tombstone(service_key("produce"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINAL_STATUS_SECONDS):
                await final_status.flush()


async def _read_cluster_limits(connection: Connection, store: SchemaStore) -> tuple[int, TopicLimitsWatcher]:
    """How many shards there are, and what their topics take; none of it can be had while Kafka hangs."""
    count = await read_shard_count(connection)
    await store.event_encoder()
    return count, TopicLimitsWatcher(connection, await read_limits(connection))


class PollerFactory:
    """What is done for each organization that is ours (producer.shard.Work)."""

    def __init__(
        self,
        settings: ProducerConfig,
        sources: JiraCloudSources,
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
        """Follow it until cancelled or the publisher fails; paused, only tell so."""
        interval = organization.interval_seconds or self._settings.interval_seconds
        key = status_key(organization.name)
        previous = self._status_writer.last_put(key) or await self._status_history.latest(key)
        reporter = StatusReporter(
            organization, self._status_writer, self._metrics, now_ms, interval, previous
        )
        if organization.paused:
            await reporter.heartbeat()
        source = self._sources.source_for(organization)
        await Poller(
            organization, publisher, source, reporter, self._metrics, self._config, interval, now_ms
        ).run()

    def deleted(self, organization: str) -> None:
        """Nothing is told of it any more; its progress stays in Kafka."""
        self._status_writer.tombstone(status_key(organization))
        self._release(organization)

    def released(self, organization: str) -> None:
        """It is for its new owner to tell of it."""
        self._status_writer.forget(status_key(organization))
        self._release(organization)

    def _release(self, organization: str) -> None:
        self._sources.remove(organization)
        self._metrics.remove_organization(organization)


async def _heartbeat(
    status_writer: StatusWriter, assignment: ShardAssignment, member: Member, health: Health
) -> None:
    """Tell whether this process can do its work: at once to the health page, at times on the status topic."""
    status = take_over("starting", now_ms())
    heartbeats = 0
    while True:
        ready = assignment.ready and member.valid
        reason = (
            "not every shard is open"
            if assignment.ready or assignment.numbers
            else "it is no member of the group"
        )
        health.report("producer", ok=ready, reason=f"{reason}; the log says why")
        state = "active" if ready else "opening shards"
        if state != status.state or heartbeats % HEARTBEATS_PER_STATUS == 0:
            status = status.transition(state, f"shards {assignment.numbers}", now_ms()).valid_for(
                SERVICE_VALID_MS
            )
            status_writer.put(service_key("produce"), status)
        heartbeats += 1
        await asyncio.sleep(HEARTBEAT_SECONDS)


async def _remove_stale_status(status_writer: StatusWriter, connection: Connection, topics: Topics) -> None:
    while True:
        await asyncio.sleep(REMOVE_STALE_SECONDS)
        with contextlib.suppress(*KAFKA_FAILURES):
            await remove_stale(status_writer, connection, topics.status, now_ms())
