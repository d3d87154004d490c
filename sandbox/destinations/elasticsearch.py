"""A simulated cluster of Elasticsearch: a data stream for live events, an index a month for history."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sandbox.destinations.contract import Comparison, DeliveredRow, SettingValue
from sandbox.destinations.files import write_secret
from sandbox.expected import JsonObject, flatten, iso_milliseconds, row_differences
from simulators import faults
from simulators.elasticsearch.cluster import SimulatedCluster
from simulators.fault_script import ScriptedFault

MAX_VALUE_BYTES = 32_000
"""Of a text: Lucene refuses a document with a term above 32,766 bytes."""
MAX_ROW_BYTES = 5_000_000
"""Far above what a record of the sandbox has."""


def ecs_row(event: Mapping[str, Any]) -> JsonObject:
    """Return the fields of a document that a record fills, by dotted name; the categories of ECS are not among them."""
    items = list(event["associatedItems"] or [])
    if event["objectItem"] is not None and event["objectItem"] not in items:
        items.append(event["objectItem"])
    changes = event["changedValues"]
    return {
        "@timestamp": iso_milliseconds(event["created"]),
        "event.id": str(event["id"]),
        "event.action": event["summary"],
        "event.created": iso_milliseconds(event["collected"]),
        "message": event["summary"] if event["description"] is None else event["description"],
        "organization.name": event["organization"],
        "source.address": event["remoteAddress"],
        "user.id": event["authorAccountId"],
        "user.name": event["authorKey"],
        "jira.audit.uid": f"{event['organization']}/{event['id']}",
        "jira.audit.mode": event["mode"],
        "jira.audit.source": event["eventSource"],
        "jira.audit.type.category": event["category"],
        "jira.audit.affected_objects": [
            {"type" if name == "typeName" else name: value for name, value in item.items()} for item in items
        ]
        or None,
        "jira.audit.changed_values": changes
        and [
            {
                "key": each["fieldName"],
                "i18nKey": each["fieldName"],
                "from": each["changedFrom"],
                "to": each["changedTo"],
            }
            for each in changes
        ],
        "jira.audit.unmodeled": event["unmodeled"],
    }


def compare_row(row: Mapping[str, Any], event: JsonObject) -> Comparison:
    """Compare a stored document with its event, as `DestinationPeer.compare` says."""
    return Comparison(*row_differences(ecs_row(event), row, MAX_VALUE_BYTES, MAX_ROW_BYTES))


class ElasticsearchPeer:
    """A DestinationPeer before a simulated cluster."""

    keeps_one_copy = True
    members: Mapping[str, Sequence[str]] = {
        "id": ("event.id", "jira.audit.uid", "_id"),
        "created": ("@timestamp",),
        "summary": ("event.action", "message", "jira.audit.type.action"),
        "description": ("message",),
        "category": ("jira.audit.type.category", "event.category", "event.type", "jira.audit.verb"),
        "eventSource": ("jira.audit.source",),
        "remoteAddress": ("source.address", "source.ip", "related.ip"),
        "authorKey": ("user.name", "related.user"),
        "authorAccountId": ("user.id",),
        "objectItem": ("jira.audit.affected_objects",),
        "changedValues": ("jira.audit.changed_values",),
    }

    def __init__(self, cluster: SimulatedCluster, api_key_file: Path) -> None:
        self._cluster = cluster
        self._api_key_file = api_key_file
        self._arrived: dict[bool, list[DeliveredRow]] = {False: [], True: []}
        """Documents of live (False) and history (True), in the order in which they were seen."""
        self._seen: dict[str, int] = {}
        """Documents seen, by name of their index or data stream."""

    @property
    def settings(self) -> Mapping[str, SettingValue]:
        return {"endpoint": self._cluster.endpoint, "api_key_file": str(self._api_key_file)}

    @property
    def environment(self) -> Mapping[str, str]:
        return {}

    def place(self, *, history: bool) -> str:
        return "jira-audit-history" if history else "logs-atlassian_jira.audit-default"

    def rows(self, *, history: bool, start: int = 0) -> Sequence[DeliveredRow]:
        arrived = self._arrived[history]
        for name, documents in self._cluster.objects.arrived.items():
            if name.startswith(self.place(history=history)):
                arrived += [
                    _delivered(each, history=history) for each in documents[self._seen.get(name, 0) :]
                ]
                self._seen[name] = len(documents)
        return arrived[start:]

    def compare(self, row: Mapping[str, Any], event: JsonObject) -> Comparison:
        return compare_row(row, event)

    def losses(self) -> Iterable[str]:
        return ()

    def refuse(self) -> tuple[ScriptedFault, str]:
        document = {
            "error": {"type": "es_rejected_execution_exception", "reason": "queue is full"},
            "status": 429,
        }
        full = faults.respond_with(429, json.dumps(document), content_type="application/json")
        return self._cluster.bulk_fault(full, rate=1), "with 429, as if its queue were full"

    def clear_faults(self) -> None:
        self._cluster.clear_faults()


def _delivered(document: Mapping[str, Any], *, history: bool) -> DeliveredRow:
    row = flatten(document)
    return DeliveredRow(row["organization.name"], int(row["event.id"]), row, history)


@asynccontextmanager
async def open_elasticsearch(directory: Path) -> AsyncIterator[ElasticsearchPeer]:
    key = base64.b64encode(f"{secrets.token_hex(10)}:{secrets.token_hex(10)}".encode()).decode()
    api_key_file = await asyncio.to_thread(write_secret, directory, "api-key", key)
    async with SimulatedCluster(authorization=f"ApiKey {key}") as cluster:
        yield ElasticsearchPeer(cluster, api_key_file)
