"""Rows for Microsoft Sentinel: Microsoft's column names for Jira's audit records, and the relay's own columns."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import orjson
import polars as pl

from consumer.destinations.azure_ingestion.body import BODY_FORMAT, MAX_VALUE_BYTES, SAFE_ROW_BYTES
from consumer.destinations.truncation import truncate_row
from consumer.formats.encoded_rows import EncodedRows
from consumer.formats.json_rows import json_rows
from consumer.formats.json_text import iso_time
from consumer.formats.native import event_uid
from consumer.formats.replay_mark import REPLAY_ID, is_replayed
from consumer.formats.source_labels import SENTINEL_PRODUCT

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
    "ReplayId": "string",
    "Unmodeled": "string",
    "EventVendor": "string",
    "EventProduct": "string",
}
"""Column: its Kusto type in the stream of the data collection rule. tests/deploy holds deploy/azure equal."""

_MIN_DATETIME = datetime(1, 1, 1, tzinfo=UTC)
_MAX_DATETIME = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
"""Bounds of Kusto's datetime, to the millisecond."""
_MIN_MS, _MAX_MS = (round(bound.timestamp() * 1000) for bound in (_MIN_DATETIME, _MAX_DATETIME))


def encode_rows(events: pl.DataFrame) -> EncodedRows:
    """Write one JSON object an event, in order; absent values are left out.

    A value that is too long is truncated with a mark. A time out of Kusto's range moves to Unmodeled.
    """
    rows = json_rows(events.select(**_ROWS[is_replayed(events)]), BODY_FORMAT.separator)
    out_of_range = _out_of_range_times(events)
    odd = {*rows.longer_than(SAFE_ROW_BYTES), *out_of_range}
    return rows.with_rows({index: _fit_row(rows.row(index), out_of_range.get(index, {})) for index in odd})


def _columns() -> dict[str, pl.Expr]:
    item = pl.col("objectItem").struct
    return {
        "EventId": pl.col("id"),
        "EventUid": event_uid(),
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
        "EventProduct": pl.lit(SENTINEL_PRODUCT),
    }


def _iso(name: str) -> pl.Expr:
    return iso_time(pl.when(_fits(name)).then(pl.col(name)))


def _fits(name: str) -> pl.Expr:
    return pl.col(name).is_between(_MIN_DATETIME, _MAX_DATETIME)


def _out_of_range_times(events: pl.DataFrame) -> dict[int, dict[str, int]]:
    """Return by row the times, in ms UTC, that no Kusto datetime holds."""
    if all(_all_fit(events[name]) for name in _TIMES):
        return {}
    out_of_range = (
        events.with_row_index("row").filter(~_BOTH_FIT).select("row", *map(_if_out_of_range, _TIMES))
    )
    return {
        each["row"]: {name: each[name] for name in _TIMES if each[name] is not None}
        for each in out_of_range.to_dicts()
    }


def _all_fit(times: pl.Series) -> bool:
    """Return whether all these times fit. The least and the greatest need no query plan, which takes a quarter of a millisecond."""
    found = times.cast(pl.Int64)  # Python has no datetime for some of them
    least, greatest = cast("tuple[int | None, int | None]", (found.min(), found.max()))
    return least is None or greatest is None or (least >= _MIN_MS and greatest <= _MAX_MS)


def _if_out_of_range(name: str) -> pl.Expr:
    return pl.when(~_fits(name)).then(pl.col(name).cast(pl.Int64)).alias(name)


_TIMES = ("created", "collected")
_BOTH_FIT = _fits("created") & _fits("collected")
_ROWS = {False: _columns(), True: _columns() | {"ReplayId": pl.col(REPLAY_ID)}}
"""By whether the events are those of a replay."""


def _fit_row(encoded: bytes, out_of_range_times: Mapping[str, int]) -> bytes:
    row: dict[str, Any] = orjson.loads(encoded)
    if out_of_range_times:
        row["Unmodeled"] = orjson.dumps({**_unmodeled(row), **out_of_range_times}).decode()
    return truncate_row(row, MAX_VALUE_BYTES, BODY_FORMAT.max_row_bytes)


def _unmodeled(row: Mapping[str, Any]) -> dict[str, Any]:
    text = row.get("Unmodeled", "{}")
    try:
        found = orjson.loads(text)
    except ValueError:
        found = text
    return found if isinstance(found, dict) else {"unmodeled": found}
