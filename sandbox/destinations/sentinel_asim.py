"""Simulated Microsoft Sentinel: the native table of normalized audit events, and history."""

import ipaddress
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sandbox.destinations.azure import (
    MAX_ROW_BYTES,
    MAX_VALUE_BYTES,
    RulePeer,
    RuleTables,
    azure_of_sandbox,
)
from sandbox.destinations.contract import Comparison
from sandbox.expected import JsonObject, flatten, iso_milliseconds, json_bytes, row_differences
from simulators.azure.world import ASIM, ASIM_HISTORY, AzureWorld

ADDITIONAL = "AdditionalFields."


def asim_row(event: Mapping[str, Any]) -> JsonObject:
    """Return the columns that a record fills, members of AdditionalFields by dotted name; the types of ASIM are not among them."""
    item, summary, address = event["objectItem"] or {}, event["summary"], event["remoteAddress"]
    change = (event["changedValues"] or [{}])[0]
    created = iso_milliseconds(event["created"])
    ip = _first_address(address)
    additional = {
        "collected": iso_milliseconds(event["collected"]),
        "mode": event["mode"],
        "description": event["description"],
        "eventSource": event["eventSource"],
        "remoteAddress": None if address == ip else address,
        "objectParentId": item.get("parentId"),
        "objectParentName": item.get("parentName"),
        "associatedItems": event["associatedItems"],
        "changedValues": event["changedValues"],
        "unmodeled": event["unmodeled"],
    }
    return {
        "EventStartTime": created,
        "EventEndTime": created,
        "EventOriginalUid": f"{event['organization']}/{event['id']}",
        "EventOriginalType": event["category"],
        "EventMessage": summary,
        "EventOwner": event["organization"],
        "DvcHostname": event["organization"],
        "Operation": summary or event["category"] or "Other",
        "Object": item.get("name") or item.get("id") or summary or event["category"] or "Other",
        "ObjectId": item.get("id"),
        "OriginalObjectType": item.get("typeName"),
        "OldValue": change.get("changedFrom"),
        "NewValue": change.get("changedTo"),
        "ActorUserId": event["authorAccountId"],
        "ActorUsername": event["authorKey"],
        "SrcIpAddr": ip,
        **{f"{ADDITIONAL}{name}": value for name, value in additional.items()},
        "EventVendor": "Atlassian",
        "EventProduct": "Jira Audit",
        "EventSchemaVersion": "0.1.2",
    }


def compare_row(row: Mapping[str, Any], event: JsonObject) -> Comparison:
    """Compare a stored row with its event, as `DestinationPeer.compare` says.

    The limit of a value holds for all of AdditionalFields: where they are longer, each member may be truncated.
    """
    expected = asim_row(event)
    additional = {name: value for name, value in expected.items() if name.startswith(ADDITIONAL)}
    max_row_bytes = MAX_ROW_BYTES if json_bytes(additional) <= MAX_VALUE_BYTES else 0
    return Comparison(*row_differences(expected, flatten(row), MAX_VALUE_BYTES, max_row_bytes))


def _first_address(text: str | None) -> str | None:
    first = (text or "").partition(",")[0].strip()
    try:
        ipaddress.ip_address(first)
    except ValueError:
        return None
    return None if "%" in first else first


def _record(row: Mapping[str, Any]) -> tuple[str, int]:
    organization = row["EventOwner"]
    return organization, int(row["EventOriginalUid"].removeprefix(f"{organization}/").partition("/")[0])


TABLES = RuleTables(
    kind="sentinel-asim",
    name="Sentinel's table of normalized events",
    streams=frozenset({AzureWorld.asim_stream, AzureWorld.asim_history_stream}),
    live=ASIM,
    history=ASIM_HISTORY,
    members={
        "id": ("EventOriginalUid",),
        "created": ("EventStartTime", "EventEndTime"),
        "summary": ("EventMessage", "Operation", "EventType"),
        "description": ("AdditionalFields",),
        "category": ("EventOriginalType",),
        "eventSource": ("AdditionalFields",),
        "remoteAddress": ("SrcIpAddr",),
        "authorKey": ("ActorUsername",),
        "authorAccountId": ("ActorUserId",),
        "objectItem": ("Object", "ObjectId", "OriginalObjectType", "ObjectType"),
        "changedValues": ("OldValue", "NewValue"),
        "associatedItems": ("AdditionalFields",),
    },
    record=_record,
    compare=compare_row,
)


@asynccontextmanager
async def open_sentinel_asim(directory: Path) -> AsyncIterator[RulePeer]:
    async with azure_of_sandbox(directory) as azure:
        yield RulePeer(azure, TABLES)
