"""The Open Cybersecurity Schema Framework 1.3.0: each event is one of class 3004, Entity Management.

The class is the only one that fits every record: others require an API call, privileges, a user or a group.
Security Lake accepts no newer version. Source: github.com/ocsf/ocsf-schema, tag 1.3.0, events/iam/entity_management.json.
"""

import polars as pl

from consumer.formats.addresses import ip_addresses
from consumer.formats.json_text import json_object
from consumer.formats.native import event_uid
from consumer.formats.replay_mark import REPLAY_ID, is_replayed
from consumer.formats.source_labels import PRODUCT, VENDOR
from consumer.formats.verbs import Verb, verb_of

OCSF_VERSION = "1.3.0"
CLASS_UID = 3004

_ACTIVITIES: dict[Verb, tuple[int, str]] = {
    "create": (1, "Create"),
    "read": (2, "Read"),
    "link": (3, "Update"),
    "unlink": (3, "Update"),
    "change": (3, "Update"),
    "delete": (4, "Delete"),
    "enable": (8, "Enable"),
    "disable": (9, "Disable"),
}
_OTHER = 99
_ACTIVITY, _ACTIVITY_NAME, _IP = "ocsfActivity", "ocsfActivityName", "ocsfIp"
_TYPES, _CAPTIONS = {"USER": 2, "GROUP": 3}, {"USER": "User", "GROUP": "Group"}
"""Jira's types of objects that the schema has an identifier for, and its captions."""


def ocsf_columns(events: pl.DataFrame) -> pl.DataFrame:
    """Return the attributes of the class as columns, one row an event; an attribute that an event lacks is null.

    The columns are the same for live events and for those of a replay, so that one table can have both.
    """
    if not is_replayed(events):
        events = events.with_columns(pl.lit(None, pl.String).alias(REPLAY_ID))
    return with_ocsf_columns(events).select(**_FIELDS[True])


def ocsf_fields(*, replayed: bool = False) -> dict[str, pl.Expr]:
    """Return the attributes of the class for the events of `with_ocsf_columns`; times are in ms UTC.

    `replayed`: the events are those of a replay, whose id is the last member of `unmapped`.
    """
    return dict(_FIELDS[replayed])


def ocsf_row(*, replayed: bool = False) -> pl.Expr:
    """Write each event of `with_ocsf_columns` as one JSON object; members that are null are left out."""
    return json_object(_FIELDS[replayed])


def with_ocsf_columns(events: pl.DataFrame) -> pl.DataFrame:
    """Add the columns that `ocsf_fields` read beside those of the events.

    They depend on a few distinct values, each worked out once without polars.
    """
    summaries = events["summary"].to_list()
    known = {summary: _activity(summary) for summary in set(summaries)}
    return events.with_columns(
        pl.Series(_ACTIVITY, [known[summary][0] for summary in summaries], pl.Int32),
        pl.Series(_ACTIVITY_NAME, [known[summary][1] for summary in summaries], pl.String),
        ip_addresses(events["remoteAddress"]).alias(_IP),
    )


def _activity(summary: str | None) -> tuple[int, str]:
    """Return identifier and name of the activity. The source names those without an identifier of their own."""
    return _ACTIVITIES.get(verb_of(summary or ""), (_OTHER, summary or "Other"))


def _fields(*, replayed: bool) -> dict[str, pl.Expr]:
    return {
        "activity_id": pl.col(_ACTIVITY),
        "activity_name": pl.col(_ACTIVITY_NAME),
        "category_uid": _integer(3),
        "category_name": pl.lit("Identity & Access Management"),
        "class_uid": _integer(CLASS_UID),
        "class_name": pl.lit("Entity Management"),
        "type_uid": pl.col(_ACTIVITY).cast(pl.Int64) + 100 * CLASS_UID,
        "severity_id": _integer(1),
        "severity": pl.lit("Informational"),
        "status_id": _integer(1),
        "status": pl.lit("Success"),
        "time": _milliseconds("created"),
        "message": pl.col("summary"),
        "metadata": _metadata(),
        "actor": _actor(),
        "src_endpoint": _source(),
        "entity": _entity(),
        "unmapped": _unmapped(replayed=replayed),
    }


def _integer(value: int) -> pl.Expr:
    return pl.lit(value, pl.Int32)


def _milliseconds(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Int64)


def _metadata() -> pl.Expr:
    category = pl.col("category")
    feature = pl.when(category.is_not_null()).then(pl.struct(name=category))
    return pl.struct(
        version=pl.lit(OCSF_VERSION),
        product=pl.struct(name=pl.lit(PRODUCT), vendor_name=pl.lit(VENDOR), feature=feature),
        uid=event_uid(),
        tenant_uid="organization",
        event_code="summary",
        logged_time=_milliseconds("collected"),
        labels=pl.concat_list(pl.col("mode").cast(pl.String)),
    )


def _actor() -> pl.Expr:
    """Return who acted. The schema requires a user or the name of an application, and the author is often absent."""
    account, key = pl.col("authorAccountId"), pl.col("authorKey")
    user = pl.struct(uid=account, name=key, org=pl.struct(name="organization"))
    return pl.struct(
        app_name=pl.lit(PRODUCT), user=pl.when(account.is_not_null() | key.is_not_null()).then(user)
    )


def _source() -> pl.Expr:
    address, ip = pl.col("remoteAddress"), pl.col(_IP)
    return pl.when(address.is_not_null()).then(pl.struct(ip=ip, name=pl.when(ip.is_null()).then(address)))


def _entity() -> pl.Expr:
    """Return the object of the event. An entity needs a name or an identifier: without both it is the category, which is no user."""
    name, uid, kind = map(pl.col("objectItem").struct.field, ("name", "id", "typeName"))
    named = name.is_not_null() | uid.is_not_null()
    name = pl.coalesce(name, pl.when(uid.is_null()).then(pl.coalesce("category", pl.lit(PRODUCT))))
    subject = pl.struct(name=name, uid=uid)
    other = pl.when(kind.is_not_null()).then(_integer(_OTHER))
    return pl.struct(
        name=name,
        uid=uid,
        type=kind.replace(list(_CAPTIONS), list(_CAPTIONS.values())),
        type_id=kind.replace_strict(
            list(_TYPES), list(_TYPES.values()), default=other, return_dtype=pl.Int32
        ),
        user=pl.when((kind == "USER") & named).then(subject),
        group=pl.when((kind == "GROUP") & named).then(subject),
    )


def _unmapped(*, replayed: bool) -> pl.Expr:
    item = pl.col("objectItem").struct.field
    members = {
        "description": pl.col("description"),
        "event_source": pl.col("eventSource"),
        "parent_id": item("parentId"),
        "parent_name": item("parentName"),
        "associated_items": pl.col("associatedItems"),
        "changed_values": pl.col("changedValues"),
        "unmodeled": pl.col("unmodeled"),
    }
    if replayed:
        members[REPLAY_ID] = pl.col(REPLAY_ID)
    return pl.struct([value.alias(name) for name, value in members.items()])


_FIELDS = {replayed: _fields(replayed=replayed) for replayed in (False, True)}
