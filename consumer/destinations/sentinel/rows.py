"""Rows for Microsoft Sentinel: Microsoft's own column names for Jira's audit records, and ours beside them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import polars as pl
from isal import igzip

from consumer.destinations.truncation import truncate_row

COLUMNS: Mapping[str, str] = {
    "EventId": "long",
    "EventUid": "string",
    "EventMessage": "string",
    "EventDescription": "string",
    "EventCreationTime": "datetime",
    "CollectedTime": "datetime",
    "EventCategoryType": "string",
    "EventSource": "string",
    "SrcIpAddr": "string",
    "UserName": "string",
    "UserSid": "string",
    "ObjectItemId": "string",
    "ObjectItemName": "string",
    "ObjectItemTypeName": "string",
    "ObjectItemParentId": "string",
    "ObjectItemParentName": "string",
    "objectItem": "dynamic",
    "ChangedValues": "dynamic",
    "AssociatedItems": "dynamic",
    "Organization": "string",
    "EventMode": "string",
    "Unmodeled": "string",
    "EventVendor": "string",
    "EventProduct": "string",
}
"""Column: its Kusto type in the stream of the data collection rule."""

MAX_BODY_BYTES = 1_000_000
"""Bytes of a request before compression. The limit is 1 MB, "both compressed and uncompressed" (Azure Monitor service limits,
Logs Ingestion API); the gateway refuses above 1,048,576 bytes on the wire."""

MAX_VALUE_BYTES = 64 * 1024
"""Azure cuts longer ones silently (same page). Counted here in bytes of UTF-8, the most that anybody could count."""

MAX_ROW_BYTES = MAX_BODY_BYTES - 2
_SAFE_ROW_BYTES = MAX_VALUE_BYTES // 2
"""No value of a row below this can be too long, however it is written."""

_MIN_DATETIME = datetime(1, 1, 1, tzinfo=UTC)
_MAX_DATETIME = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
"""What Kusto's datetime holds, to the millisecond."""


def encode_rows(events: pl.DataFrame) -> list[bytes]:
    """One JSON object an event, in order, at most MAX_ROW_BYTES bytes each; absent values are left out.

    What Sentinel cannot hold is cut with a mark, or moved to Unmodeled where it is a time.
    """
    out_of_range = _out_of_range_times(events)
    encoded = _encode_all(events)
    to_check = out_of_range.keys() | {
        index for index, row in enumerate(encoded) if len(row) > _SAFE_ROW_BYTES
    }
    for index in to_check:
        encoded[index] = _fit_row(encoded[index], out_of_range.get(index, {}))
    return encoded


def encode_body(encoded: Sequence[bytes]) -> bytes:
    """The request body for these rows: a JSON array, compressed. Level 1 of isal: a tenth of zlib's time, nearly its size."""
    compressed: bytes = igzip.compress(b"[" + b",".join(encoded) + b"]", 1)
    return compressed


def _encode_all(events: pl.DataFrame) -> list[bytes]:
    encoded: list[bytes] = events.select(_ROW_EXPRESSION).to_series().to_list()
    return encoded


def _columns() -> dict[str, pl.Expr]:
    item = pl.col("objectItem").struct
    return {
        "EventId": pl.col("id"),
        "EventUid": pl.format("{}/{}", "organization", "id"),
        "EventMessage": pl.col("summary"),
        "EventDescription": pl.col("description"),
        "EventCreationTime": _iso("created"),
        "CollectedTime": _iso("collected"),
        "EventCategoryType": pl.col("category"),
        "EventSource": pl.col("eventSource"),
        "SrcIpAddr": pl.col("remoteAddress"),
        "UserName": pl.col("authorKey"),
        "UserSid": pl.col("authorAccountId"),
        "ObjectItemId": item.field("id"),
        "ObjectItemName": item.field("name"),
        "ObjectItemTypeName": item.field("typeName"),
        "ObjectItemParentId": item.field("parentId"),
        "ObjectItemParentName": item.field("parentName"),
        "objectItem": pl.col("objectItem"),
        "ChangedValues": pl.col("changedValues"),
        "AssociatedItems": pl.col("associatedItems"),
        "Organization": pl.col("organization"),
        "EventMode": pl.col("mode"),
        "Unmodeled": pl.col("unmodeled"),
        "EventVendor": pl.lit("Atlassian"),
        "EventProduct": pl.lit("Jira Audit"),
    }


def _iso(name: str) -> pl.Expr:
    return pl.when(_fits(name)).then(pl.col(name)).dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")


def _fits(name: str) -> pl.Expr:
    return pl.col(name).is_between(_MIN_DATETIME, _MAX_DATETIME)


def _row_expression() -> pl.Expr:
    text = pl.struct([value.alias(name) for name, value in _columns().items()]).struct.json_encode()
    # `"name":null` cannot stand within a JSON string, where quotes are escaped. A pattern that began with the quote itself
    # would take twice the time: there are many quotes, and few nulls.
    text = text.str.replace_all(f"{_NAME_PATTERN}:null,", "").str.replace_all(
        f",?{_NAME_PATTERN}:null}}", "}"
    )
    return text.cast(pl.Binary)


def _out_of_range_times(events: pl.DataFrame) -> dict[int, dict[str, int]]:
    """Row: the times that no datetime holds, in ms."""
    if events.select(_ALL_FIT).item():
        return {}
    out_of_range = (
        events.with_row_index("row").filter(~_BOTH_FIT).select("row", *map(_if_out_of_range, _TIMES))
    )
    return {
        each["row"]: {name: each[name] for name in _TIMES if each[name] is not None}
        for each in out_of_range.to_dicts()
    }


def _if_out_of_range(name: str) -> pl.Expr:
    return pl.when(~_fits(name)).then(pl.col(name).cast(pl.Int64)).alias(name)


_TIMES = ("created", "collected")
_BOTH_FIT = _fits("created") & _fits("collected")
_ALL_FIT = _BOTH_FIT.all()
_NAME_PATTERN = '["A-Za-z]+"'
_ROW_EXPRESSION = _row_expression()


def _fit_row(encoded: bytes, out_of_range_times: Mapping[str, int]) -> bytes:
    row: dict[str, Any] = orjson.loads(encoded)
    if out_of_range_times:
        row["Unmodeled"] = orjson.dumps({**_unmodeled(row), **out_of_range_times}).decode()
    return truncate_row(row, MAX_VALUE_BYTES, MAX_ROW_BYTES)


def _unmodeled(row: Mapping[str, Any]) -> dict[str, Any]:
    text = row.get("Unmodeled", "{}")
    try:
        found = orjson.loads(text)
    except ValueError:
        found = text
    return found if isinstance(found, dict) else {"unmodeled": found}
