import httpx
import pytest

import schemas
from relay.kafka.topics import Topics
from relay.schema_registry.client import SchemaRegistryClient, value_subject
from relay.schema_registry.register import check_schemas, register_schemas
from tests.support.registry_connection import CuttableTransport, distinct_audit_event

AUDIT_EVENT = schemas.load("audit_event")


@pytest.fixture
async def transport(real_registry):
    transport = CuttableTransport()
    async with httpx.AsyncClient(base_url=real_registry, transport=transport, timeout=60) as client:
        transport.registry = SchemaRegistryClient(client)
        yield transport


async def test_registering_twice_gives_equal_reports(transport, prefix):
    first = await register_schemas(transport.registry, Topics(prefix))
    assert [report.subject for report in first] == [f"{prefix}.events-value", f"{prefix}.backfill-value"]
    assert all(report.id is not None and not report.problems for report in first)
    assert await register_schemas(transport.registry, Topics(prefix)) == first


async def test_registered_schemas_pass_the_check(transport, prefix):
    await register_schemas(transport.registry, Topics(prefix))
    reports = await check_schemas(transport.registry, Topics(prefix))
    assert [(report.state, report.problems) for report in reports] == 2 * [("correct", ())]


async def test_the_check_reports_a_missing_schema(transport, prefix):
    for report in await check_schemas(transport.registry, Topics(prefix)):
        assert report.state == "missing"
        assert "jira-relay schemas register" in report.problems[0]


async def test_the_check_reports_an_unavailable_registry(transport, prefix):
    transport.cut = True
    for report in await check_schemas(transport.registry, Topics(prefix)):
        assert report.state == "unknown"
        assert "the transport is cut" in report.problems[0]
    for report in await register_schemas(transport.registry, Topics(prefix)):
        assert report.state == "not registered"


async def test_the_check_reports_a_compatibility_level_that_was_never_set(transport, prefix):
    await transport.registry.register(value_subject(Topics(prefix).events), AUDIT_EVENT)
    report = (await check_schemas(transport.registry, Topics(prefix)))[0]
    assert "FULL_TRANSITIVE" in report.problems[0]


async def test_the_check_distinguishes_older_newer_and_incompatible_schemas(transport, prefix, monkeypatch):
    topics = Topics(prefix)
    await register_schemas(transport.registry, topics)
    monkeypatch.setattr(schemas, "load", lambda _: distinct_audit_event(prefix))
    assert [report.state for report in await check_schemas(transport.registry, topics)] == 2 * ["different"]
    await register_schemas(transport.registry, topics)
    monkeypatch.undo()
    assert [(r.state, r.problems) for r in await check_schemas(transport.registry, topics)] == 2 * [
        ("newer than ours", ())
    ]
    monkeypatch.setattr(schemas, "load", lambda _: {**AUDIT_EVENT, "fields": AUDIT_EVENT["fields"][1:]})
    assert [report.state for report in await check_schemas(transport.registry, topics)] == 2 * [
        "incompatible"
    ]
