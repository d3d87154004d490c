"""Microsoft's Advanced Security Information Model: audit events, schema version 0.1.2, as the table ASimAuditEventLogs has them."""

import re
from collections.abc import Mapping, Sequence

import orjson
import polars as pl

from consumer.formats.addresses import is_address
from consumer.formats.asim_types import event_type, object_type
from consumer.formats.ecs import clipped
from consumer.formats.json_text import iso_time, json_object
from consumer.formats.native import event_uid
from consumer.formats.replay_mark import REPLAY_ID, is_replayed
from consumer.formats.source_labels import PRODUCT, SENTINEL_PRODUCT, VENDOR
from consumer.formats.text_cache import cache_short_texts
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
    3. A null costs as much as a value, so values that are rare are in the expression only where an event has one.
    """
    ips = [None if text is None else _first_address(text) for text in events["remoteAddress"].to_list()]
    rare = _rare(events, ips)
    columns = events.hstack([*_prepared(events), pl.Series(_IP, ips, pl.String), *rare])
    return columns.select(_ROWS[bool(rare), is_replayed(events)]).to_series()


def _prepared(events: pl.DataFrame) -> list[pl.Series]:
    item = events["objectItem"].struct.unnest()
    names, ids, type_names = (item[name].to_list() for name in ("name", "id", "typeName"))
    summaries, categories = events["summary"].to_list(), events["category"].to_list()
    keys = list(zip(events["organization"].to_list(), categories, summaries, type_names, strict=True))
    members = {key: _members_of(*key) for key in set(keys)}
    objects = [  # Kusto takes an empty text for a missing one, and the column is mandatory
        name or key or summary or category or _UNKNOWN
        for name, key, summary, category in zip(names, ids, summaries, categories, strict=True)
    ]
    return [
        pl.Series(_MEMBERS, [members[key] for key in keys], pl.String),
        pl.Series(_OBJECT, objects, pl.String),
    ]


def _rare(events: pl.DataFrame, ips: Sequence[str | None]) -> list[pl.Series]:
    """Return the addresses that are not their IP address, and the times that no Kusto datetime holds; empty where none is."""
    addresses = events["remoteAddress"].to_list()
    others = [None if text == ip else text for text, ip in zip(addresses, ips, strict=True)]
    created, collected = _out_of_range(events["created"]), _out_of_range(events["collected"])
    if not any(each is not None for column in (others, created, collected) for each in column):
        return []
    return [
        pl.Series(_OTHER_ADDRESS, others, pl.String),
        pl.Series(_CREATED_MS, created, pl.Int64),
        pl.Series(_COLLECTED_MS, collected, pl.Int64),
    ]


def _members_of(organization: str, category: str | None, summary: str | None, type_name: str | None) -> str:
    members = {
        "EventType": event_type(verb_of(summary or "")),
        "EventOriginalType": category,
        "EventMessage": summary,
        "Operation": summary or category or _UNKNOWN,
        "ObjectType": object_type(type_name or ""),
        "OriginalObjectType": type_name,
        "EventOwner": organization,
        "DvcHostname": organization,
        "TargetUrl": f"https://{organization}" if _HOST.fullmatch(organization) else None,
    }
    present = {name: text for name, text in members.items() if text is not None}
    return _without_braces(present)


def _without_braces(members: Mapping[str, object]) -> str:
    return orjson.dumps(members).decode()[1:-1]


@cache_short_texts(4096)
def _first_address(text: str) -> str | None:
    first = text.partition(",")[0].strip()
    return first if is_address(first) else None


def _out_of_range(times: pl.Series) -> list[int | None]:
    """Return the times, in ms UTC, that no Kusto datetime holds, and None for others."""
    numbers = times.to_physical().to_list()
    if not numbers or _MIN_TIME_MS <= min(numbers) <= max(numbers) <= _MAX_TIME_MS:
        return [None] * len(numbers)
    return [None if _MIN_TIME_MS <= number <= _MAX_TIME_MS else number for number in numbers]


def _row(added: Sequence[pl.Expr]) -> pl.Expr:
    """`added`: further members of AdditionalFields."""
    head = pl.lit(f"{{{_without_braces(_CONSTANTS)},")
    columns = json_object(_columns(added)).str.slice(len("{"))
    return pl.concat_str(head, pl.col(_MEMBERS), pl.lit(","), columns)


def _columns(added: Sequence[pl.Expr]) -> dict[str, pl.Expr]:
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
        "AdditionalFields": pl.struct(
            *_additional_fields(item.field("parentId"), item.field("parentName")), *added
        ),
    }


def _additional_fields(parent_id: pl.Expr, parent_name: pl.Expr) -> list[pl.Expr]:
    """Return the values that the schema has no column for, under Jira's names and those of the native format."""
    return [
        iso_time(clipped("collected")).alias("collected"),
        *map(pl.col, ("mode", "description", "eventSource")),
        parent_id.alias("objectParentId"),
        parent_name.alias("objectParentName"),
        *map(pl.col, ("associatedItems", "changedValues", "unmodeled")),
    ]


_RARE = (
    pl.col(_OTHER_ADDRESS).alias("remoteAddress"),
    pl.col(_CREATED_MS).alias("createdMs"),
    pl.col(_COLLECTED_MS).alias("collectedMs"),
)
_REPLAY = (pl.col(REPLAY_ID),)
_ROWS = {
    (False, False): _row(()),
    (False, True): _row(_REPLAY),
    (True, False): _row(_RARE),
    (True, True): _row((*_REPLAY, *_RARE)),
}
"""By whether an event has a rare value, and by whether the events are those of a replay."""
