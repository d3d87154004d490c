import asyncio
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from relay.config.telemetry import TelemetryConfig
from relay.telemetry.traces.context import new_trace
from relay.telemetry.traces.exporter import ExportTiming
from relay.telemetry.traces.span import Span, SpanKind
from relay.telemetry.traces.wiring import open_traces
from simulators.faults import hang, reset, respond_with
from simulators.otlp.backend import OtlpBackend
from tests.support.pipeline_world import wait_until

QUICK = ExportTiming(
    pause_seconds=0.01, first_backoff_seconds=0.01, flush_seconds=0.3, max_queue=8, max_request=4
)


def record(tracer, count):
    for number in range(count):
        context = new_trace()
        tracer.export(Span(f"poll {number}", SpanKind.INTERNAL, context, None, 1, 2))


class World:
    def __init__(self, backend, registry, traces):
        self.backend, self.registry, self.traces = backend, registry, traces

    def count(self, name, **labels):
        return self.registry.get_sample_value(f"jira_relay_telemetry_{name}_spans_total", labels)

    @property
    def names(self):
        return [each["name"] for each in self.backend.spans]


@asynccontextmanager
async def exporting(running=True, **settings):
    async with OtlpBackend() as backend:
        registry = CollectorRegistry()
        config = TelemetryConfig(traces_endpoint=backend.url("main") + "/v1/traces", **settings)
        async with open_traces(config, registry, "host-1", QUICK) as traces:
            world = World(backend, registry, traces)
            task = asyncio.create_task(traces.exporter.run()) if running else None
            try:
                yield world
            finally:
                if task is not None:
                    task.cancel()


async def test_spans_are_exported_with_the_headers_of_the_settings():
    async with exporting(traces_headers={"Authorization": "Bearer hidden-token"}) as world:
        world.backend.credential = {"Authorization": "Bearer hidden-token"}
        record(world.traces.tracer, 6)
        await wait_until(lambda: world.names == [f"poll {number}" for number in range(6)])
        await wait_until(lambda: world.count("exported") == 6)
        assert world.backend.spans[0]["resource"]["service.instance.id"] == "host-1"
        assert {call.path for call in world.backend.calls} == {"/main/v1/traces"}


async def test_a_fault_that_passes_costs_no_span():
    async with exporting() as world:
        world.backend.fault(respond_with(503), times=1)
        world.backend.fault(reset(), times=1)
        record(world.traces.tracer, 3)
        await wait_until(lambda: world.count("exported") == 3)
        assert world.names[-3:] == ["poll 0", "poll 1", "poll 2"]


async def test_spans_that_the_collector_refuses_are_dropped_counted_and_said_once():
    """One line tells the operator, without the credential; the next spans go on."""
    with capture_logs() as lines:
        async with exporting(traces_headers={"Authorization": "Bearer hidden-token"}) as world:
            world.backend.credential = {"Authorization": "Bearer another"}
            record(world.traces.tracer, 4)
            await wait_until(lambda: world.count("dropped", reason="refused") == 4)
            record(world.traces.tracer, 2)
            await wait_until(lambda: world.count("dropped", reason="refused") == 6)
            world.backend.credential = {}
            record(world.traces.tracer, 1)
            await wait_until(lambda: world.count("exported") == 1)
    warnings = [each["event"] for each in lines if each["log_level"] == "warning"]
    assert len(warnings) == 1
    assert "it answers 401" in warnings[0]
    assert "hidden-token" not in str(lines)


async def test_a_full_queue_drops_and_never_waits():
    """Nobody exports: the ninth span is dropped, and the stop exports the eight."""
    async with exporting(running=False) as world:
        record(world.traces.tracer, 9)
        assert world.count("dropped", reason="queue-full") == 1
        backend = world.backend
    assert len(backend.spans) == 8


async def test_the_stop_ends_though_the_collector_is_silent():
    """What is left is counted as dropped after the bound of the flush."""
    async with exporting(running=False) as world:
        world.backend.fault(hang(), rate=1)
        record(world.traces.tracer, 3)
        async with asyncio.timeout(30):
            await world.traces.exporter.flush()
        assert world.count("dropped", reason="stopped") == 3
        world.backend.clear_faults()


async def test_without_an_endpoint_there_is_nothing():
    async with open_traces(TelemetryConfig(), CollectorRegistry(), "host-1") as traces:
        assert traces.exporter is None
        assert not traces.tracer.enabled


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"traces_endpoint": "http://collector:4318", "traces_headers": {"A": "b"}}, "without encryption"),
        ({"traces_endpoint": "https://collector:4318", "traces_headers": {"A b": "c"}}, "header name"),
        ({"traces_endpoint": "https://collector:4318", "traces_headers": {"Host": "c"}}, "Host"),
        ({"traces_ratio": 1.5}, "traces_ratio"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings, fault):
    with pytest.raises(ValueError, match=fault):
        TelemetryConfig.model_validate(settings)
