"""The consumer service: wiring and supervision."""

import asyncio
import os
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack

import structlog
from prometheus_client import CollectorRegistry

from consumer.config import ConsumerConfig
from consumer.delivery_history import DeliveryHistory
from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import DestinationConfig, Kinds
from consumer.heartbeat import ServedDestination, heartbeat
from consumer.last_backup import back_up_left_groups, log_missing_backup
from consumer.metrics import ConsumerMetrics
from consumer.pipeline_builder import SharedParts
from consumer.pipeline_factory import PipelineFactory
from consumer.status_reporter import DestinationStatusReporter
from consumer.timing import ConsumerServiceTiming, ConsumerTiming
from consumer.topic_settings import TopicSettings
from relay.aio import cancel_all, run_unless_stopped, supervise
from relay.config.schema_registry import SchemaRegistryConfig
from relay.kafka.connection import Connection
from relay.kafka.copy_report import CopyReport
from relay.kafka.join_trouble import joining_text
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import read_topic_facts
from relay.kafka.topic_facts import shard_count
from relay.kafka.topics import Topics
from relay.schema_registry.store import open_schema_store
from relay.status.model import service_key
from relay.status.reader import StatusCache
from relay.status.writer import StatusWriter
from relay.telemetry.health import Health
from relay.telemetry.traces.tracer import NOT_TRACED, Tracer
from relay.timestamps import now_ms

log = structlog.get_logger(__name__)


async def run_consumer(
    config: ConsumerConfig,
    destinations: Mapping[str, DestinationConfig],
    schema_registry: SchemaRegistryConfig,
    connection: Connection,
    stop: asyncio.Event,
    registry: CollectorRegistry,
    health: Health,
    kinds: Kinds = DESTINATIONS,
    timing: ConsumerTiming | None = None,
    *,
    archives: Mapping[str, DestinationConfig] | None = None,
    tracer: Tracer = NOT_TRACED,
) -> None:
    """Deliver events to these destinations, live and history apart, until `stop`.

    `archives`: the destinations whose objects a replay may read, served here or not; None: those that are served.

    A stop ends reading, finishes deliveries within `timing.service.stop_seconds`, and commits offsets. Raises RelayError when
    Kafka is unreachable at the start or lacks the relay's topics, and for a destination whose settings cannot work.
    """
    timing = timing or ConsumerTiming()
    _announce(destinations, connection, health)
    topics = Topics(connection.kafka.topic_prefix)
    facts = await run_unless_stopped(stop, read_topic_facts(connection))
    if facts is None:
        return
    shards = shard_count(facts, topics)
    metrics = ConsumerMetrics(registry, tracer=tracer)
    topic_settings = TopicSettings(
        connection, facts, timing.service.topic_check_seconds, CopyReport(metrics.kafka_partitions)
    )
    started = now_ms()
    async with AsyncExitStack() as stack:
        shared = await _open_shared(
            stack,
            connection,
            schema_registry,
            topics,
            topic_settings,
            archives or destinations,
            metrics,
            timing,
        )
        status_writer = StatusWriter(shared.writer, topics.status)
        factory = PipelineFactory(config, destinations, shared, kinds)
        served = await _open_destinations(
            destinations, factory, shared, status_writer, shards, health, stack, started
        )
        background = _background(status_writer, served, topic_settings, timing.service, started)
        if await _serve(served, background, stop, status_writer, timing.service):
            status_cache = StatusCache(connection, topics.status)
            await _back_up_offsets(served, status_cache, status_writer, timing)
        else:
            for each in served:
                log_missing_backup(each.name, "Kafka did not answer")


def _announce(destinations: Mapping[str, DestinationConfig], connection: Connection, health: Health) -> None:
    """Make the process not ready until each destination has joined its groups."""
    for name in destinations:
        health.report(f"destination {name}", ok=False, reason=joining_text(connection.bootstrap))
    health.count("destination", len(destinations))


async def _open_shared(
    stack: AsyncExitStack,
    connection: Connection,
    schema_registry: SchemaRegistryConfig,
    topics: Topics,
    topic_settings: TopicSettings,
    archives: Mapping[str, DestinationConfig],
    metrics: ConsumerMetrics,
    timing: ConsumerTiming,
) -> SharedParts:
    """Open the parts that all pipelines share. `stack` closes them."""
    store = await stack.enter_async_context(open_schema_store(schema_registry, connection))
    writer = await stack.enter_async_context(RecordWriter(connection))
    workers = ThreadPoolExecutor(_worker_count(), thread_name_prefix="events")
    stack.callback(workers.shutdown, wait=False, cancel_futures=True)
    return SharedParts(connection, topics, store, writer, workers, topic_settings, archives, metrics, timing)


def _worker_count() -> int:
    """Return the number of threads that decode events and build bodies: one a core, from 2 to 4.

    The interpreter's lock keeps more of them waiting, and each keeps some megabytes that it has freed, as malloc does.
    """
    return min(max(2, os.cpu_count() or 2), 4)


async def _open_destinations(
    names: Iterable[str],
    factory: PipelineFactory,
    shared: SharedParts,
    status_writer: StatusWriter,
    shards: int,
    health: Health,
    stack: AsyncExitStack,
    started: int,
) -> list[ServedDestination]:
    """Open each destination, and wire its pipelines and its report. `stack` closes them. `started`: the start of the process.

    Raises RelayError for a destination whose settings cannot work.
    """
    timing = shared.timing
    status_cache = StatusCache(shared.connection, shared.topics.status)
    served = []
    for name in names:
        running = await factory.build(name, stack)
        reporter = DestinationStatusReporter(
            name,
            running,
            shards,
            factory.start_text(name),
            status_writer,
            status_cache,
            shared.metrics,
            health,
            timing.reporter,
        )
        valid_ms = timing.service.heartbeat_valid_ms
        history = DeliveryHistory(name, running.pipelines, status_writer, started, valid_ms)
        served.append(ServedDestination(name, running, reporter, history))
    return served


def _background(
    status_writer: StatusWriter,
    served: Sequence[ServedDestination],
    topic_settings: TopicSettings,
    timing: ConsumerServiceTiming,
    started: int,
) -> Mapping[str, Coroutine[None, None, None]]:
    """Return the work beside the destinations, by the names of its tasks. None of it ends by itself."""
    return {
        "status writer": status_writer.run(),
        "heartbeat of the consumer": heartbeat(status_writer, served, topic_settings, timing, started),
        "watch of topic settings": topic_settings.watch(),
    }


async def _write_final_status(
    served: Sequence[ServedDestination], status_writer: StatusWriter, seconds: float
) -> bool:
    """Delete the status of this process, end the validity of those of its destinations, and write what it delivered last.

    Return whether Kafka took it.
    """
    await asyncio.gather(*(each.reporter.stop() for each in served))
    for each in served:
        each.history.record(None, now_ms())
    status_writer.tombstone(service_key("consume"))
    return await _flush(status_writer, seconds)


async def _flush(status_writer: StatusWriter, seconds: float) -> bool:
    """Write the statuses that wait, and return whether Kafka took them. One that is away for `seconds` does not hold up the stop."""
    try:
        async with asyncio.timeout(seconds):
            await status_writer.flush()
    except TimeoutError:
        log.warning("The last status was not written: Kafka did not answer. It ends by its validity.")
        return False
    return True


async def _back_up_offsets(
    served: Sequence[ServedDestination],
    status_cache: StatusCache,
    status_writer: StatusWriter,
    timing: ConsumerTiming,
) -> None:
    """Back up the offsets of the groups that have no member any more: no other process does."""
    seconds = timing.reporter.stop_seconds
    backups = (
        back_up_left_groups(each.name, each.running, status_cache, status_writer, seconds) for each in served
    )
    if any(await asyncio.gather(*backups)):  # a Kafka that is away costs a stop no second flush
        await _flush(status_writer, seconds)


async def _serve(
    served: Sequence[ServedDestination],
    background: Mapping[str, Coroutine[None, None, None]],
    stop: asyncio.Event,
    status_writer: StatusWriter,
    timing: ConsumerServiceTiming,
) -> bool:
    """Run every destination and its report until `stop`; then finish deliveries, write the last status, and leave the groups.

    Return whether Kafka took the last status: one that is away costs a stop no further waits.
    The status is written first: the last member of a group backs up its offsets, and no earlier status may replace them.
    """
    tasks = {asyncio.create_task(work, name=name) for name, work in background.items()}
    tasks |= {
        asyncio.create_task(each.reporter.run(), name="status reporter of a destination") for each in served
    }
    tasks |= {
        asyncio.create_task(work(), name="lost ranges of a destination")
        for each in served
        for work in each.running.loss_work
    }
    members = {
        asyncio.create_task(work(), name="memberships of a destination")
        for each in served
        for work in each.running.memberships
    }
    written = False
    try:
        await supervise(stop, tasks | members)
    finally:
        handlers = [pipeline.handler for each in served for pipeline in each.running.pipelines]
        stops = [handler.stop for handler in handlers]
        stops += [each.running.replays.stop for each in served if each.running.replays is not None]
        await asyncio.gather(*(stop_work(timing.stop_seconds) for stop_work in stops))
        await cancel_all(tasks, attempts=1, seconds=10)
        if stop.is_set():
            written = await _write_final_status(served, status_writer, timing.flush_seconds)
        await cancel_all(members, attempts=1, seconds=10)
    return written
