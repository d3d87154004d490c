"""ASIM audit events in plain Python: what the columns of `consumer.formats.asim` must agree with."""

import ipaddress
import re
from typing import Any

from tests.support.ecs import iso, uid, verb, without_nulls

EVENT_TYPES = {
    "create": "Create",
    "delete": "Delete",
    "enable": "Enable",
    "disable": "Disable",
    "read": "Read",
    "other": "Other",
}
OBJECT_TYPES = [
    (r"USER|GROUP|DIRECTORY", "Directory Service Object"),
    (r"PERMISSIONS?|SCHEME|ROLE", "Policy Rule"),
    (
        r"BOARD|COMPONENT|DASHBOARD|FIELD|FILTER|ISSUE|PRIORITY|PROJECT|RESOLUTION|SCREEN|STATUS|VERSION|WORKFLOW",
        "Configuration Atom",
    ),
]
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999


def row(event: dict[str, Any]) -> dict[str, Any]:
    """Return the row of an event as `schemas/audit_event.avsc` has it."""
    organization, summary, address = event["organization"], event["summary"], event["remoteAddress"]
    item = event["objectItem"] or dict.fromkeys(("id", "name", "typeName", "parentId", "parentName"))
    change = (event["changedValues"] or [{"changedFrom": None, "changedTo": None}])[0]
    before, after = change["changedFrom"], change["changedTo"]
    return without_nulls({
        "EventCount": 1,
        "EventStartTime": iso(event["created"]),
        "EventEndTime": iso(event["created"]),
        "EventType": EVENT_TYPES.get(verb(summary), "Set"),
        "EventResult": "Success",
        "EventSeverity": "Informational",
        "EventVendor": "Atlassian",
        "EventProduct": "Jira Audit",
        "EventSchemaVersion": "0.1.2",
        "EventOriginalUid": uid(event),
        "EventOriginalType": event["category"],
        "EventMessage": summary,
        "EventOwner": organization,
        "DvcHostname": organization,
        "TargetAppName": "Jira",
        "TargetAppType": "SaaS application",
        "TargetUrl": f"https://{organization}" if re.fullmatch(r"[\w.:-]+", organization, re.ASCII) else None,
        "Operation": first(summary, event["category"]),
        "Object": first(item["name"], item["id"], summary, event["category"]),
        "ObjectId": item["id"],
        "ObjectType": object_type(item["typeName"]),
        "OriginalObjectType": item["typeName"],
        "OldValue": before,
        "NewValue": after,
        "ValueType": None if before is None and after is None else "Other",
        "ActorUserId": event["authorAccountId"],
        "ActorUsername": event["authorKey"],
        "ActorUsernameType": None if event["authorKey"] is None else "Simple",
        "SrcIpAddr": ip(address),
        "AdditionalFields": {
            "collected": iso(event["collected"]),
            "mode": event["mode"],
            "description": event["description"],
            "eventSource": event["eventSource"],
            "remoteAddress": None if address == ip(address) else address,
            "objectParentId": item["parentId"],
            "objectParentName": item["parentName"],
            "associatedItems": event["associatedItems"],
            "changedValues": event["changedValues"],
            "unmodeled": event["unmodeled"],
            "replay_id": event.get("replay_id"),
            "createdMs": out_of_range(event["created"]),
            "collectedMs": out_of_range(event["collected"]),
        },
    })  # fmt: skip


def first(*texts: str | None) -> str:
    """Return the first text that has characters."""
    return next((text for text in texts if text), "Other")


def object_type(type_name: str | None) -> str:
    """Return the type of the first line that has a word of Jira's type."""
    for words, kind in OBJECT_TYPES:
        if re.search(rf"(?:^|[\W_])(?:{words})(?:$|[\W_])", (type_name or "").upper()):
            return kind
    return "Other"


def ip(text: str | None) -> str | None:
    """Return the address that a text is, or that a list in it begins with."""
    found = (text or "").split(",")[0].strip()
    try:
        ipaddress.ip_address(found)
    except ValueError:
        return None
    return None if "%" in found else found


def out_of_range(ms: int) -> int | None:
    return None if FIRST_MS <= ms <= LAST_MS else ms
