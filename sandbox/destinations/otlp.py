"""A simulated backend of OTLP, which takes log records in protobuf."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sandbox.destinations.contract import Comparison, DeliveredRow, SettingValue
from sandbox.destinations.files import write_secret
from sandbox.expected import JsonObject, row_differences
from simulators import faults
from simulators.fault_script import ScriptedFault
from simulators.otlp.backend import OtlpBackend

MAX_VALUE_BYTES = 32_000
MAX_ROW_BYTES = 999_000
"""Bytes left for one record in the largest request body, whose head has less than 1,000."""
_LISTS = ("jira.audit.associated_items", "jira.audit.changed_values")
_OBJECT = {
    "id": "jira.audit.object.id",
    "name": "jira.audit.object.name",
    "typeName": "jira.audit.object.type",
    "parentId": "jira.audit.object.parent_id",
    "parentName": "jira.audit.object.parent_name",
}


def log_row(event: Mapping[str, Any]) -> JsonObject:
    """Return the fields of a log record that a record fills: times and body by their name, attributes by their key."""
    item = event["objectItem"] or {}
    return {
        "timeUnixNano": event["created"] * 1_000_000,
        "observedTimeUnixNano": event["collected"] * 1_000_000,
        "body": event["summary"],
        "log.record.uid": f"{event['organization']}/{event['id']}",
        "jira.organization": event["organization"],
        "jira.audit.id": str(event["id"]),
        "jira.audit.mode": event["mode"],
        "jira.audit.category": event["category"],
        "jira.audit.description": event["description"],
        "jira.audit.source": event["eventSource"],
        "client.address": event["remoteAddress"],
        "user.id": event["authorAccountId"],
        "user.name": event["authorKey"],
        **{key: item.get(name) for name, key in _OBJECT.items()},
        "jira.audit.associated_items": event["associatedItems"] or None,
        "jira.audit.changed_values": event["changedValues"] or None,
        "jira.audit.unmodeled": event["unmodeled"],
    }


def compare_row(row: Mapping[str, Any], event: JsonObject) -> Comparison:
    """Compare a stored record with its event, as `DestinationPeer.compare` says."""
    return Comparison(*row_differences(log_row(event), row, MAX_VALUE_BYTES, MAX_ROW_BYTES))


class OtlpPeer:
    """A DestinationPeer before a simulated backend."""

    keeps_one_copy = False
    members: Mapping[str, Sequence[str]] = {
        "id": ("jira.audit.id", "log.record.uid"),
        "created": ("timeUnixNano",),
        "summary": ("body", "jira.audit.verb"),
        "description": ("jira.audit.description",),
        "category": ("jira.audit.category",),
        "eventSource": ("jira.audit.source",),
        "remoteAddress": ("client.address",),
        "authorKey": ("user.name",),
        "authorAccountId": ("user.id",),
        "objectItem": tuple(_OBJECT.values()),
        "associatedItems": ("jira.audit.associated_items",),
        "changedValues": ("jira.audit.changed_values",),
    }

    def __init__(self, backend: OtlpBackend, headers_file: Path) -> None:
        self._backend = backend
        self._headers_file = headers_file

    @property
    def settings(self) -> Mapping[str, SettingValue]:
        return {
            "endpoint": self._backend.url(self.place(history=False)),
            "history_endpoint": self._backend.url(self.place(history=True)),
            "headers_file": str(self._headers_file),
        }

    @property
    def environment(self) -> Mapping[str, str]:
        return {}

    def place(self, *, history: bool) -> str:
        return "history" if history else "live"

    def rows(self, *, history: bool, start: int = 0) -> Sequence[DeliveredRow]:
        stored = self._backend.stored(self.place(history=history))
        return [_delivered(record, history=history) for record in stored[start:]]

    def compare(self, row: Mapping[str, Any], event: JsonObject) -> Comparison:
        return compare_row(row, event)

    def losses(self) -> Iterable[str]:
        return ()

    def refuse(self) -> tuple[ScriptedFault, str]:
        return self._backend.fault(faults.respond_with(503), rate=1), "with 503"

    def clear_faults(self) -> None:
        self._backend.clear_faults()


def _delivered(record: Mapping[str, Any], *, history: bool) -> DeliveredRow:
    """Return a record flat: its lists as values, since their JSON text has no order of members."""
    attributes = dict(record["attributes"])
    attributes |= {key: json.loads(attributes[key]) for key in _LISTS if key in attributes}
    row = {name: value for name, value in record.items() if name != "attributes"} | attributes
    return DeliveredRow(row["jira.organization"], int(row["jira.audit.id"]), row, history)


@asynccontextmanager
async def open_otlp(directory: Path) -> AsyncIterator[OtlpPeer]:
    token = f"Bearer {secrets.token_urlsafe()}"
    headers_file = await asyncio.to_thread(write_secret, directory, "headers", f"Authorization: {token}")
    async with OtlpBackend(credential={"Authorization": token}) as backend:
        yield OtlpPeer(backend, headers_file)
