"""Log records of OpenTelemetry: the plain twin of the format, the judge, and a simulated backend with its destination."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from consumer.decoding.columns import decode
from consumer.destinations.contract import Body, Destination
from consumer.destinations.otlp.config import OtlpConfig
from consumer.destinations.otlp.destination import open_otlp
from consumer.formats.verbs import verb_of
from simulators.otlp.backend import OtlpBackend
from tests.support.messages import WRITER_SCHEMAS, event, message

MAX_NS = (2**63 - 1) // 1_000_000 * 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def frame_of(events: list[dict[str, Any]]) -> pl.DataFrame:
    return decode([message(each) for each in events], dict(WRITER_SCHEMAS.items())).frame


def twin(event: Mapping[str, Any], time: str = "created") -> dict[str, Any]:
    """Return the log record of an event, written plainly: the members of ProtoJSON, with the attributes as a mapping."""
    created, item = event["created"], event.get("objectItem") or {}
    variant = event.get("variant")
    uid = f"{event['organization']}/{event['id']}" + ("" if variant is None else f"/{variant}")
    outside = not 0 <= created * 1_000_000 <= MAX_NS
    attributes = {
        "log.record.uid": uid,
        "jira.organization": event["organization"],
        "jira.audit.id": str(event["id"]),
        "jira.audit.mode": event["mode"],
        "jira.audit.verb": verb_of(event.get("summary") or ""),
        "jira.audit.category": event.get("category"),
        "jira.audit.description": event.get("description"),
        "jira.audit.source": event.get("eventSource"),
        "client.address": event.get("remoteAddress"),
        "user.id": event.get("authorAccountId"),
        "user.name": event.get("authorKey"),
        "jira.audit.unmodeled": event.get("unmodeled"),
        "jira.audit.variant": variant,
        "jira.audit.object.id": item.get("id"),
        "jira.audit.object.name": item.get("name"),
        "jira.audit.object.type": item.get("typeName"),
        "jira.audit.object.parent_id": item.get("parentId"),
        "jira.audit.object.parent_name": item.get("parentName"),
        "jira.audit.associated_items": _without_nulls(event.get("associatedItems")),
        "jira.audit.changed_values": _without_nulls(event.get("changedValues")),
        "jira.audit.created_ms": str(created) if outside else None,
        "jira.audit.replay_id": event.get("replay_id"),
        "jira.audit.created": None if outside or time == "created" else _iso(created),
    }
    return {
        "timeUnixNano": _nanoseconds(event[time]),
        "observedTimeUnixNano": _nanoseconds(event["collected"]),
        "severityNumber": 9,
        "eventName": "jira.audit",
        "body": event.get("summary"),
        "attributes": {key: value for key, value in attributes.items() if value is not None},
    }


def comparable(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with its lists as values: members of objects in JSON text have no order that counts."""
    attributes = dict(record["attributes"])
    for key in ("jira.audit.associated_items", "jira.audit.changed_values"):
        if isinstance(attributes.get(key), str):
            attributes[key] = json.loads(attributes[key])
    return {**record, "attributes": attributes}


def judged(body: bytes) -> ExportLogsServiceRequest:
    """Return a body of protobuf as the library reads it; its own writing of it must be the same bytes."""
    request = ExportLogsServiceRequest()
    request.ParseFromString(body)
    assert request.SerializeToString(deterministic=True) == body
    return request


def judged_json(body: bytes) -> ExportLogsServiceRequest:
    """Return a body of JSON as the library reads it; it ignores no unknown member."""
    return json_format.Parse(body, ExportLogsServiceRequest())


def records_of(request: ExportLogsServiceRequest) -> list[dict[str, Any]]:
    """Return the log records in the form of `twin`."""
    return [
        {
            "timeUnixNano": record.time_unix_nano,
            "observedTimeUnixNano": record.observed_time_unix_nano,
            "severityNumber": record.severity_number,
            "eventName": record.event_name,
            "body": record.body.string_value if record.HasField("body") else None,
            "attributes": {each.key: each.value.string_value for each in record.attributes},
        }
        for resource_logs in request.resource_logs
        for scope_logs in resource_logs.scope_logs
        for record in scope_logs.log_records
    ]


@asynccontextmanager
async def live_flow(
    backend: OtlpBackend, timeout_seconds: float = 20.0, **settings: Any
) -> AsyncIterator[Destination]:
    """Yield the live flow to `backend`, with these settings beside kind and endpoint."""
    config = OtlpConfig(**({"kind": "otlp", "endpoint": backend.url("live")} | settings))
    async with open_otlp("logs", config, timeout_seconds) as flows:
        yield flows["live"]


def body_of(destination: Destination, *events: dict[str, Any]) -> Body:
    """Return one body of these events; without any, of one plain event."""
    rows = destination.encode(frame_of([*events] or [event(1)]))
    return Body(destination.body(rows), len(rows), destination.limits.format.size(rows), ())


def _without_nulls(items: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """Return the items without members that are null; None for an empty list."""
    return [{key: value for key, value in each.items() if value is not None} for each in items or []] or None


def _nanoseconds(milliseconds: int) -> int:
    return min(max(milliseconds * 1_000_000, 0), MAX_NS)


def _iso(milliseconds: int) -> str:
    moment = EPOCH + timedelta(milliseconds=milliseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03}Z"
