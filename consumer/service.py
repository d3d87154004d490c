"""The consumer: everything of it wired together."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry

from consumer.assignment.assignment import Pipeline
from consumer.assignment.handler import REBALANCE_TIMEOUT_SECONDS, REQUEST_TIMEOUT_SECONDS, AssignmentHandler
from consumer.assignment.start_offsets import OffsetBackup, Start, StartOffsetResolver
from consumer.config import ConsumerConfig
from consumer.decoding.schema_lookup import SchemaLookup
from consumer.delivery.circuit_breaker import CircuitBreaker, RateLimit
from consumer.delivery.dead_letters import DeadLetterWriter
from consumer.delivery.sender import StreamState
from consumer.destinations.outcome import Outcome
from consumer.destinations.sentinel import rows
from consumer.destinations.sentinel.client import IngestionClient
from consumer.destinations.sentinel.config import SentinelConfig
from consumer.metrics import ConsumerMetrics
from consumer.status_reporter import RunningPipeline, StatusReporter, read_offset_backup
from relay.aio import cancel_all, run_unless_stopped, supervise
from relay.config.schema_registry import SchemaRegistryConfig
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.consumer_group import Member
from relay.kafka.log_reader import records_at
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import read_shard_count
from relay.kafka.topics import Topics
from relay.schema_registry.store import SchemaStore, open_schema_store
from relay.status.model import service_key, take_over
from relay.status.reader import StatusHistory
from relay.status.writer import StatusWriter
from relay.telemetry.health import Health
from relay.timestamps import now_ms

STOP_SECONDS = 15.0
SERVICE_VALID_MS = 60_000
HEARTBEAT_SECONDS = 15.0

# What is fetched is compressed, and may become a thousand times as much; so little of it is unpacked at a time.
FETCH_OPTIONS = {"max_partition_fetch_bytes": 262_144, "fetch_max_bytes": 8_388_608}
MAX_POLL_RECORDS = 256


async def run_consumer(
    config: ConsumerConfig,
    destinations: Mapping[str, SentinelConfig],
    schema_registry: SchemaRegistryConfig,
    connection: Connection,
    stop: asyncio.Event,
    registry: CollectorRegistry,
    health: Health,
) -> None:
    """Carry events to these destinations, live ones and history apart, until `stop`.

    Then nothing more is read, what is being delivered is finished within STOP_SECONDS, and offsets are committed. Raises
    RelayError where Kafka cannot be reached at the start or has not our topics, and where a destination cannot be one.
    """
    for name in destinations:
        health.report(f"destination {name}", ok=False, reason="joining the group")
    topics = Topics(connection.kafka.topic_prefix)
    shards = await run_unless_stopped(stop, read_shard_count(connection))
    if shards is None:
        return
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_schema_store(schema_registry, connection))
        writer = await stack.enter_async_context(RecordWriter(connection))
        status_writer = StatusWriter(writer, topics.status)
        factory = PipelineFactory(
            config, destinations, connection, topics, store, writer, ConsumerMetrics(registry)
        )
        status_history = StatusHistory(connection, topics.status)
        pipelines: list[RunningPipeline] = []
        reporters: list[StatusReporter] = []
        for name in destinations:
            destination_pipelines = await factory.build(name, stack)
            start = factory.start_text(name)
            pipelines += destination_pipelines
            reporters.append(
                StatusReporter(
                    name,
                    destination_pipelines,
                    shards,
                    start,
                    status_writer,
                    status_history,
                    factory.metrics,
                    health,
                )
            )
        tasks = {
            asyncio.create_task(status_writer.run(), name="status writer"),
            asyncio.create_task(_heartbeat(status_writer, destinations), name="heartbeat of the consumer"),
            *(
                asyncio.create_task(reporter.run(), name="status reporter of a destination")
                for reporter in reporters
            ),
        }
        members = {
            asyncio.create_task(pipeline.member.run(), name=f"membership for {pipeline.topic}")
            for pipeline in pipelines
        }
        try:
            await supervise(stop, tasks | members)
        finally:
            await asyncio.gather(*(pipeline.handler.stop(STOP_SECONDS) for pipeline in pipelines))
            await cancel_all(members, attempts=1, seconds=10)
            await cancel_all(tasks, attempts=1, seconds=10)
        status_writer.tombstone(service_key("consume"))
        await status_writer.flush()


class PipelineFactory:
    """Puts together what one destination needs."""

    def __init__(
        self,
        config: ConsumerConfig,
        destinations: Mapping[str, SentinelConfig],
        connection: Connection,
        topics: Topics,
        store: SchemaStore,
        writer: RecordWriter,
        metrics: ConsumerMetrics,
    ) -> None:
        self._config = config
        self._destinations = destinations
        self._connection = connection
        self._topics = topics
        self._store = store
        self._writer = writer
        self.metrics = metrics

    def start_text(self, name: str) -> str:
        """How the destination starts the first time, as it is recorded."""
        start = self._start(name)
        return start if isinstance(start, str) else start.isoformat()

    def _start(self, name: str) -> Start:
        return self._destinations[name].start or self._config.start

    async def build(self, name: str, stack: AsyncExitStack) -> list[RunningPipeline]:
        """Live and history: apart, but for the waits that their rule asks for."""
        target = self._destinations[name]
        client = await stack.enter_async_context(IngestionClient(name, target, REQUEST_TIMEOUT_SECONDS))
        rate_limit = RateLimit()
        prefix = self._topics.prefix
        live = (self._topics.events, f"{prefix}.{name}", target.stream, "live")
        history = (self._topics.backfill, f"{prefix}.{name}.history", target.history_stream, "history")
        return [
            self._build_pipeline(name, client, CircuitBreaker(rate_limit), *each) for each in (live, history)
        ]

    def _build_pipeline(
        self,
        name: str,
        client: IngestionClient,
        breaker: CircuitBreaker,
        topic: str,
        group: str,
        stream: str,
        flow: str,
    ) -> RunningPipeline:
        metrics = self.metrics.for_pipeline(name, flow)
        dead_letters = DeadLetterWriter(self._writer, self._topics.dead_letters, name)
        stream_state = StreamState(SentinelDestination(client, stream), breaker, dead_letters, metrics)
        schemas = SchemaLookup(self._store, metrics)
        start_offsets = StartOffsetResolver(
            self._start(name), self._backup_reader(name, topic), self._records_at, metrics
        )
        linger = self._config.linger_seconds
        pipeline = Pipeline(
            start_offsets, schemas, rows.encode_rows, stream_state, rows.MAX_BODY_BYTES, linger
        )
        handler = AssignmentHandler(pipeline)
        member = Member(
            self._connection,
            group,
            topic,
            handler,
            max_records=MAX_POLL_RECORDS,
            rebalance_seconds=REBALANCE_TIMEOUT_SECONDS,
            consumer_options=FETCH_OPTIONS,
        )
        return RunningPipeline(topic, member, handler, stream_state, schemas, metrics)

    async def _records_at(
        self, offsets: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, Record | None]:
        return await records_at(self._connection, offsets)

    def _backup_reader(self, name: str, topic: str) -> Callable[[], Awaitable[OffsetBackup]]:
        return lambda: read_offset_backup(self._connection, self._topics.status, name, topic)


class SentinelDestination:
    """One stream of a rule (consumer.delivery.sender.Destination)."""

    def __init__(self, client: IngestionClient, stream: str) -> None:
        self._client = client
        self._stream = stream

    def body(self, encoded: Sequence[bytes]) -> bytes:
        return rows.encode_body(encoded)

    async def send(self, body: bytes) -> Outcome:
        return await self._client.send(self._stream, body)


async def _heartbeat(status_writer: StatusWriter, names: Iterable[str]) -> None:
    """That this process lives, and what it serves."""
    status = take_over("active", now_ms(), reason=f"destinations {', '.join(names)}")
    while True:
        status = status.transition("active", status.reason, now_ms()).valid_for(SERVICE_VALID_MS)
        status_writer.put(service_key("consume"), status)
        await asyncio.sleep(HEARTBEAT_SECONDS)
