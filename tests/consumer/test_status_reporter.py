import time
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from consumer.delivery.circuit_breaker import CircuitBreaker, RateLimit
from consumer.delivery.sender import StreamState
from consumer.destinations.outcome import Retry
from consumer.metrics import ConsumerMetrics
from consumer.status_reporter import RunningPipeline, StatusReporter, status_key
from relay.kafka import TopicPartition
from relay.status.writer import StatusWriter
from relay.telemetry.health import Health

METRICS = ConsumerMetrics(CollectorRegistry())


class FakeHandler:
    ready = True

    def __init__(self, topic):
        self.partitions = [TopicPartition(topic, 0)]

    def oldest_seconds(self):
        return 0.0

    async def offsets_and_ends(self, partitions):
        return dict.fromkeys(partitions, (0, 0))


class NoStatusHistory:
    async def latest(self, _key):
        return None


def running_pipeline(kind):
    metrics = METRICS.for_pipeline("sentinel", kind)
    stream = StreamState(None, CircuitBreaker(RateLimit()), None, metrics)
    member, schemas = SimpleNamespace(valid=True), SimpleNamespace(trouble=None)
    return RunningPipeline(kind, member, FakeHandler(kind), stream, schemas, metrics)


@pytest.mark.parametrize("throttled", [0, 1], ids=["live", "history"])
async def test_until_when_it_waits_is_told_whichever_flow_it_is(throttled):
    flows = [running_pipeline("live"), running_pipeline("history")]
    board = StatusWriter(None, "status")
    report = StatusReporter("sentinel", flows, 1, "earliest", board, NoStatusHistory(), METRICS, Health())
    gate = flows[throttled].stream.breaker
    gate.release(await gate.acquire(), Retry("busy", 429, after=600))
    await report.publish()
    told = board.last_put(status_key("sentinel"))
    assert told.state == "waiting"
    assert told.waiting_until > (time.time() + 590) * 1000
