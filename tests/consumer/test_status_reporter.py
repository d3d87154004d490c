import time
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from consumer.delivery.circuit_breaker import Gate, Throttle
from consumer.delivery.sender import Outlet
from consumer.destinations.outcome import Retry
from consumer.metrics import Metrics
from consumer.status_reporter import Flow, Report, status_key
from relay.kafka import TopicPartition
from relay.status.writer import StatusWriter
from relay.telemetry.health import Health

METRICS = Metrics(CollectorRegistry())


class Forwarder:
    ready = True

    def __init__(self, topic):
        self.partitions = [TopicPartition(topic, 0)]

    def oldest_seconds(self):
        return 0.0

    async def standing(self, partitions):
        return dict.fromkeys(partitions, (0, 0))


class NoStatusHistory:
    async def latest(self, _key):
        return None


def flow(kind):
    metrics = METRICS.of("sentinel", kind)
    outlet = Outlet(None, Gate(Throttle()), None, metrics)
    member, schemas = SimpleNamespace(valid=True), SimpleNamespace(trouble=None)
    return Flow(kind, member, Forwarder(kind), outlet, schemas, metrics)


@pytest.mark.parametrize("throttled", [0, 1], ids=["live", "history"])
async def test_until_when_it_waits_is_told_whichever_flow_it_is(throttled):
    flows = [flow("live"), flow("history")]
    board = StatusWriter(None, "status")
    report = Report("sentinel", flows, 1, "earliest", board, NoStatusHistory(), METRICS, Health())
    gate = flows[throttled].outlet.gate
    gate.leave(await gate.enter(), Retry("busy", 429, after=600))
    await report.tell()
    told = board.last_put(status_key("sentinel"))
    assert told.state == "waiting"
    assert told.waiting_until > (time.time() + 590) * 1000
