"""The event and the row that a Jira record must become.

Written from the contract alone: this module shares no code with the relay, since shared code would share its bugs.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

TEXTS = ("summary", "category", "description", "eventSource", "remoteAddress", "authorKey", "authorAccountId")
ITEM = ("id", "name", "typeName", "parentId", "parentName")
CHANGE = ("fieldName", "changedFrom", "changedTo")

TRUNCATION_MARK = "was cut by jira-relay"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_IN_UTC_TO_THE_MILLISECOND = re.compile(r"[^.]*(\.\d{1,3}0*)?(Z|[+-]00:?00)", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")

JsonObject = dict[str, Any]


def created_ms(record: Mapping[str, Any]) -> int:
    """Return the time of a record, in ms UTC."""
    return (datetime.fromisoformat(record["created"]) - _EPOCH) // _MILLISECOND


def expected_event(record: Mapping[str, Any], organization: str) -> JsonObject:
    """Return the AuditEvent of a record, without `collected` and `mode`; `unmodeled` is an object, or empty."""
    rest = {name: value for name, value in record.items() if name not in {"id", "created", *TEXTS}}
    texts, odd_texts = _split_texts(record, TEXTS)
    item, odd_item = _split_item(rest.pop("objectItem", None), ITEM)
    changes, odd_changes = _split_list(rest.pop("changedValues", None), CHANGE)
    items, odd_items = _split_list(rest.pop("associatedItems", None), ITEM)
    odd = {"objectItem": odd_item, "changedValues": odd_changes, "associatedItems": odd_items}
    if not _IN_UTC_TO_THE_MILLISECOND.fullmatch(record["created"]):
        odd["created"] = record["created"]
    return {
        "organization": organization,
        "id": record["id"],
        "created": created_ms(record),
        **texts,
        "objectItem": item,
        "changedValues": changes,
        "associatedItems": items,
        "unmodeled": {**rest, **odd_texts, **odd},
    }


def sentinel_row(event: Mapping[str, Any]) -> JsonObject:
    """Return the row in Sentinel of an `expected_event` with `collected` (ms UTC) and `mode`; `Unmodeled` is an object."""
    item = event["objectItem"] or {}
    return {
        "EventId": event["id"],
        "EventUid": f"{event['organization']}/{event['id']}",
        "EventMessage": event["summary"],
        "EventDescription": event["description"],
        "EventCreationTime": iso_milliseconds(event["created"]),
        "CollectedTime": iso_milliseconds(event["collected"]),
        "EventCategoryType": event["category"],
        "EventSource": event["eventSource"],
        "SrcIpAddr": event["remoteAddress"],
        "UserName": event["authorKey"],
        "UserSid": event["authorAccountId"],
        "ObjectItemId": item.get("id"),
        "ObjectItemName": item.get("name"),
        "ObjectItemTypeName": item.get("typeName"),
        "ObjectItemParentId": item.get("parentId"),
        "ObjectItemParentName": item.get("parentName"),
        "objectItem": event["objectItem"],
        "ChangedValues": event["changedValues"],
        "AssociatedItems": event["associatedItems"],
        "Organization": event["organization"],
        "EventMode": event["mode"],
        "Unmodeled": event["unmodeled"],
        "EventVendor": "Atlassian",
        "EventProduct": "Jira Audit",
    }


def native_row(event: Mapping[str, Any]) -> JsonObject:
    """Return the native row of an `expected_event` with `collected` (ms UTC) and `mode`; `unmodeled` is an object."""
    return {"uid": f"{event['organization']}/{event['id']}", **event}


def iso_milliseconds(ms: int) -> str:
    at = (_EPOCH + ms * _MILLISECOND).replace(tzinfo=None)
    return f"{at.isoformat(timespec='milliseconds')}Z"


def event_differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return the names of the fields whose values differ."""
    read = {**found, "unmodeled": _parse_object(found["unmodeled"])}
    return [name for name, value in expected.items() if not _equal_as_json(value, read[name])]


def flatten(document: Mapping[str, Any], prefix: str = "") -> JsonObject:
    """Return the members of nested objects by dotted name."""
    flat: JsonObject = {}
    for name, value in document.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def row_differences(
    expected: Mapping[str, Any], found: Mapping[str, Any], max_value_bytes: int, max_row_bytes: int
) -> tuple[list[str], list[str]]:
    """Return the names of the columns whose values differ, and of those correctly truncated.

    A value is correctly truncated if it, or its row, is longer than the limit.
    """
    row_bytes = sum(map(json_bytes, expected.values()))
    differing: list[str] = []
    truncated: list[str] = []
    for name, value in expected.items():
        stored = found.get(name)
        if _equal_as_json(value, _parse_object(stored) if name.lower().endswith("unmodeled") else stored):
            continue
        too_long = row_bytes > max_row_bytes or json_bytes(value) > max_value_bytes
        (truncated if too_long and _is_truncation_of(value, stored) else differing).append(name)
    return differing, truncated


def _split_texts(source: Mapping[str, Any], names: Iterable[str]) -> tuple[dict[str, str | None], JsonObject]:
    """Return the texts that the schema can hold, and the members with a value that it cannot."""
    texts: dict[str, str | None] = {}
    odd = {}
    for name in names:
        value = source.get(name)
        texts[name] = _SURROGATE.sub("\ufffd", value) if isinstance(value, str) else None
        if texts[name] != value:
            odd[name] = value
    return texts, odd


def _split_item(value: Any, names: Iterable[str]) -> tuple[dict[str, str | None] | None, Any]:
    if not isinstance(value, dict):
        return None, value
    texts, odd = _split_texts(value, names)
    unknown = {name: member for name, member in value.items() if name not in texts}
    return texts, {**unknown, **odd} or None


def _split_list(value: Any, names: Iterable[str]) -> tuple[list[dict[str, str | None]] | None, Any]:
    if not isinstance(value, list):
        return None, value
    pairs = [_split_item(element, names) for element in value]
    items = [item if item is not None else dict.fromkeys(names) for item, _ in pairs]
    odd = [
        {} if rest is None and isinstance(element, dict) else rest
        for element, (_, rest) in zip(value, pairs, strict=True)
    ]
    return items, odd if any(rest != {} for rest in odd) else None


def _parse_object(text: str | None) -> Any:
    """Parse a JSON object. Return the text itself if it is not JSON, as after a truncation; {} for None."""
    if text is None:
        return {}
    try:
        return json.loads(text)
    except ValueError:
        return text


def _equal_as_json(value: Any, other: Any) -> bool:
    """Return whether both are equal as JSON. A null member equals an absent one."""
    if value is None or isinstance(value, str):
        return bool(value == other)
    return _canonical(value) == _canonical(other)


def _canonical(value: Any) -> str:
    return json.dumps(_without_nulls(value), sort_keys=True)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [_without_nulls(element) for element in value]
    return value


def json_bytes(value: Any) -> int:
    """Return the bytes of a text, or of the JSON text of another value."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return len(text.encode(errors="surrogatepass"))


def _is_truncation_of(value: Any, stored: Any) -> bool:
    """Return whether `stored` has the relay's mark and, for a text, begins like `value`."""
    text = stored if isinstance(stored, str) else json.dumps(stored, ensure_ascii=False)
    if TRUNCATION_MARK not in text:
        return False
    return not isinstance(value, str) or value.startswith(text[: text.rindex("… [")])
