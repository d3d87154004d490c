"""The producer service: wiring, supervision, readiness and the process's status."""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from producer.config import ProducerConfig
from producer.metrics import ProducerMetrics
from producer.organization_pollers import PollerFactory
from producer.polling.letters import LetterRedriver
from producer.publishing.schema_watch import watch_event_schema
from producer.publishing.topic_limits import TopicLimitsWatcher
from producer.publishing.transaction_outcomes import TransactionOutcomes
from producer.recovery.loader import ShardLoader
from producer.recovery.published_events import EventSearch
from producer.replays.feed import follow_replays, report_sender
from producer.replays.jobs import RefillJobs
from producer.replays.letters import KafkaLetters
from producer.sharding.assignment import ShardAssignment
from producer.sharding.hanging_transactions import watch_hanging_transactions
from producer.sharding.shard import Shard
from producer.sources.catalogue import ProducerSettings, open_sources
from producer.sources.contract import SourceFactory, SourceSetup
from producer.sources.throttle import RequestSlots
from producer.status_reporter import status_key
from relay.aio import cancel_all, run_unless_stopped, supervise
from relay.config.schema_registry import SchemaRegistryConfig
from relay.credentials.resolver import CredentialResolver
from relay.kafka import KAFKA_FAILURES
from relay.kafka.connection import Connection
from relay.kafka.consumer_group import Member
from relay.kafka.copy_report import CopyReport
from relay.kafka.join_trouble import joining_text
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import read_topic_facts
from relay.kafka.topic_facts import TopicFacts, TopicLimits, shard_count
from relay.kafka.topics import Topics
from relay.schema_registry.store import SchemaStore, open_schema_store
from relay.status.model import Status, service_key, take_over
from relay.status.reader import StatusCache, remove_stale
from relay.status.writer import StatusWriter
from relay.telemetry.health import Health
from relay.telemetry.traces.tracer import NOT_TRACED, Tracer
from relay.timestamps import DAY_MS, now_ms


@dataclass(frozen=True, slots=True)
class ProducerServiceTiming:
    """Pauses and bounds of the service."""

    topic_check_seconds: float = 60.0
    """How often the settings of the topics are looked at."""
    status_valid_ms: int = 60_000
    heartbeat_seconds: float = 1.0
    heartbeats_per_status: int = 15
    remove_stale_first_seconds: float = 60.0
    """After the start: a process that is killed each half hour would never come to the next."""
    remove_stale_seconds: float = 3_600.0
    final_status_seconds: float = 3.0
    stop_seconds: float = 15.0


TIMING = ProducerServiceTiming()


async def run_producer(
    config: ProducerSettings,
    schema_registry: SchemaRegistryConfig,
    connection: Connection,
    credentials: CredentialResolver,
    stop: asyncio.Event,
    registry: CollectorRegistry,
    health: Health,
    timing: ProducerServiceTiming = TIMING,
    tracer: Tracer = NOT_TRACED,
) -> None:
    """Poll every organization of the shards that the group assigns to this process, until `stop`.

    Raises RelayError if Kafka cannot be reached at the start, or lacks the relay's topics.
    """
    health.report("producer", ok=False, reason=joining_text(connection.bootstrap))
    topics = Topics(connection.kafka.topic_prefix)
    metrics = ProducerMetrics(registry)
    slots = RequestSlots(on_request_ended=metrics.request_ended)
    async with (
        open_schema_store(schema_registry, connection) as store,
        RecordWriter(connection) as writer,
        open_sources(SourceSetup(config, credentials, now_ms, slots)) as sources,
    ):
        facts = await run_unless_stopped(stop, _read_topic_facts(connection, store))
        if facts is None:
            return
        count = shard_count(facts, topics)
        limits = TopicLimitsWatcher(
            connection,
            TopicLimits(),
            timing.topic_check_seconds,
            reread_ms=config.late_days * DAY_MS,
            copies=CopyReport(metrics.kafka_partitions),
        )
        limits.update(facts)
        loader = ShardLoader(connection, topics, store, limits, metrics, now_ms)
        parts = _build_parts(config, connection, sources, writer, loader, count, tracer)
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
    jobs: Sequence[RefillJobs]
    metrics: ProducerMetrics
    shard_count: int
    """Of the relay; this process has a part of them."""


def _build_parts(
    config: ProducerConfig,
    connection: Connection,
    sources: SourceFactory,
    writer: RecordWriter,
    loader: ShardLoader,
    count: int,
    tracer: Tracer,
) -> _Parts:
    """Wire membership, shards and pollers. A status waits while the membership is in doubt."""
    topics = loader.topics
    status_writer = StatusWriter(writer, topics.status, lambda: member.valid)
    send = report_sender(writer, topics.replays)
    refills, redrives = RefillJobs(send), RefillJobs(send, content="unreadable")
    search = EventSearch(connection, topics, loader.store)
    redriver = LetterRedriver(redrives, KafkaLetters(connection), search.find)
    pollers = PollerFactory(
        config,
        sources,
        status_writer,
        StatusCache(connection, topics.status),
        loader.metrics,
        refills,
        redriver,
        tracer,
    )

    def open_shard(number: int) -> Shard:
        outcomes = TransactionOutcomes()
        return Shard(
            number,
            member,
            lambda partition: loader.load(partition, outcomes),
            pollers,
            closed_reason=lambda: loader.topic_limits.problem,
        )

    assignment = ShardAssignment(count, open_shard, fencing=connection.profile.transactions)
    member = Member(connection, f"{topics.prefix}.producer", topics.organizations, assignment)
    jobs = (refills, redrives)
    return _Parts(member, assignment, status_writer, jobs, loader.metrics, count)


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
        "watch of topic settings": limits.watch(),
        "watch of the schema of events": watch_event_schema(store, health),
        "status writer": status_writer.run(),
        "feed of replays": follow_replays(connection, topics.replays, parts.jobs),
        "heartbeat": _heartbeat(parts, limits, health, timing),
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


async def _read_topic_facts(connection: Connection, store: SchemaStore) -> TopicFacts:
    """Read what Kafka reports about the topics, and find the schema of events. Raises RelayError."""
    facts = await read_topic_facts(connection)
    shard_count(facts, Topics(connection.kafka.topic_prefix))
    await store.event_encoder()
    return facts


async def _heartbeat(
    parts: _Parts, limits: TopicLimitsWatcher, health: Health, timing: ProducerServiceTiming
) -> None:
    """Report whether this process is ready: at once at /readyz, now and then on the status topic."""
    status = take_over("starting", now_ms())
    assignment, member, heartbeats = parts.assignment, parts.member, 0
    while True:
        ready = assignment.ready and member.valid
        reason = (
            assignment.problem
            or member.trouble
            or (
                "some shards are not loaded; see the log for the reason"
                if assignment.ready or assignment.numbers
                else "not a member of the consumer group; see the log for the reason"
            )
        )
        parts.metrics.set_shards(parts.shard_count, assignment.shards_by_state, member=member.valid)
        health.count("organization", assignment.organization_count)
        health.report("producer", ok=ready, reason=reason.rstrip("."))
        state = "active" if ready else "opening shards"
        if state != status.state or heartbeats % timing.heartbeats_per_status == 0:
            owned = f"shards {', '.join(map(str, assignment.numbers)) or 'none'}"
            text = "; ".join(
                filter(None, (owned, None if ready else reason, limits.unknown, limits.copies.text))
            )
            status = status.transition(state, text, now_ms()).valid_for(timing.status_valid_ms)
            parts.status_writer.put(service_key("produce"), status)
        heartbeats += 1
        await asyncio.sleep(timing.heartbeat_seconds)


async def _remove_stale_status(
    status_writer: StatusWriter, connection: Connection, topics: Topics, timing: ProducerServiceTiming
) -> None:
    pause = timing.remove_stale_first_seconds
    while True:
        await asyncio.sleep(pause)
        with contextlib.suppress(*KAFKA_FAILURES):
            await remove_stale(status_writer, connection, topics.status, now_ms())
        pause = timing.remove_stale_seconds
