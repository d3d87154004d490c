"""Metrics of a relay that is well, and of one with every kind of trouble, as its processes serve them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from prometheus_client import CollectorRegistry, Gauge

from consumer.destinations.outcome import Sent
from consumer.metrics import ConsumerMetrics, PipelineMetrics
from management.completeness import metrics as proof
from producer.metrics import ProducerMetrics
from relay.kafka import TopicPartition
from relay.status.model import Silence, take_over
from relay.telemetry.certificates import CERTIFICATE_EXPIRY
from relay.telemetry.health import Health
from relay.telemetry.metrics import MetricSet, open_registry
from relay.telemetry.server import serve
from relay.telemetry.traces import metrics as traces
from relay.timestamps import DAY_MS, now_ms
from tests.support.dead_letters import StoredRecord

HOUR = 3_600
RECORD = StoredRecord(0, 7, topic="events")


def _certificates(registry: CollectorRegistry, days: dict[str, int]) -> None:
    """Set in how many days the certificate of each setting ends."""
    expiry = Gauge(*CERTIFICATE_EXPIRY, ["setting"], registry=registry)
    for setting, left in days.items():
        expiry.labels(setting).set(now_ms() / 1000 + left * 86_400)


@asynccontextmanager
async def serve_metrics(registry: CollectorRegistry) -> AsyncIterator[str]:
    """Serve a registry as a process of the relay does. Yields host and port."""
    async with serve("127.0.0.1:0", Health(), registry) as url:
        yield url.removeprefix("http://")


def _organization(metrics: ProducerMetrics, name: str, at: int, expires: int) -> None:
    """Begin an organization whose last round, newest event and completeness were at an instant (ms UTC)."""
    status = replace(take_over("active", at), last_poll=at, last_event=at, complete_up_to=at)
    metrics.organization_started(name, HOUR, at, status)
    metrics.organization_state(name, "active", expires)
    metrics.unread_ranges(name, 0.0)
    metrics.events_published(name, "live", 3, at)
    for mode in ("live", "late"):
        metrics.event_latency(mode, 4.0)


def _silence(metrics: ProducerMetrics, name: str, word: str, probability: float) -> None:
    """Judge the silence of an organization."""
    now = now_ms()
    metrics.silence.current(name, Silence(now - DAY_MS, now, word, probability))


def _days(registry: CollectorRegistry, states: dict[str, str], round_state: str, last_round: float) -> None:
    """Set the state of the days of each organization, and when the last round ended (seconds UTC)."""
    metrics = MetricSet(proof.CATALOGUE, registry)
    for name, state in states.items():
        metrics.set_state(proof.ORGANIZATION_STATE, state, organization=name)
        metrics[proof.SEAL_OVERDUE].labels(name).set(0 if state == "complete" else 200_000)
    metrics.set_state(proof.ROUND_STATE, round_state)
    metrics[proof.LAST_ROUND].set(last_round)
    metrics[proof.ROUND_DURATION].set(40.0)


def _flow(consumer: ConsumerMetrics, destination: str, flow: str) -> PipelineMetrics:
    """Begin a flow that delivers."""
    metrics, now = consumer.for_pipeline(destination, flow), now_ms()
    metrics.request_ended(Sent(), rows=3, raw_bytes=900, wire_bytes=300, seconds=0.2)
    metrics.body_delivered(now, now - 2_000, now - 1_000, now - 9_000)
    metrics.gauges.set_state("active", 0.5)
    metrics.gauges.set_membership("confirmed", None)
    metrics.gauges.set_retention_used(0.0)
    metrics.gauges.set_group_lag(2)
    return metrics


def healthy_relay() -> CollectorRegistry:
    """Return the metrics of one process with an organization and a destination, both well."""
    registry, now = open_registry("1.0.0", "abc"), now_ms()
    producer, consumer = ProducerMetrics(registry), ConsumerMetrics(registry)
    for service in (producer, consumer):
        service.kafka_partitions({"under_replicated": 0, "under_min_isr": 0, "offline": 0})
    producer.set_shards(12, {"open": 12, "closed": 0, "opening": 0}, member=True)
    _organization(producer, "acme", now, now + 400 * DAY_MS)
    for flow in ("live", "history", "replay"):
        _flow(consumer, "siem", flow)
    consumer.set_replays("siem", {"running": 1})
    _certificates(registry, {"kafka.certificate_file": 300})
    _silence(producer, "acme", "quiet", 0.4)
    _days(registry, {"acme": "complete"}, "complete", now / 1000)
    MetricSet(traces.CATALOGUE, registry)
    return registry


def troubled_relay() -> CollectorRegistry:
    """Return the metrics of one process in which everything is wrong that one scrape can show."""
    registry, now = open_registry("1.0.0", "abc"), now_ms()
    producer, consumer = ProducerMetrics(registry), ConsumerMetrics(registry)
    producer.kafka_partitions({"under_replicated": 4, "under_min_isr": 2, "offline": 1})
    producer.set_shards(12, {"open": 9, "closed": 1, "opening": 1}, member=False)
    troubles = (
        ("acme", "key-refused", -1),
        ("globex", "unreachable", 6 * DAY_MS),
        ("initech", "unreachable", 20 * DAY_MS),
    )
    for name, kind, left in troubles:
        _organization(producer, name, now - 8 * DAY_MS, now + left)
        producer.organization_state(name, "failing", now + left)
        producer.failing_since(name, kind, now - DAY_MS)
        producer.round_failed(name, kind, "It fails.", 30.0)
    producer.round_failed("acme", "defect", "A defect.", 30.0)
    producer.unread_ranges("acme", 0.001)
    producer.dead_lettered("acme", "It is not a record.")
    producer.ids_reused("acme", [1], first=False)
    _silence(producer, "globex", "silent", 0.0001)
    _days(registry, {"acme": "differing", "globex": "unproven"}, "partial", now / 1000 - 3 * HOUR)
    _trouble_destinations(consumer, now)
    _certificates(registry, {"kafka.certificate_file": 0, "kafka.ca_file": 9})
    return registry


def _trouble_destinations(consumer: ConsumerMetrics, now: int) -> None:
    """Pause, hold up and lose: each flow has a trouble of its own."""
    live, history = (consumer.for_pipeline("siem", flow) for flow in ("live", "history"))
    live.gauges.set_state("waiting", 20 * 86_400.0, 2.0 * HOUR)
    live.gauges.set_membership("unconfirmed", None)
    live.gauges.set_group_lag(50_000)
    live.gauges.set_retention_used(20 / 30)
    history.gauges.set_state("paused", None)
    live.dead_lettered(RECORD, "rejected", "It is too long.")
    live.offsets_lost(TopicPartition("events", 0), 5, 9, 4)
    paused = _flow(consumer, "archive", "live")
    paused.gauges.set_state("paused", None)
    paused.gauges.set_membership("left", now - 2 * DAY_MS)
    consumer.set_replays("siem", {"paused": 2})
