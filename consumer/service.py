"""The consumer: everything of it wired together."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry

from consumer.assignment.assignment import Job
from consumer.assignment.handler import CALL_SECONDS, REBALANCE_SECONDS, Forwarder
from consumer.assignment.start_offsets import Beginner, Mirror, Start
from consumer.config import ConsumerConfig
from consumer.decoding.schema_lookup import Schemas
from consumer.delivery.circuit_breaker import Gate, Throttle
from consumer.delivery.dead_letters import DeadLetters
from consumer.delivery.sender import Outlet
from consumer.destinations.outcome import Outcome
from consumer.destinations.sentinel import rows
from consumer.destinations.sentinel.client import Ingestion
from consumer.destinations.sentinel.config import SentinelConfig
from consumer.metrics import Metrics
from consumer.status_reporter import Flow, Report, mirror
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
SERVICE_BEAT_SECONDS = 15.0

# What is fetched is compressed, and may become a thousand times as much; so little of it is unpacked at a time.
FETCH = {"max_partition_fetch_bytes": 262_144, "fetch_max_bytes": 8_388_608}
MOST_RECORDS = 256


async def consume(
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
        wiring = Wiring(config, destinations, connection, topics, store, writer, Metrics(registry))
        status_history = StatusHistory(connection, topics.status)
        flows: list[Flow] = []
        reports: list[Report] = []
        for name in destinations:
            both = await wiring.flows(name, stack)
            start = wiring.start_text(name)
            flows += both
            reports.append(
                Report(name, both, shards, start, status_writer, status_history, wiring.metrics, health)
            )
        tasks = {
            asyncio.create_task(status_writer.run(), name="status board"),
            asyncio.create_task(_beat(status_writer, destinations), name="beat of the consumer"),
            *(asyncio.create_task(report.run(), name="report of a destination") for report in reports),
        }
        members = {
            asyncio.create_task(flow.member.run(), name=f"membership for {flow.topic}") for flow in flows
        }
        try:
            await supervise(stop, tasks | members)
        finally:
            await asyncio.gather(*(flow.forwarder.stop(STOP_SECONDS) for flow in flows))
            await cancel_all(members, attempts=1, seconds=10)
            await cancel_all(tasks, attempts=1, seconds=10)
        status_writer.tombstone(service_key("consume"))
        await status_writer.flush()


class Wiring:
    """Puts together what one destination needs."""

    def __init__(
        self,
        config: ConsumerConfig,
        destinations: Mapping[str, SentinelConfig],
        connection: Connection,
        topics: Topics,
        store: SchemaStore,
        writer: RecordWriter,
        metrics: Metrics,
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

    async def flows(self, name: str, stack: AsyncExitStack) -> list[Flow]:
        """Live and history: apart, but for the waits that their rule asks for."""
        target = self._destinations[name]
        ingestion = await stack.enter_async_context(Ingestion(name, target, CALL_SECONDS))
        throttle = Throttle()
        prefix = self._topics.prefix
        live = (self._topics.events, f"{prefix}.{name}", target.stream, "live")
        history = (self._topics.backfill, f"{prefix}.{name}.history", target.history_stream, "history")
        return [self._flow(name, ingestion, Gate(throttle), *each) for each in (live, history)]

    def _flow(
        self, name: str, ingestion: Ingestion, gate: Gate, topic: str, group: str, stream: str, kind: str
    ) -> Flow:
        metrics = self.metrics.of(name, kind)
        letters = DeadLetters(self._writer, self._topics.dead_letters, name)
        outlet = Outlet(Stream(ingestion, stream), gate, letters, metrics)
        schemas = Schemas(self._store, metrics)
        beginner = Beginner(self._start(name), self._mirror(name, topic), self._records_at, metrics)
        linger = self._config.linger_seconds
        job = Job(beginner, schemas, rows.rows, outlet, rows.LARGEST_BODY, linger)
        forwarder = Forwarder(job)
        member = Member(
            self._connection,
            group,
            topic,
            forwarder,
            max_records=MOST_RECORDS,
            rebalance_seconds=REBALANCE_SECONDS,
            consumer_options=FETCH,
        )
        return Flow(topic, member, forwarder, outlet, schemas, metrics)

    async def _records_at(
        self, offsets: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, Record | None]:
        return await records_at(self._connection, offsets)

    def _mirror(self, name: str, topic: str) -> Callable[[], Awaitable[Mirror]]:
        return lambda: mirror(self._connection, self._topics.status, name, topic)


class Stream:
    """One stream of a rule (consumer.delivery.Sender)."""

    def __init__(self, ingestion: Ingestion, name: str) -> None:
        self._ingestion = ingestion
        self._name = name

    def body(self, encoded: Sequence[bytes]) -> bytes:
        return rows.body(encoded)

    async def send(self, body: bytes) -> Outcome:
        return await self._ingestion.send(self._name, body)


async def _beat(status_writer: StatusWriter, names: Iterable[str]) -> None:
    """That this process lives, and what it serves."""
    status = take_over("active", now_ms(), reason=f"destinations {', '.join(names)}")
    while True:
        status = status.transition("active", status.reason, now_ms()).valid_for(SERVICE_VALID_MS)
        status_writer.put(service_key("consume"), status)
        await asyncio.sleep(SERVICE_BEAT_SECONDS)
