"""Consumers between a real Kafka and simulated Azure."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import Kinds
from consumer.timing import ConsumerTiming
from embedded.kafka import EmbeddedKafka
from management.settings import Settings
from relay.avro.codec import Encoder, fingerprint
from relay.config.kafka import KafkaConfig
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import log_bounds, partitions_of, read_to_end, stable_bounds, standalone_consumer
from relay.kafka.producer import ProducerRecord
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics, partition_of
from relay.kafka.transactions import TransactionalProducer
from relay.status.model import Status
from relay.status.reader import read_statuses
from relay.telemetry.traces.tracer import NOT_TRACED, Tracer
from simulators.azure.world import HISTORY, LIVE, AzureWorld
from tests.support.kafka_cluster import KafkaCluster
from tests.support.messages import AUDIT_EVENT, event
from tests.support.running_consumer import CONSUMER_PROGRAM, RunningConsumer

EventRecord = dict[str, Any]

SHARDS = 3
FRAMED_ENCODER = Encoder(AUDIT_EVENT, fingerprint(AUDIT_EVENT))


class PipelineWorld:
    """Topics of a test, a producer of events, and the consumers that the test starts."""

    def __init__(self, azure: AzureWorld, connection: Connection) -> None:
        self.azure = azure
        self.connection = connection
        self.topics = Topics(connection.kafka.topic_prefix)
        self.published: list[EventRecord] = []
        self._publisher: TransactionalProducer | None = None

    async def publish(
        self,
        events: Sequence[EventRecord],
        topic: str | None = None,
        size: int = 100,
        partitions: int = SHARDS,
    ) -> None:
        """Publish events in transactions of `size`, so that offsets have gaps."""
        if self._publisher is None:
            self._publisher = await TransactionalProducer.open(self.connection, f"{self.topics.prefix}.test")
        for start in range(0, len(events), size):
            await self._publisher.publish(
                [
                    to_record(each, topic or self.topics.events, partitions)
                    for each in events[start : start + size]
                ]
            )
        if topic is None:
            self.published += events

    async def publish_bytes(
        self,
        value: bytes | None,
        key: bytes = b"acme.atlassian.net",
        topic: str | None = None,
        timestamp: int | None = None,
    ) -> tuple[int, int]:
        """Publish a record of any bytes; return its partition and offset."""
        if self._publisher is None:
            self._publisher = await TransactionalProducer.open(self.connection, f"{self.topics.prefix}.test")
        topic = topic or self.topics.events
        partition = partition_of(key.decode(), SHARDS)
        (offset,) = await self._publisher.publish([ProducerRecord(topic, partition, key, value, timestamp)])
        return partition, offset

    async def publish_garbage(self, count: int) -> None:
        """Publish `count` unreadable records on partition 0."""
        publisher = await TransactionalProducer.open(self.connection, f"{self.topics.prefix}.flood")
        await publisher.publish(
            [ProducerRecord(self.topics.events, 0, b"x", b"garbage %d" % n) for n in range(count)]
        )
        await publisher.discard()

    async def close(self) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            await publisher.discard()

    def settings(self, **consumer: Any) -> Settings:
        return Settings.model_validate(
            {
                "kafka": self.connection.kafka,
                "consumer": {"linger_seconds": 0.1, "start": "earliest", **consumer},
                "destinations": {
                    "sentinel": {
                        "endpoint": self.azure.endpoint,
                        "rule_id": self.azure.rule_id,
                        "credential": "managed-identity",
                    }
                },
            }
        )

    @asynccontextmanager
    async def consuming(
        self,
        *,
        timing: ConsumerTiming | None = None,
        kinds: Kinds = DESTINATIONS,
        tracer: Tracer = NOT_TRACED,
        **consumer: Any,
    ) -> AsyncIterator[RunningConsumer]:
        """Run a consumer in this process; stop it at the end of the block, as SIGTERM does."""
        running = RunningConsumer(self.settings(**consumer), self.connection, timing, kinds, tracer)
        try:
            yield running
        finally:
            await running.stop()

    async def start_process(self) -> asyncio.subprocess.Process:
        """Start a consumer as a process, which runs until it is killed."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", CONSUMER_PROGRAM, self.settings().model_dump_json(), cwd=Path.cwd()
        )

    async def wait_for_events(
        self, count: int | None = None, table: str = LIVE, seconds: float = 90.0
    ) -> None:
        """Wait until `count` different events have arrived, or all published ones for None."""
        wanted = len(self.published) if count is None else count
        stored = self.azure.table(table).uid_counts
        await self.azure.wait_until(lambda: len(stored) >= wanted, seconds)

    async def records(self, topic: str) -> list[Record]:
        """Return every record of a topic."""
        found: list[Record] = []
        async with standalone_consumer(self.connection) as consumer:
            partitions = [TopicPartition(topic, each) for each in await partitions_of(consumer, topic)]
            extents = await stable_bounds(consumer, partitions)
            await read_to_end(
                consumer,
                {each: extents[each].log_start_offset for each in partitions},
                {each: extents[each].last_stable_offset for each in partitions},
                found.append,
            )
        return found

    async def dead_letters(self) -> list[tuple[bytes | None, dict[str, str]]]:
        """Return value and relay headers of each dead letter."""
        return [
            (each.value, {name: text.decode() for name, text in each.headers if name.startswith("relay.")})
            for each in await self.records(self.topics.dead_letters)
        ]


@asynccontextmanager
async def pipeline_world(
    kafka: EmbeddedKafka | KafkaCluster,
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    shards: int = SHARDS,
    session: float = 6,
    copies: int = 1,
    **options: Any,
) -> AsyncIterator[PipelineWorld]:
    """`copies`: of each topic, on as many nodes."""
    settings = KafkaConfig(
        bootstrap=kafka.bootstrap,
        topic_prefix=prefix,
        replication_factor=copies,
        shards=shards,
        group_session_timeout_seconds=session,
    )
    async with AzureWorld(**options) as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        connection = Connection(settings)
        await create_missing_topics(connection)
        world = PipelineWorld(azure, connection)
        try:
            yield world
        finally:
            await world.close()


async def committed_and_ends(
    world: PipelineWorld, topic: str | None = None, group: str = "sentinel"
) -> tuple[dict[TopicPartition, int | None], dict[TopicPartition, int]]:
    """Return the committed offsets of the group, and the ends of the topic."""
    topic = topic or world.topics.events
    partitions = [TopicPartition(topic, number) for number in range(SHARDS)]
    name = f"{world.topics.prefix}.{group}"
    async with standalone_consumer(world.connection, group_id=name) as consumer:
        found = {each: await consumer.committed(each) for each in partitions}
        extents = await log_bounds(consumer, partitions)
    return found, {each: extents[each].last_stable_offset for each in partitions}


async def wait_for_status(world: PipelineWorld, condition: Callable[[Status], bool]) -> Status:
    """Wait until the status of the destination fulfils a condition; return it."""
    async with asyncio.timeout(90):
        while True:
            status = (await read_statuses(world.connection, world.topics.status)).get("destination/sentinel")
            if status is not None and condition(status):
                return status
            await asyncio.sleep(0.2)


def to_record(event: EventRecord, topic: str, partitions: int) -> ProducerRecord:
    key = event["organization"]
    return ProducerRecord(
        topic, partition_of(key, partitions), key.encode(), FRAMED_ENCODER.encode(event), event["collected"]
    )


def some_events(count: int, organizations: int = 5, first: int = 0, **fields: Any) -> list[EventRecord]:
    """Return events of several organizations, in the order of their times."""
    return [
        event(number, organization=f"org{number % organizations}.atlassian.net", **fields)
        for number in range(first, first + count)
    ]


def uid(event: EventRecord) -> str:
    return f"{event['organization']}/{event['id']}"


def uids(azure: AzureWorld, table: str = LIVE) -> list[str]:
    return sorted(row["EventUid"] for row in azure.rows(table))


async def wait_until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until a condition is true. Raises TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


__all__ = [
    "HISTORY",
    "LIVE",
    "SHARDS",
    "PipelineWorld",
    "pipeline_world",
    "some_events",
    "uid",
    "uids",
    "wait_until",
]
