"""The consumer: everything of it wired together."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry

from consumer.config import ConsumerConfig
from consumer.destinations.sentinel.config import SentinelConfig
from consumer.metrics import ConsumerMetrics
from consumer.pipelines import PipelineFactory
from consumer.status_reporter import RunningPipeline, StatusReporter
from relay.aio import cancel_all, run_unless_stopped, supervise
from relay.config.schema_registry import SchemaRegistryConfig
from relay.kafka.connection import Connection
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import read_shard_count
from relay.kafka.topics import Topics
from relay.schema_registry.store import open_schema_store
from relay.status.model import service_key, take_over
from relay.status.reader import StatusHistory
from relay.status.writer import StatusWriter
from relay.telemetry.health import Health
from relay.timestamps import now_ms

STOP_SECONDS = 15.0
SERVICE_VALID_MS = 60_000
HEARTBEAT_SECONDS = 15.0


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


async def _heartbeat(status_writer: StatusWriter, names: Iterable[str]) -> None:
    """That this process lives, and what it serves."""
    status = take_over("active", now_ms(), reason=f"destinations {', '.join(names)}")
    while True:
        status = status.transition("active", status.reason, now_ms()).valid_for(SERVICE_VALID_MS)
        status_writer.put(service_key("consume"), status)
        await asyncio.sleep(HEARTBEAT_SECONDS)
