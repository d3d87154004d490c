"""The Elastic Common Schema, as Elastic's own integration for Atlassian Jira fills it, with the fields that it leaves out."""

from collections.abc import Iterable

import orjson
import polars as pl

from consumer.formats.addresses import ip_addresses
from consumer.formats.ecs_categories import classify
from consumer.formats.json_text import iso_time, json_object, json_text, without_nulls
from consumer.formats.native import event_uid
from consumer.formats.replay_mark import REPLAY_ID
from consumer.formats.source_labels import ECS_DATASET, ECS_MODULE, ECS_OBJECT

ECS_VERSION = "8.11.0"

_MIN_TIME_MS, _MAX_TIME_MS = -62_135_596_800_000, 253_402_300_799_999
"""Years 1 to 9999, which a date field reads as ISO 8601 (strict_date_optional_time has four digits)."""

_HEAD = f'{{"ecs":{{"version":"{ECS_VERSION}"}},"event":{{"kind":"event","module":"{ECS_MODULE}","dataset":"{ECS_DATASET}",'
_IP, _MEMBERS, _VERB, _SUBJECT = "ecsIp", "ecsMembers", "ecsVerb", "ecsSubject"
_USER, _GROUP, _ITEMS, _OBJECT = "ecsUser", "ecsGroup", "ecsItems", "ecsObject"
_TARGET, _TARGET_GROUP, _GROUP_NAME, _RELATED = "ecsTarget", "ecsTargetGroup", "ecsGroupName", "ecsRelated"


def with_ecs_columns(events: pl.DataFrame) -> pl.DataFrame:
    """Add the columns that `ecs_document` reads beside those of the events.

    1. Texts that depend on a few distinct values are made once for each value, without polars.
    2. Columns that several members read are made in a step of their own: polars would work out an expression once for each use.
    3. Arrays of objects are joined as text: polars takes twice the time of the whole row to join them as lists.
    """
    targeted = events.with_columns(*_classified(events), *_AFFECTED).with_columns(*_TARGETS)
    return targeted.with_columns(_related_users(targeted))


def ecs_document(*, replayed: bool = False) -> pl.Expr:
    """Return the JSON text of each event of `with_ecs_columns`. `replayed`: the events are those of a replay, and name it."""
    return pl.concat_str(ecs_pieces(replayed=replayed))


def ecs_pieces(*, replayed: bool = False) -> list[pl.Expr]:
    """Return the texts that make the document of each event together: a row around it is then joined at once."""
    return _PIECES[replayed]


def _classified(events: pl.DataFrame) -> list[pl.Series]:
    pairs = list(zip(events["category"].to_list(), events["summary"].to_list(), strict=True))
    known = {pair: classify(*pair) for pair in set(pairs)}
    members = {pair: each.json_members for pair, each in known.items()}
    return [
        pl.Series(_MEMBERS, [members[pair] for pair in pairs], pl.String),
        pl.Series(_VERB, [known[pair].verb for pair in pairs], pl.String),
        pl.Series(_SUBJECT, [known[pair].subject for pair in pairs], pl.String),
        ip_addresses(events["remoteAddress"]).alias(_IP),
    ]


def _affected() -> list[pl.Expr]:
    """Return associated items and object as JSON text, and the last associated user and group."""
    items, item = pl.col("associatedItems"), pl.col("objectItem")
    listed = json_text({"a": items}).str.slice(len('{"a":')).str.head(-1)
    return [
        pl.when(items.list.len() > 0).then(listed).alias(_ITEMS),
        pl.when(item.is_not_null()).then(item.struct.json_encode()).alias(_OBJECT),
        _last_item("USER").alias(_USER),
        _last_item("GROUP").alias(_GROUP),
    ]


def _last_item(type_name: str) -> pl.Expr:
    found = pl.element().struct.field("typeName") == type_name
    return pl.col("associatedItems").list.eval(pl.element().filter(found)).list.last()


def _targets() -> list[pl.Expr]:
    """Return the user and the group that a record of user or group management is about, as Elastic's integration finds them.

    It takes the last affected object of the type; the object comes last, unless it is among the associated items.
    """
    subject, item = pl.col(_SUBJECT), pl.col("objectItem")
    type_name = pl.when(~_object_is_listed()).then(item.struct.field("typeName"))
    user = pl.when(type_name == "USER").then(item).otherwise(pl.col(_USER))
    group = pl.when(type_name == "GROUP").then(item).otherwise(pl.col(_GROUP))
    alone = (subject == "group") | ((subject == "any") & user.is_null())
    return [
        pl.when(subject.is_in(["user", "member", "any"])).then(user).alias(_TARGET),
        pl.when(subject.is_in(["member", "any"]) & ~alone).then(group).alias(_TARGET_GROUP),
        pl.when(alone).then(group.struct.field("name")).alias(_GROUP_NAME),
    ]


def _object_is_listed() -> pl.Expr:
    """Whether the object is among the associated items. Its text is never part of a string: quotes are escaped there."""
    return pl.col(_ITEMS).str.contains(pl.col(_OBJECT), literal=True).fill_null(value=False)


def _related_users(events: pl.DataFrame) -> pl.Series:
    target = events[_TARGET].struct
    columns = (events["authorAccountId"], events["authorKey"], target.field("id"), target.field("name"))
    rows = zip(*(column.to_list() for column in columns), strict=True)
    return pl.Series(_RELATED, [_array(row) for row in rows], pl.String)


def _array(texts: Iterable[str | None]) -> str:
    """Return the member `user` with its comma: the distinct texts. Empty if there is none."""
    found = dict.fromkeys(texts)
    found.pop(None, None)
    return f'"user":{orjson.dumps([*found]).decode()},' if found else ""


def _pieces(*, replayed: bool) -> list[pl.Expr]:
    """Nulls are left out of the pieces that may have them: the pattern need not search the whole document."""
    return [
        pl.lit(_HEAD),
        pl.col(_MEMBERS),
        pl.lit(","),
        _members(_event()),
        pl.lit("},"),
        _members(_top_level()),
        pl.lit(',"related":{'),
        pl.col(_RELATED),
        _members(_related()),
        pl.lit(f'}},"{ECS_OBJECT}":{{"audit":{{'),
        _affected_objects(),
        _members(_audit() | ({REPLAY_ID: pl.col(REPLAY_ID)} if replayed else {})),
        pl.lit("}}}"),
    ]


def clipped(name: str) -> pl.Expr:
    """Return a time in the years 1 to 9999; a time beyond them is the nearest within."""
    return pl.col(name).cast(pl.Int64).clip(_MIN_TIME_MS, _MAX_TIME_MS).cast(pl.Datetime("ms", "UTC"))


def _event() -> dict[str, pl.Expr]:
    return {
        "id": pl.col("id").cast(pl.String),
        "action": pl.col("summary"),
        "created": iso_time(clipped("collected")),
    }


def _top_level() -> dict[str, pl.Expr]:
    target, group, name = pl.col(_TARGET), pl.col(_TARGET_GROUP), pl.col(_GROUP_NAME)
    address, account, key = pl.col("remoteAddress"), pl.col("authorAccountId"), pl.col("authorKey")
    has_target = target.is_not_null() | group.is_not_null()
    return {
        "@timestamp": iso_time(clipped("created")),
        "message": pl.coalesce("description", "summary"),
        "organization": pl.struct(name="organization"),
        "source": pl.when(address.is_not_null()).then(pl.struct(address=address, ip=pl.col(_IP))),
        "user": pl.when(account.is_not_null() | key.is_not_null() | has_target).then(
            pl.struct(
                id=account,
                name=key,
                target=pl.when(has_target).then(pl.struct(*_id_and_name(target), group=_only(group))),
            )
        ),
        "group": pl.when(name.is_not_null()).then(pl.struct(name=name)),
    }


def _id_and_name(item: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    return item.struct.field("id"), item.struct.field("name")


def _only(item: pl.Expr) -> pl.Expr:
    return pl.when(item.is_not_null()).then(pl.struct(*_id_and_name(item)))


def _related() -> dict[str, pl.Expr]:
    address = pl.col(_IP)
    return {
        "ip": pl.when(address.is_not_null()).then(pl.concat_list(address)),
        "hosts": pl.concat_list("organization"),
    }


def _audit() -> dict[str, pl.Expr]:
    field, before, after = map(pl.element().struct.field, ("fieldName", "changedFrom", "changedTo"))
    created = pl.col("created").cast(pl.Int64)
    return {
        "changed_values": pl.col("changedValues").list.eval(
            pl.struct(field.alias("key"), field.alias("i18nKey"), before.alias("from"), after.alias("to"))
        ),
        "type": pl.struct(action="summary", category="category"),
        "uid": event_uid(),
        "mode": pl.col("mode"),
        "verb": pl.col(_VERB),
        "source": pl.col("eventSource"),
        "unmodeled": pl.col("unmodeled"),
        "created_ms": pl.when(~created.is_between(_MIN_TIME_MS, _MAX_TIME_MS)).then(created),
    }


def _affected_objects() -> pl.Expr:
    """Write the member of the associated items and, unless it is among them, the object; empty without either."""
    items, item = pl.col(_ITEMS), pl.col(_OBJECT)
    joined = (
        pl.when(item.is_null() | _object_is_listed())
        .then(items)
        .when(items.is_null())
        .then(pl.concat_str(pl.lit("["), item, pl.lit("]")))
        .otherwise(pl.concat_str(items.str.head(-1), pl.lit(","), item, pl.lit("]")))
    )
    named = without_nulls(joined.str.replace_all('"typeName":', '"type":', literal=True))
    return pl.concat_str(pl.lit('"affected_objects":'), named, pl.lit(",")).fill_null("")


def _members(columns: dict[str, pl.Expr]) -> pl.Expr:
    """Write the members of an object without its braces; at least one is never null."""
    return json_object(columns).str.slice(1).str.head(-1)


_AFFECTED, _TARGETS = _affected(), _targets()
_PIECES = {replayed: _pieces(replayed=replayed) for replayed in (False, True)}
