"""Log records of OpenTelemetry: the times, the body and the attributes of events, as columns.

`otlp_protobuf.py` and `otlp_json.py` write these columns. Source: OpenTelemetry logs data model, opentelemetry-proto 1.5 and later.
"""

from collections.abc import Mapping

import polars as pl

from consumer.formats.json_text import iso_time, json_text, without_nulls
from consumer.formats.native import event_uid
from consumer.formats.record_time import RecordTime
from consumer.formats.replay_mark import REPLAY_ID, is_replayed
from consumer.formats.source_labels import OTLP_NAMESPACE
from consumer.formats.verbs import verb_of

TIME, OBSERVED, BODY = "timeUnixNano", "observedTimeUnixNano", "body"
"""The columns that are no attribute: two times in ns since 1970 UTC, and a text."""
UID = "log.record.uid"
"""Source: OpenTelemetry semantic conventions, "log.record.uid": two records with the same value are duplicates."""
SEVERITY_INFO = 9

_AUDIT = f"{OTLP_NAMESPACE}.audit"
_ORGANIZATION, _ID, _MODE = f"{OTLP_NAMESPACE}.organization", f"{_AUDIT}.id", f"{_AUDIT}.mode"
_ITEMS, _CHANGES = f"{_AUDIT}.associated_items", f"{_AUDIT}.changed_values"
FLOW = f"{_AUDIT}.flow"
"""The attribute of the resource that names the flow."""

IDENTITY = frozenset({UID, _ORGANIZATION, _ID})
"""Attributes that say which event a record is."""
JSON_TEXTS = frozenset({_ITEMS, _CHANGES})
"""Attributes whose text is a JSON array."""

_MAX_TIME_MS = (2**63 - 1) // 1_000_000
"""The year 2262: backends read a time as int64 in ns, and its field has no sign."""
_TEXTS: Mapping[str, str] = {
    f"{_AUDIT}.category": "category",
    f"{_AUDIT}.description": "description",
    f"{_AUDIT}.source": "eventSource",
    "client.address": "remoteAddress",
    "user.id": "authorAccountId",
    "user.name": "authorKey",
    f"{_AUDIT}.unmodeled": "unmodeled",
    f"{_AUDIT}.variant": "variant",
}
_OBJECT: Mapping[str, str] = {
    f"{_AUDIT}.object.id": "id",
    f"{_AUDIT}.object.name": "name",
    f"{_AUDIT}.object.type": "typeName",
    f"{_AUDIT}.object.parent_id": "parentId",
    f"{_AUDIT}.object.parent_name": "parentName",
}


def log_columns(events: pl.DataFrame, time: RecordTime) -> pl.DataFrame:
    """Return TIME, OBSERVED and BODY, and a String column for each attribute, under its key; null: the event has none.

    The last attribute of the events of a replay is its id.

    A time outside 1970 to 2262 is the nearest within; then, and where `time` is collected, an attribute has the true one.
    """
    verbs = pl.Series(
        f"{_AUDIT}.verb", [verb_of(text or "") for text in events["summary"].to_list()], pl.String
    )
    columns = events.select(_COLUMNS[time])
    if is_replayed(events):
        columns = columns.hstack([events[REPLAY_ID].alias(f"{_AUDIT}.{REPLAY_ID}")])
    return columns.insert_column(columns.get_column_index(_MODE) + 1, verbs)


def attribute_keys(columns: pl.DataFrame) -> list[str]:
    """Return the keys of the attributes, in their order."""
    return [name for name in columns.columns if name not in {TIME, OBSERVED, BODY}]


def _columns(time: RecordTime) -> list[pl.Expr]:
    created = pl.col("created").cast(pl.Int64)
    outside = ~created.is_between(0, _MAX_TIME_MS)
    item = pl.col("objectItem").struct
    columns = {
        TIME: _nanoseconds(time),
        OBSERVED: _nanoseconds("collected"),
        BODY: pl.col("summary"),
        UID: event_uid(),
        _ORGANIZATION: pl.col("organization"),
        _ID: pl.col("id").cast(pl.String),
        _MODE: pl.col("mode").cast(pl.String),
        **{key: pl.col(name) for key, name in _TEXTS.items()},
        **{key: item.field(name) for key, name in _OBJECT.items()},
        _ITEMS: _json_array("associatedItems"),
        _CHANGES: _json_array("changedValues"),
        f"{_AUDIT}.created_ms": pl.when(outside).then(created.cast(pl.String)),
    }
    if time == "collected":
        columns[f"{_AUDIT}.created"] = pl.when(~outside).then(iso_time(pl.col("created")))
    return [value.alias(name) for name, value in columns.items()]


def _nanoseconds(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Int64).clip(0, _MAX_TIME_MS) * 1_000_000


def _json_array(name: str) -> pl.Expr:
    """Write a list of objects as JSON text, without its nulls; null for an empty list."""
    text = without_nulls(json_text({"a": pl.col(name)})).str.slice(len('{"a":')).str.head(-1)
    return pl.when(pl.col(name).list.len() > 0).then(text)


_COLUMNS: Mapping[RecordTime, list[pl.Expr]] = {
    "created": _columns("created"),
    "collected": _columns("collected"),
}
