"""OCSF class 3004 in plain Python: what `consumer.formats.ocsf` must agree with, and what the schema requires at tag 1.3.0."""

from typing import Any

from tests.support.ecs import is_ip, uid, verb, without_nulls

ACTIVITIES = {
    "create": (1, "Create"), "read": (2, "Read"), "link": (3, "Update"), "unlink": (3, "Update"), "change": (3, "Update"),
    "delete": (4, "Delete"), "enable": (8, "Enable"), "disable": (9, "Disable"),
}  # fmt: skip


def document(event: dict[str, Any]) -> dict[str, Any]:
    """Return the document of an event as `schemas/audit_event.avsc` has it, without its nulls."""
    found: dict[str, Any] = without_nulls(attributes(event))
    return found


def attributes(event: dict[str, Any]) -> dict[str, Any]:
    """Return all attributes of an event; those that it lacks are None."""
    activity, activity_name = ACTIVITIES.get(verb(event["summary"]), (99, event["summary"] or "Other"))
    category, address = event["category"], event["remoteAddress"]
    item = event["objectItem"] or {}
    return {
        "activity_id": activity, "activity_name": activity_name,
        "category_uid": 3, "category_name": "Identity & Access Management",
        "class_uid": 3004, "class_name": "Entity Management", "type_uid": 300400 + activity,
        "severity_id": 1, "severity": "Informational", "status_id": 1, "status": "Success",
        "time": event["created"], "message": event["summary"],
        "metadata": {
            "version": "1.3.0",
            "product": {
                "name": "Jira", "vendor_name": "Atlassian",
                "feature": None if category is None else {"name": category},
            },
            "uid": uid(event), "tenant_uid": event["organization"], "event_code": event["summary"],
            "logged_time": event["collected"], "labels": [event["mode"]],
        },
        "actor": {"app_name": "Jira", "user": user(event)},
        "src_endpoint": None if address is None else
            {"ip": address, "name": None} if is_ip(address) else {"ip": None, "name": address},
        "entity": entity(item, category),
        "unmapped": {
            "description": event["description"], "event_source": event["eventSource"],
            "parent_id": item.get("parentId"), "parent_name": item.get("parentName"),
            "associated_items": event["associatedItems"], "changed_values": event["changedValues"],
            "unmodeled": event["unmodeled"], "replay_id": event.get("replay_id"),
        },
    }  # fmt: skip


def user(event: dict[str, Any]) -> dict[str, Any] | None:
    account, key = event["authorAccountId"], event["authorKey"]
    if account is None and key is None:
        return None
    return {"uid": account, "name": key, "org": {"name": event["organization"]}}


def entity(item: dict[str, Any], category: str | None) -> dict[str, Any]:
    """Return the object of an event; without name and id its name is the category."""
    identifier, name, kind = item.get("id"), item.get("name"), item.get("typeName")
    named = name is not None or identifier is not None
    if not named:
        name = "Jira" if category is None else category
    subject = {"name": name, "uid": identifier}
    return {
        **subject,
        "type": {"USER": "User", "GROUP": "Group"}.get(kind or "", kind),
        "type_id": None if kind is None else {"USER": 2, "GROUP": 3}.get(kind, 99),
        "user": subject if kind == "USER" and named else None,
        "group": subject if kind == "GROUP" and named else None,
    }


REQUIRED: dict[str, tuple[type, ...]] = {
    "": (dict,),
    "activity_id": (int,), "category_uid": (int,), "class_uid": (int,), "type_uid": (int,), "severity_id": (int,), "time": (int,),
    "metadata": (dict,), "metadata.version": (str,), "metadata.product": (dict,), "metadata.product.vendor_name": (str,),
    "entity": (dict,),
}  # fmt: skip
"""The attributes that the class and the objects within it require, and their types (events/base_event.json, events/iam/)."""

ONE_OF = {
    "actor": {"process", "user", "invoked_by", "session", "app_name", "app_uid"},
    "actor.user": {"account", "name", "uid"},
    "actor.user.org": {"name", "uid"},
    "entity": {"name", "uid", "device", "group", "org", "policy", "user"},
    "entity.user": {"account", "name", "uid"},
    "entity.group": {"name", "uid"},
    "metadata.product": {"name", "uid"},
    "metadata.product.feature": {"name", "uid"},
    "src_endpoint": {"ip", "uid", "name", "hostname", "svc_name", "instance_uid", "interface_uid", "interface_name"},
}  # fmt: skip
"""The constraints `at_least_one` of the objects that an event may have (objects/*.json)."""

KNOWN = {
    "": {
        "activity_id", "activity_name", "category_uid", "category_name", "class_uid", "class_name", "type_uid", "severity_id",
        "severity", "status_id", "status", "time", "message", "metadata", "actor", "src_endpoint", "entity", "unmapped",
    },
    "metadata": {"version", "product", "uid", "tenant_uid", "event_code", "logged_time", "labels", "sequence"},
    "metadata.product": {"name", "vendor_name", "feature"},
    "actor": {"app_name", "user"}, "actor.user": {"uid", "name", "org"},
    "src_endpoint": {"ip", "name"},
    "entity": {"name", "uid", "type", "type_id", "user", "group"},
}  # fmt: skip
"""The attributes that the relay fills; the schema has each of them there. `unmapped` takes any."""

CAPTIONS: dict[tuple[str, str], dict[int | None, str | None]] = {
    ("activity_id", "activity_name"): {1: "Create", 2: "Read", 3: "Update", 4: "Delete", 8: "Enable", 9: "Disable", 99: None},
    ("severity_id", "severity"): {1: "Informational"},
    ("status_id", "status"): {1: "Success"},
    ("entity.type_id", "entity.type"): {2: "User", 3: "Group", 99: None, None: None},
}  # fmt: skip
"""The captions of the identifiers that the relay uses; None: the source names it."""


def at(found: dict[str, Any], path: str) -> Any:
    """Return the member at a path of names; None: there is none."""
    value: Any = found
    for name in path.split(".") if path else ():
        value = value.get(name) if isinstance(value, dict) else None
    return value


def faults(found: dict[str, Any]) -> list[str]:
    """Return where a document breaks the class; nothing if it does not."""
    missing = [path for path, types in REQUIRED.items() if type(at(found, path)) not in types]
    empty = [
        path
        for path, names in ONE_OF.items()
        if at(found, path) is not None and not names & at(found, path).keys()
    ]
    unknown = [
        f"{path}.{name}" for path, names in KNOWN.items() for name in (at(found, path) or {}).keys() - names
    ]
    wrong = [
        identifier
        for (identifier, caption), captions in CAPTIONS.items()
        if captions[at(found, identifier)] not in {None, at(found, caption)}
    ]
    if found["type_uid"] != 100 * found["class_uid"] + found["activity_id"]:
        wrong.append("type_uid")
    return [*missing, *empty, *unknown, *wrong]
