"""Microsoft's Advanced Security Information Model: audit events, schema version 0.1.2, as the table ASimAuditEventLogs has them."""

import re
from collections.abc import Mapping
from functools import lru_cache

import orjson
import polars as pl

from consumer.formats.addresses import is_address
from consumer.formats.asim_types import event_type, object_type
from consumer.formats.ecs import clipped
from consumer.formats.json_text import iso_time, json_object
from consumer.formats.native import event_uid
from consumer.formats.source_labels import PRODUCT, SENTINEL_PRODUCT, VENDOR
from consumer.formats.verbs import verb_of

SCHEMA_VERSION = "0.1.2"

_CONSTANTS = {
    "EventCount": 1,
    "EventResult": "Success",
    "EventSeverity": "Informational",
    "EventVendor": VENDOR,
    "EventProduct": SENTINEL_PRODUCT,
    "EventSchemaVersion": SCHEMA_VERSION,
    "TargetAppName": PRODUCT,
    "TargetAppType": "SaaS application",
}
_UNKNOWN = "Other"
"""Value of a mandatory column that nothing in the record fills."""

_MIN_TIME_MS, _MAX_TIME_MS = -62_135_596_800_000, 253_402_300_799_999
"""Years 1 to 9999, the bounds of Kusto's datetime."""

_HOST = re.compile(r"[0-9A-Za-z._:-]+")

_MEMBERS, _OBJECT, _IP, _OTHER_ADDRESS = "asimMembers", "asimObject", "asimIp", "asimOtherAddress"
_CREATED_MS, _COLLECTED_MS = "asimCreatedMs", "asimCollectedMs"


def asim_rows(events: pl.DataFrame) -> pl.Series:
    """Write each event as one JSON object; columns that are null are left out.

    1. Members that depend on a few distinct values are written once for each value, without polars.
    2. A call of polars has a fixed cost for each expression, which counts in a small batch: so there is one step of expressions.
    """
    return events.hstack(_prepared(events)).select(_ROW).to_series()


def _prepared(events: pl.DataFrame) -> list[pl.Series]:
    item = events["objectItem"].struct.unnest()
    addresses = events["remoteAddress"].to_list()
    ips = [None if text is None else _first_address(text) for text in addresses]
    others = [None if text == ip else text for text, ip in zip(addresses, ips, strict=True)]
    return [
        pl.Series(_MEMBERS, _members(events, item["typeName"]), pl.String),
        pl.Series(_OBJECT, _objects(events, item["name"], item["id"]), pl.String),
        pl.Series(_IP, ips, pl.String),
        pl.Series(_OTHER_ADDRESS, others, pl.String),
        pl.Series(_CREATED_MS, _out_of_range(events["created"]), pl.Int64),
        pl.Series(_COLLECTED_MS, _out_of_range(events["collected"]), pl.Int64),
    ]


def _members(events: pl.DataFrame, type_names: pl.Series) -> list[str]:
    """Return, as JSON text, the members that organization, category, summary and type of the object decide."""
    columns = (events["organization"], events["category"], events["summary"], type_names)
    keys = list(zip(*(column.to_list() for column in columns), strict=True))
    known = {key: _members_of(*key) for key in set(keys)}
    return [known[key] for key in keys]


def _objects(events: pl.DataFrame, names: pl.Series, ids: pl.Series) -> list[str]:
    """Return what each event is about; a mandatory column. Kusto takes an empty text for a missing one."""
    columns = (names, ids, events["summary"], events["category"])
    texts = zip(*(column.to_list() for column in columns), strict=True)
    return [name or key or summary or category or _UNKNOWN for name, key, summary, category in texts]


def _members_of(organization: str, category: str | None, summary: str | None, type_name: str | None) -> str:
    members = {
        "EventType": event_type(verb_of(summary or "")),
        "EventOriginalType": category,
        "EventMessage": summary,
        "Operation": summary or category or _UNKNOWN,
        "ObjectType": object_type(type_name),
        "OriginalObjectType": type_name,
        "EventOwner": organization,
        "DvcHostname": organization,
        "TargetUrl": f"https://{organization}" if _HOST.fullmatch(organization) else None,
    }
    present = {name: text for name, text in members.items() if text is not None}
    return _without_braces(present)


def _without_braces(members: Mapping[str, object]) -> str:
    return orjson.dumps(members).decode()[1:-1]


@lru_cache(maxsize=4096)
def _first_address(text: str) -> str | None:
    first = text.partition(",")[0].strip()
    return first if is_address(first) else None


def _out_of_range(times: pl.Series) -> list[int | None]:
    """Return the times, in ms UTC, that no Kusto datetime holds, and None for others."""
    numbers = times.to_physical().to_list()
    if not numbers or _MIN_TIME_MS <= min(numbers) <= max(numbers) <= _MAX_TIME_MS:
        return [None] * len(numbers)
    return [None if _MIN_TIME_MS <= number <= _MAX_TIME_MS else number for number in numbers]


def _row() -> pl.Expr:
    head = pl.lit(f"{{{_without_braces(_CONSTANTS)},")
    columns = json_object(_columns()).str.slice(len("{"))
    return pl.concat_str(head, pl.col(_MEMBERS), pl.lit(","), columns)


def _columns() -> dict[str, pl.Expr]:
    item = pl.col("objectItem").struct
    change = pl.col("changedValues").list.first().struct
    before, after = change.field("changedFrom"), change.field("changedTo")
    created = iso_time(clipped("created"))
    key = pl.col("authorKey")
    return {
        "EventStartTime": created,
        "EventEndTime": created,
        "EventOriginalUid": event_uid(),
        "Object": pl.col(_OBJECT),
        "ObjectId": item.field("id"),
        "OldValue": before,
        "NewValue": after,
        "ValueType": pl.when(before.is_not_null() | after.is_not_null()).then(pl.lit("Other")),
        "ActorUserId": pl.col("authorAccountId"),
        "ActorUsername": key,
        "ActorUsernameType": pl.when(key.is_not_null()).then(pl.lit("Simple")),
        "SrcIpAddr": pl.col(_IP),
        "AdditionalFields": pl.struct(_additional_fields(item.field("parentId"), item.field("parentName"))),
    }


def _additional_fields(parent_id: pl.Expr, parent_name: pl.Expr) -> list[pl.Expr]:
    """Return the values that the schema has no column for, under Jira's names and those of the native format."""
    return [
        iso_time(clipped("collected")).alias("collected"),
        *map(pl.col, ("mode", "description", "eventSource")),
        pl.col(_OTHER_ADDRESS).alias("remoteAddress"),
        parent_id.alias("objectParentId"),
        parent_name.alias("objectParentName"),
        *map(pl.col, ("associatedItems", "changedValues", "unmodeled")),
        pl.col(_CREATED_MS).alias("createdMs"),
        pl.col(_COLLECTED_MS).alias("collectedMs"),
    ]


_ROW = _row()
