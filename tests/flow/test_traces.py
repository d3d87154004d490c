"""Traces from simulated Jira through a real Kafka to simulated Azure, in a simulated collector of OpenTelemetry."""

import asyncio
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from management.events.stored_event import EventAddress, read_event
from relay.config.telemetry import TelemetryConfig
from relay.telemetry.traces.context import context_in
from relay.telemetry.traces.exporter import ExportTiming
from relay.telemetry.traces.wiring import open_traces
from simulators.faults import respond_with
from simulators.jira_cloud.world import JiraWorld
from simulators.otlp.backend import OtlpBackend
from tests.support.pipeline_world import pipeline_world, wait_until
from tests.support.producer_world import ProducerWorld

QUICK = ExportTiming(pause_seconds=0.05)


@asynccontextmanager
async def traced(backend, instance):
    """Record the traces of a process of its own."""
    config = TelemetryConfig(traces_endpoint=backend.url("traces"))
    async with open_traces(config, CollectorRegistry(), instance, QUICK) as traces:
        exporting = asyncio.create_task(traces.exporter.run())
        try:
            yield traces.tracer
        finally:
            exporting.cancel()


async def test_an_event_is_one_trace_from_the_poll_to_the_acceptance(kafka, prefix, tmp_path, monkeypatch):
    """The header of the record names the trace: request to Jira, transaction, and acceptance after a refusal by Azure."""
    async with (
        OtlpBackend() as backend,
        traced(backend, "producer-1") as producing,
        traced(backend, "consumer-1") as consuming,
        pipeline_world(kafka, prefix, monkeypatch, shards=2) as world,
        JiraWorld(seed=3) as jira,
    ):
        producer = ProducerWorld(kafka, prefix, tmp_path)
        site = await jira.add_site("acme")
        await producer.add_organization(site)
        world.azure.fault(respond_with(503), times=1)
        async with producer.running(tracer=producing), world.consuming(tracer=consuming):
            site.add_records(5)
            await world.wait_for_events(5)
            await wait_until(lambda: any(each["name"] == "accept sentinel" for each in backend.spans))
        record = (await world.records(world.topics.events))[0]
        found = await read_event(
            producer.connection,
            producer.settings.schema_registry,
            EventAddress("events", record.partition, record.offset),
        )

    trace_id = context_in(record.headers).trace_id.hex()
    of_event = {each["name"]: each for each in backend.spans if each["traceId"] == trace_id}
    poll, request, accept = (of_event[name] for name in ("poll", "GET", "accept sentinel"))
    send = of_event[f"send {world.topics.events}"]
    assert found.trace_id == trace_id
    assert poll["parentSpanId"] is None
    assert request["parentSpanId"] == send["parentSpanId"] == poll["spanId"]
    assert accept["parentSpanId"] == send["spanId"] == context_in(record.headers).span_id.hex()
    assert [poll["resource"]["service.instance.id"], accept["resource"]["service.instance.id"]] == [
        "producer-1",
        "consumer-1",
    ]
    assert poll["attributes"]["jira_relay.organization"] == "acme"
    assert request["attributes"]["http.response.status_code"] == 200
    assert send["attributes"]["messaging.kafka.offset"] >= record.offset
    assert accept["attributes"]["jira_relay.offset.first"] <= record.offset
    (body_trace, body_span) = accept["links"][0]
    of_body = [each for each in backend.spans if each["traceId"] == body_trace]
    deliver = next(each for each in of_body if each["spanId"] == body_span)
    assert (trace_id, send["spanId"]) in deliver["links"]
    outcomes = {each["attributes"].get("jira_relay.outcome") for each in backend.spans}
    assert {"retry", "sent"} <= outcomes
    assert [
        each["failed"] for each in of_body if each["attributes"].get("jira_relay.outcome") == "retry"
    ] in ([], [True])
    told = str(backend.spans)
    assert not [text for text in (site.user, site.token) if text in told]
