"""The OpenTelemetry Collector between the relay and a backend: what it passes on, of the events and of the answers."""

from contextlib import asynccontextmanager

import pytest

from consumer.destinations.outcome import Paused, Reject, Retry, Sent
from embedded.ports import pick_free_port
from simulators import faults
from simulators.otlp.backend import OtlpBackend
from tests.support.messages import event
from tests.support.otlp import body_of, live_flow, twin
from tests.support.real_servers import running

INSTALL = (
    "go install go.opentelemetry.io/collector/cmd/builder@v0.165.0, then `builder --config"
    " tests/consumer/destinations/otlp/collector-builder.yaml`, and put build/otelcol on the PATH"
)
CONFIG = """
receivers:
  otlp:
    protocols:
      http: {{endpoint: "127.0.0.1:{port}"}}
exporters:
  otlphttp:
    endpoint: {backend}
    encoding: {encoding}
    sending_queue: {{enabled: false}}
    retry_on_failure: {{enabled: false}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    logs: {{receivers: [otlp], exporters: [otlphttp]}}
"""


@asynccontextmanager
async def collector(directory, backend, passed_on="json", **settings):
    """The flow to a Collector without a queue, which passes events on to `backend` in an encoding of its own."""
    port = pick_free_port()
    config = directory / "collector.yaml"
    config.write_text(CONFIG.format(port=port, backend=backend.url("live"), encoding=passed_on))
    async with (
        running("otelcol", INSTALL, port, "--config", str(config)),
        live_flow(backend, endpoint=f"http://127.0.0.1:{port}", **settings) as live,
    ):
        yield live


@pytest.fixture(scope="module")
async def collector_flow(tmp_path_factory):
    async with (
        OtlpBackend() as backend,
        collector(tmp_path_factory.mktemp("collector"), backend) as live,
    ):
        yield backend, live


@pytest.mark.parametrize(("encoding", "passed_on"), [("protobuf", "json"), ("json", "proto")])
async def test_every_event_is_passed_on(encoding, passed_on, tmp_path):
    """The Collector reads one encoding, and writes the other: the backend gets each record as the twin has it."""
    events = [event(number, summary=f'Grüße "{number}" 🎈', authorKey="ada") for number in range(1_000)]
    async with (
        OtlpBackend() as backend,
        collector(tmp_path, backend, passed_on, encoding=encoding) as live,
    ):
        assert await live.probe() == Sent()
        assert await live.send(body_of(live, *events)) == Sent()
        resource = {"service.name": "jira-audit-relay", "jira.audit.flow": "live"}
        assert backend.stored("live") == [twin(each) | {"resource": resource} for each in events]


@pytest.mark.parametrize(
    ("status", "outcome", "shown"),
    [
        (400, Reject, 400),
        (401, Paused, 401),
        (404, Paused, 404),
        (413, Paused, 500),
        (429, Retry, 429),
        (500, Paused, 500),
        (503, Retry, 503),
        (504, Retry, 503),
    ],
)
async def test_the_answer_of_a_backend_is_passed_on(status, outcome, shown, collector_flow):
    """A Collector without a queue tells the relay what the backend answered; of a 413 it makes a 500."""
    backend, live = collector_flow
    backend.fault(faults.respond_with(status, b'{"message": "no"}'))
    found = await live.send(body_of(live))
    assert (type(found), found.status) == (outcome, shown)
    assert await live.send(body_of(live)) == Sent()


async def test_a_partial_success_of_a_backend_is_not_passed_on(collector_flow):
    """The page says so: the Collector writes it into its own log, and answers that all is well."""
    backend, live = collector_flow
    backend.drop("acme.atlassian.net/101")
    assert await live.send(body_of(live, event(101), event(102))) == Sent()
    backend.clear_faults()
    assert backend.stored_ids("live")[-1:] == ["acme.atlassian.net/102"]
    assert "acme.atlassian.net/101" not in backend.stored_ids("live")
