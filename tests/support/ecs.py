"""The Elastic Common Schema in plain Python: what the columns of `consumer.formats.ecs` must agree with."""

import ipaddress
import re
from datetime import UTC, datetime, timedelta
from typing import Any

TEN = {
    "User created": (["iam"], ["user", "creation"]),
    "User updated": (["iam"], ["user", "change"]),
    "User deleted": (["iam"], ["user", "deletion"]),
    "User added to group": (["iam"], ["group", "change"]),
    "User removed from group": (["iam"], ["group", "change"]),
    "Group created": (["iam"], ["group", "creation"]),
    "Group deleted": (["iam"], ["group", "deletion"]),
    "Global permission added": (["iam", "configuration"], ["admin", "creation"]),
    "Global permission removed": (["iam", "configuration"], ["admin", "deletion"]),
    "Project created": (["configuration"], ["creation"]),
}
WORDS = {
    "associated": "link", "assigned": "link", "unassigned": "unlink",
    "created": "create", "added": "create", "granted": "create", "copied": "create", "imported": "create",
    "deleted": "delete", "removed": "delete", "revoked": "delete",
    "enabled": "enable", "activated": "enable", "turned on": "enable",
    "disabled": "disable", "deactivated": "disable", "turned off": "disable", "archived": "disable",
    "search performed": "read", "viewed": "read", "exported": "read",
    "updated": "change", "changed": "change", "renamed": "change", "edited": "change", "moved": "change",
    "published": "change", "released": "change", "reset": "change",
}  # fmt: skip
TYPES = {"create": "creation", "delete": "deletion", "read": "info", "other": "info"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999


def document(event: dict[str, Any]) -> dict[str, Any]:
    """Return the document of an event as `schemas/audit_event.avsc` has it."""
    categories, types = categories_and_types(event["category"], event["summary"])
    items = affected_objects(event)
    target, target_group, group = targets(event, items)
    users = [
        event["authorAccountId"],
        event["authorKey"],
        *((target["id"], target["name"]) if target else ()),
    ]
    address = event["remoteAddress"]
    ip = address if is_ip(address) else None
    created = event["created"]
    return without_nulls({
        "@timestamp": iso(created),
        "ecs": {"version": "8.11.0"},
        "event": {
            "kind": "event", "module": "atlassian_jira", "dataset": "atlassian_jira.audit",
            "category": categories or None, "type": types,
            "id": str(event["id"]), "action": event["summary"], "created": iso(event["collected"]),
        },
        "message": event["summary"] if event["description"] is None else event["description"],
        "organization": {"name": event["organization"]},
        "source": None if address is None else {"address": address, "ip": ip},
        "user": filled({
            "id": event["authorAccountId"],
            "name": event["authorKey"],
            "target": None if target is None and target_group is None else {
                "id": target and target["id"], "name": target and target["name"],
                "group": target_group and {"id": target_group["id"], "name": target_group["name"]},
            },
        }),
        "group": filled({"name": group and group["name"]}),
        "related": {
            "user": list(dict.fromkeys(each for each in users if each is not None)) or None,
            "ip": ip and [ip],
            "hosts": [event["organization"]],
        },
        "jira": {"audit": {
            "uid": uid(event), "mode": event["mode"], "verb": verb(event["summary"]), "source": event["eventSource"],
            "type": {"action": event["summary"], "category": event["category"]},
            "affected_objects": [{"type" if name == "typeName" else name: value for name, value in item.items()} for item in items]
            or (None if event["associatedItems"] is None or event["associatedItems"] == [] else []),
            "changed_values": event["changedValues"] and [changed_value(each) for each in event["changedValues"]],
            "unmodeled": event["unmodeled"], "replay_id": event.get("replay_id"),
            "created_ms": None if FIRST_MS <= created <= LAST_MS else created,
        }},
    })  # fmt: skip


def categories_and_types(category: str | None, summary: str | None) -> tuple[list[str], list[str]]:
    """Return `event.category` and `event.type`."""
    if summary in TEN:
        return TEN[summary]
    done = verb(summary)
    kind = TYPES.get(done, "change")
    match category:
        case "user management":
            return ["iam"], ["user", kind]
        case "group management":
            return ["iam"], ["group", kind]
        case "permissions":
            return ["iam", "configuration"], ["admin", kind]
    if done == "other":
        return [], ["info"]
    return ["configuration"], ["access" if done == "read" else kind]


def verb(summary: str | None) -> str:
    """Return the verb: the known word that ends last, or begins first of those that end there."""
    text = (summary or "").lower()
    found = [
        (match.end(), -match.start(), word) for word in WORDS for match in re.finditer(rf"\b{word}\b", text)
    ]
    if not found:
        return "other"
    end, _, word = max(found)
    after = re.findall(r"\w+", text[end:])
    if word in {"added", "copied"} and {"to", "with"} & set(after):
        return "link"
    if word == "removed" and "from" in after:
        return "unlink"
    return WORDS[word]


def affected_objects(event: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the associated items, and the object unless it is among them."""
    items = list(event["associatedItems"] or [])
    item = event["objectItem"]
    return items if item is None or item in items else [*items, item]


def targets(event: dict[str, Any], items: list[dict[str, Any]]) -> tuple[Any, Any, Any]:
    """Return the user, the user's group, and the group of a record without a user."""
    if event["category"] not in {"user management", "group management"}:
        return None, None, None
    by_type = {item["typeName"]: item for item in items}
    user, group = by_type.get("USER"), by_type.get("GROUP")
    match event["summary"]:
        case "User created" | "User deleted":
            return user, None, None
        case "User added to group" | "User removed from group":
            return user, group, None
        case "Group created" | "Group deleted":
            return None, None, group
        case summary if summary in TEN:
            return None, None, None
    return (user, group, None) if user else (None, None, group)


def changed_value(change: dict[str, Any]) -> dict[str, Any]:
    field = change["fieldName"]
    return {"key": field, "i18nKey": field, "from": change["changedFrom"], "to": change["changedTo"]}


def uid(event: dict[str, Any]) -> str:
    parts = [event["organization"], str(event["id"]), event["variant"]]
    return "/".join(part for part in parts if part is not None)


def is_ip(text: str | None) -> bool:
    try:
        return text is not None and "%" not in text and bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def iso(ms: int) -> str:
    """Return a time as text; one beyond the years 1 to 9999 is the nearest within."""
    time = EPOCH + timedelta(milliseconds=min(max(ms, FIRST_MS), LAST_MS))
    return f"{time.year:04}{time:-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z"


def filled(members: dict[str, Any]) -> dict[str, Any] | None:
    return None if all(value is None for value in members.values()) else members


def without_nulls(value: Any) -> Any:
    match value:
        case dict():
            return {name: without_nulls(each) for name, each in value.items() if each is not None}
        case list():
            return [without_nulls(each) for each in value]
        case _:
            return value
