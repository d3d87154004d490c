"""Rows for Microsoft Sentinel: Microsoft's own column names for Jira's audit records, and ours beside them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import polars as pl
from isal import igzip

from consumer.destinations.truncation import cut_row

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

LARGEST_BODY = 1_000_000
"""Bytes of a request before compression. The limit is 1 MB, "both compressed and uncompressed" (Azure Monitor service limits,
Logs Ingestion API); the gateway refuses above 1,048,576 bytes on the wire."""

LARGEST_VALUE = 64 * 1024
"""Azure cuts longer ones silently (same page). Counted here in bytes of UTF-8, the most that anybody could count."""

LARGEST_ROW = LARGEST_BODY - 2
_UNSUSPICIOUS = LARGEST_VALUE // 2
"""No value of a row below this can be too long, however it is written."""

_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
"""What Kusto's datetime holds, to the millisecond."""


def rows(events: pl.DataFrame) -> list[bytes]:
    """One JSON object an event, in order, at most LARGEST_ROW bytes each; absent values are left out.

    What Sentinel cannot hold is cut with a mark, or moved to Unmodeled where it is a time.
    """
    odd = _odd_times(events)
    encoded = _encoded(events)
    suspects = odd.keys() | {index for index, row in enumerate(encoded) if len(row) > _UNSUSPICIOUS}
    for index in suspects:
        encoded[index] = _mended(encoded[index], odd.get(index, {}))
    return encoded


def body(encoded: Sequence[bytes]) -> bytes:
    """The request body for these rows: a JSON array, compressed. Level 1 of isal: a tenth of zlib's time, nearly its size."""
    compressed: bytes = igzip.compress(b"[" + b",".join(encoded) + b"]", 1)
    return compressed


def _encoded(events: pl.DataFrame) -> list[bytes]:
    encoded: list[bytes] = events.select(_ROW).to_series().to_list()
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
    return pl.col(name).is_between(_FIRST, _LAST)


def _row() -> pl.Expr:
    text = pl.struct([value.alias(name) for name, value in _columns().items()]).struct.json_encode()
    # `"name":null` cannot stand within a JSON string, where quotes are escaped. A pattern that began with the quote itself
    # would take twice the time: there are many quotes, and few nulls.
    text = text.str.replace_all(f"{_NAME}:null,", "").str.replace_all(f",?{_NAME}:null}}", "}")
    return text.cast(pl.Binary)


def _odd_times(events: pl.DataFrame) -> dict[int, dict[str, int]]:
    """Row: the times that no datetime holds, in ms."""
    if events.select(_ALL_FIT).item():
        return {}
    odd = events.with_row_index("row").filter(~_BOTH_FIT).select("row", *map(_if_odd, _TIMES))
    return {
        each["row"]: {name: each[name] for name in _TIMES if each[name] is not None}
        for each in odd.to_dicts()
    }


def _if_odd(name: str) -> pl.Expr:
    return pl.when(~_fits(name)).then(pl.col(name).cast(pl.Int64)).alias(name)


_TIMES = ("created", "collected")
_BOTH_FIT = _fits("created") & _fits("collected")
_ALL_FIT = _BOTH_FIT.all()
_NAME = '["A-Za-z]+"'
_ROW = _row()


def _mended(encoded: bytes, odd_times: Mapping[str, int]) -> bytes:
    row: dict[str, Any] = orjson.loads(encoded)
    if odd_times:
        row["Unmodeled"] = orjson.dumps({**_unmodeled(row), **odd_times}).decode()
    return cut_row(row, LARGEST_VALUE, LARGEST_ROW)


def _unmodeled(row: Mapping[str, Any]) -> dict[str, Any]:
    text = row.get("Unmodeled", "{}")
    try:
        found = orjson.loads(text)
    except ValueError:
        found = text
    return found if isinstance(found, dict) else {"unmodeled": found}
