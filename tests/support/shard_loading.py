"""A shard that a test loads, publishes to, corrupts and loads again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from prometheus_client import CollectorRegistry

from embedded import EmbeddedKafka
from producer.events import Event
from producer.metrics import ProducerMetrics
from producer.publishing.publisher import ShardPublisher
from producer.publishing.topic_limits import TopicLimitsWatcher
from producer.publishing.transaction import PendingRecords
from producer.recovery.loader import ShardLoader
from producer.sources.jira_cloud.mapping import restore_json, to_event
from producer.state.checkpoint import Checkpoint, new_checkpoint
from producer.state.intervals import TimeRange
from relay.avro.codec import InternalCodec
from relay.config.schema_registry import SchemaRegistryConfig
from relay.kafka import KafkaError, Record, TopicPartition
from relay.kafka.log_reader import read_to_end, stable_bounds, standalone_consumer
from relay.kafka.producer import ProducerRecord
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topic_facts import TopicLimits
from relay.kafka.topics import Topics
from relay.schema_registry.store import open_schema_store
from relay.timestamps import to_iso
from tests.support.kafka import connection_to

NOW = 1_790_000_000_000
ORGANIZATIONS = ("acme", "globex")


@asynccontextmanager
async def open_shard_loader(kafka: EmbeddedKafka, prefix: str, directory: Path) -> AsyncIterator[ShardLoader]:
    """Create the topics of one shard, and yield its loader, whose time is NOW."""
    connection = connection_to(kafka, prefix, shards=1)
    await create_missing_topics(connection)
    async with open_schema_store(SchemaRegistryConfig(cache_directory=directory), connection) as store:
        limits = TopicLimitsWatcher(connection, TopicLimits(), check_seconds=3600)
        metrics = ProducerMetrics(CollectorRegistry())
        yield ShardLoader(connection, Topics(prefix), store, limits, metrics, lambda: NOW)


def records(name: str, *numbers: int, created: int = NOW - 1_000) -> list[Event]:
    return [_event(name, number, created - number) for number in numbers]


def _event(name: str, number: int, created: int) -> Event:
    event = to_event({"id": number, "created": to_iso(created), "summary": "s"}, name)
    assert isinstance(event, dict)
    return event


def pending_records(events: Iterable[Event], backfill_from: int | None = None) -> PendingRecords:
    return PendingRecords(
        list(events), [], TimeRange(NOW - 10_000, NOW + 1), 900_000, backfill_from, restore_json
    )


def unchanged(checkpoint: Checkpoint) -> Checkpoint:
    return checkpoint


async def load_with_checkpoints(shard_loader: ShardLoader) -> ShardPublisher:
    publisher = await shard_loader.load(0)
    for name in ORGANIZATIONS:
        if publisher.checkpoint(name) is None:
            first = new_checkpoint(name, NOW - 5_000, now=NOW)
            await publisher.write_checkpoint(name, partial(_given, first))
    return publisher


def _given(checkpoint: Checkpoint, _before: Checkpoint | None) -> Checkpoint:
    return checkpoint


async def ids(shard_loader: ShardLoader, topic: str) -> list[tuple[str, int]]:
    found: list[Record] = []
    tp = TopicPartition(topic, 0)
    async with standalone_consumer(shard_loader.connection) as reader:
        span = (await stable_bounds(reader, [tp]))[tp]
        await read_to_end(reader, {tp: span.log_start_offset}, {tp: span.last_stable_offset}, found.append)
    codec = InternalCodec("audit_event")
    return [((record.key or b"").decode(), codec.decode(record.value or b"")["id"]) for record in found]


async def recreate_topic(shard_loader: ShardLoader, topic: str) -> None:
    """Delete and create a topic, as an operator does after a disk has failed."""
    admin = AIOKafkaAdminClient(**shard_loader.connection.options())
    await admin.start()
    try:
        await admin.delete_topics([topic])
        async with asyncio.timeout(60):
            while not await _created(admin, topic):
                await asyncio.sleep(0.1)
            while [one["error_code"] for one in await admin.describe_topics([topic])] != [0]:
                await asyncio.sleep(0.1)
    finally:
        await admin.close()


async def _created(admin: AIOKafkaAdminClient, topic: str) -> bool:
    """Return whether the broker has created the topic: it refuses to until the deletion is complete."""
    with contextlib.suppress(KafkaError):
        made = await admin.create_topics([NewTopic(topic, 1, 1)])
        return not made.topic_errors[0][1]
    return False


async def delete_all(shard_loader: ShardLoader, topic: str) -> None:
    """Delete all records of a topic, as retention does."""
    tp = TopicPartition(topic, 0)
    async with standalone_consumer(shard_loader.connection) as reader:
        end = (await stable_bounds(reader, [tp]))[tp].last_stable_offset
    admin = AIOKafkaAdminClient(**shard_loader.connection.options())
    await admin.start()
    try:
        await admin.delete_records({tp: RecordsToDelete(before_offset=end)})
    finally:
        await admin.close()


def progress_record(
    shard_loader: ShardLoader, key: str, subject: str, record: dict[str, Any], at: int = NOW + 60
) -> ProducerRecord:
    return ProducerRecord(
        shard_loader.topics.progress, 0, key.encode(), InternalCodec(subject).encode(record), at
    )
