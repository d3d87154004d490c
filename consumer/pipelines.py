"""The pipelines of a destination: topic, group, decoding and delivery, put together."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

from consumer.assignment.assignment import Pipeline
from consumer.assignment.handler import REBALANCE_TIMEOUT_SECONDS, REQUEST_TIMEOUT_SECONDS, AssignmentHandler
from consumer.assignment.start_offsets import Start, StartOffsetResolver
from consumer.config import ConsumerConfig
from consumer.decoding.schema_lookup import SchemaLookup
from consumer.delivery.circuit_breaker import CircuitBreaker, RateLimit
from consumer.delivery.dead_letters import DeadLetterWriter
from consumer.delivery.sender import StreamState
from consumer.destinations.sentinel import rows
from consumer.destinations.sentinel.client import IngestionClient
from consumer.destinations.sentinel.config import SentinelConfig
from consumer.destinations.sentinel.destination import SentinelDestination
from consumer.metrics import ConsumerMetrics
from consumer.offsets.backup import OffsetBackup, read_offset_backup
from consumer.status_reporter import RunningPipeline
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.consumer_group import Member
from relay.kafka.log_reader import records_at
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics
from relay.schema_registry.store import SchemaStore

# What is fetched is compressed, and may become a thousand times as much; so little of it is unpacked at a time.
FETCH_OPTIONS = {"max_partition_fetch_bytes": 262_144, "fetch_max_bytes": 8_388_608}
MAX_POLL_RECORDS = 256


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
