"""One audit record as Jira sends it, and the event made of it.

An event is a dict with the fields of schemas/audit_event.avsc except `collected`, `mode` and `variant`, which are known
when it is published. `unmodeled` holds the rest of the record, in the record's shape: all that the schema has no field for. If an
element of a list has a rest, each element of that list has an entry, `{}` for none. A null counts as absent, as in Jira.
"""

import json
from typing import Any

from producer.events import LONE_SURROGATE, TEXT_FIELDS, Event, UnreadableRecord, to_json
from producer.state.ledger import MAX_ID
from relay import timestamps

ITEM_FIELDS = ("id", "name", "typeName", "parentId", "parentName")
CHANGE_FIELDS = ("fieldName", "changedFrom", "changedTo")

Texts = dict[str, str | None]
_NO_TEXTS: Texts = dict.fromkeys(TEXT_FIELDS)
_NO_ITEM: Texts = dict.fromkeys(ITEM_FIELDS)
_NO_CHANGE: Texts = dict.fromkeys(CHANGE_FIELDS)

_EPOCH_MS_FROM = 100_000_000_000  # a smaller number is more likely seconds


def to_event(record: object, organization: str) -> Event | UnreadableRecord:
    """Return the event of a record as parsed from JSON; an UnreadableRecord is returned as it is.

    A readable record has an id within 0 to 2^63-1 (an integer, or its digits as text) and a `created` within the years
    1 to 9999 (text, or an integer of epoch milliseconds from 10^11 on, which is 1973).
    """
    if isinstance(record, UnreadableRecord):
        return record
    if not isinstance(record, dict):
        return UnreadableRecord("the record is not a JSON object", to_json(record).encode())
    remaining = dict(record)
    raw_id, raw_created = remaining.pop("id", None), remaining.pop("created", None)
    event_id, created = _parse_id(raw_id), _parse_created(raw_created)
    if event_id is None:
        return UnreadableRecord("the record has no readable id", to_json(record).encode())
    if created is None:
        return UnreadableRecord("the record has no readable created", to_json(record).encode())
    object_item, object_item_rest = _split_object(remaining.pop("objectItem", None), _NO_ITEM)
    changes, changes_rest = _split_objects(remaining.pop("changedValues", None), _NO_CHANGE)
    items, items_rest = _split_objects(remaining.pop("associatedItems", None), _NO_ITEM)
    texts, rest = _split_texts(remaining, _NO_TEXTS)
    for name, value in (
        ("id", None if raw_id is event_id else raw_id),
        ("created", None if created.exact else raw_created),
        ("objectItem", object_item_rest),
        ("changedValues", changes_rest),
        ("associatedItems", items_rest),
    ):
        if value is not None:
            rest[name] = value
    return {
        "organization": organization,
        "id": event_id,
        "created": created.ms,
        **texts,
        "objectItem": object_item,
        "changedValues": changes,
        "associatedItems": items,
        "unmodeled": to_json(rest) if rest else None,
    }


def restore_json(event: Event) -> bytes:
    """Return the JSON of the record that the event was made from, as `restore_record` rebuilds it."""
    return to_json(restore_record(event)).encode()


def restore_record(event: Event) -> dict[str, Any]:
    """Rebuild the record that the event was made from; nulls are gone, and UTC is written as Jira does."""
    rest = json.loads(event["unmodeled"] or "{}")
    record: dict[str, Any] = _without_nulls(
        id=event["id"],
        created=f"{timestamps.to_iso(event['created'])[:-1]}+0000",
        **{name: event[name] for name in TEXT_FIELDS},
        objectItem=_merge(event["objectItem"], rest.pop("objectItem", None)),
        changedValues=_merge(event["changedValues"], rest.pop("changedValues", None)),
        associatedItems=_merge(event["associatedItems"], rest.pop("associatedItems", None)),
    )
    return {**record, **rest}


def _parse_id(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
        number = int(value)
    elif type(value) is int:
        number = value
    else:
        return None
    return number if 0 <= number <= MAX_ID else None


def _parse_created(value: object) -> timestamps.Instant | None:
    if isinstance(value, str):
        return timestamps.parse_iso(value)
    if type(value) is int and value >= _EPOCH_MS_FROM and timestamps.is_instant(value):
        return timestamps.Instant(value, exact=False)
    return None


def _split_texts(source: dict[str, Any], absent: Texts) -> tuple[Texts, dict[str, Any]]:
    """Return the texts of the fields in `absent`, which has null for each, and the members that they cannot hold."""
    fields = absent | source
    if len(fields) == len(absent) and _are_whole_texts(source):
        return fields, {}
    fields = absent.copy()
    rest = {}
    for name, value in source.items():
        if name not in fields:
            rest[name] = value
        elif isinstance(value, str):
            fields[name] = value
            if not value.isascii() and LONE_SURROGATE.search(value):
                fields[name], rest[name] = LONE_SURROGATE.sub("\ufffd", value), value
        elif value is not None:
            rest[name] = value
    return fields, rest


def _are_whole_texts(source: dict[str, Any]) -> bool:
    """Return whether each value is a text without half a character: one look at all of them for nearly every record."""
    try:
        joined = "".join(source.values())
    except TypeError:
        return False
    return joined.isascii() or not LONE_SURROGATE.search(joined)


def _split_object(value: object, absent: Texts) -> tuple[Texts | None, object]:
    if not isinstance(value, dict):
        return None, value
    fields, rest = _split_texts(value, absent)
    return fields, rest or None


def _split_objects(value: object, absent: Texts) -> tuple[list[Texts] | None, object]:
    if not isinstance(value, list):
        return None, value
    split_items = [
        _split_texts(one, absent) if isinstance(one, dict) else (absent.copy(), one) for one in value
    ]
    rests = [rest for _, rest in split_items]
    return [fields for fields, _ in split_items], None if rests.count({}) == len(rests) else rests


def _without_nulls(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _merge(held: Any, rest: Any) -> Any:
    if isinstance(held, dict) and (rest is None or isinstance(rest, dict)):
        return _without_nulls(**held) | (rest or {})
    if isinstance(held, list):
        rests = rest or [{}] * len(held)
        return [
            _merge(one, left) if isinstance(left, dict) else left
            for one, left in zip(held, rests, strict=True)
        ]
    return rest
