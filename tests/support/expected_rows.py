"""Rows of a destination, written plainly from the table of columns."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso(ms: int) -> str:
    return (EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def expected(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of an event, by the table of columns."""
    times = {"EventCreationTime": event["created"], "CollectedTime": event["collected"]}
    item = event.get("objectItem")
    lists = {"ChangedValues": event.get("changedValues"), "AssociatedItems": event.get("associatedItems")}
    return present(
        {
            "EventId": event["id"],
            "EventUid": "/".join(str(event[name]) for name in UID if event.get(name) is not None),
            **{column: event.get(field) for column, field in STRINGS.items()},
            **{column: iso(ms) for column, ms in times.items()},
            **{column: (item or {}).get(member) for column, member in ITEM.items()},
            "objectItem": None if item is None else present(item),
            **{name: None if each is None else [present(x) for x in each] for name, each in lists.items()},
            "EventVendor": "Atlassian",
            "EventProduct": "Jira Audit",
        }
    )


UID = ("organization", "id", "variant")
STRINGS = {
    "EventMessage": "summary",
    "EventDescription": "description",
    "EventCategoryType": "category",
    "EventSource": "eventSource",
    "SrcIpAddr": "remoteAddress",
    "UserName": "authorKey",
    "UserSid": "authorAccountId",
    "Organization": "organization",
    "EventMode": "mode",
    "ReplayId": "replay_id",
    "Unmodeled": "unmodeled",
}
ITEM = {
    "ObjectItemId": "id",
    "ObjectItemName": "name",
    "ObjectItemTypeName": "typeName",
    "ObjectItemParentId": "parentId",
    "ObjectItemParentName": "parentName",
}
