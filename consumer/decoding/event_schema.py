"""The columns of an event, and how other versions of its schema are brought into them."""

from typing import Any

import polars as pl
from polars.datatypes import DataTypeClass

import schemas
from consumer.decoding.avro_container import Unsupported, spelled_out
from schemas import Schema


class NotAnEvent(Exception):
    """The writer's schema lacks what makes an audit event; says what."""


def shape_of(schema: Schema) -> dict[str, pl.DataType]:
    """The fields that we read of the writer's, with the types in which `decode_body` gives them.

    Raises NotAnEvent where a field is missing that has no default, or is of another type than ours.
    """
    try:
        spelled = spelled_out(schema)
        theirs = {field["name"]: field["type"] for field in spelled["fields"]}
        shape = {name: _dtype(theirs[name]) for name in EVENT if name in theirs}
    except (Unsupported, LookupError, TypeError) as error:
        raise NotAnEvent("its schema is not an audit event's") from error
    for name, dtype in EVENT.items():
        if name not in shape and name in _REQUIRED:
            raise NotAnEvent(f"its schema has no {name}")
        if name in shape:
            _as(pl.col(name), shape[name], dtype, name)
    return shape


def _dtype(avro: Any) -> pl.DataType:
    match avro:
        case ["null", inner] | [inner, "null"] | [inner]:
            return _dtype(inner)
        case "string" | {"type": "enum"}:
            return pl.String()
        case "long" | {"type": "long", "logicalType": "timestamp-millis"}:
            return pl.Int64()
        case "int":
            return pl.Int32()
        case {"type": "array", "items": items}:
            return pl.List(_dtype(items))
        case {"type": "record", "fields": fields}:
            return pl.Struct({field["name"]: _dtype(field["type"]) for field in fields})
        case _:
            raise Unsupported("a type that no audit event has")


def conformed(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows with exactly the columns of EVENT: fields of older writers null or their default, of newer ones left out."""
    have = frame.schema
    return frame.select(
        _as(pl.col(name), have[name], dtype, name).alias(name)
        if name in have
        else pl.lit(_DEFAULTS.get(name), dtype).alias(name)
        for name, dtype in EVENT.items()
    )


def _as(
    value: pl.Expr, have: pl.DataType | DataTypeClass, want: pl.DataType | DataTypeClass, name: str
) -> pl.Expr:
    if have == want:
        return value
    match have, want:
        case (pl.Categorical(), pl.String()) | (pl.Int32(), pl.Int64()):
            return value.cast(want)
        case pl.Int64(), pl.Datetime():
            return value.cast(want)
        case pl.List(), pl.List():
            return value.list.eval(_as(pl.element(), have.inner, want.inner, name))
        case pl.Struct(), pl.Struct():
            return _struct_as(value, have, want, name)
        case _:
            raise NotAnEvent(f"its schema has another type for {name}")


def _struct_as(value: pl.Expr, have: pl.Struct, want: pl.Struct, name: str) -> pl.Expr:
    members = pl.Schema(have.to_schema())
    built = pl.struct(
        _as(value.struct.field(member), members[member], dtype, name).alias(member)
        if member in members
        else pl.lit(None, dtype).alias(member)
        for member, dtype in pl.Schema(want.to_schema()).items()
    )
    return pl.when(value.is_not_null()).then(built)


def _event_schema(schema: Schema) -> pl.Schema:
    times = {
        field["name"]
        for field in schema["fields"]
        if isinstance(field["type"], dict) and "logicalType" in field["type"]
    }
    columns = {field["name"]: _dtype(field["type"]) for field in spelled_out(schema)["fields"]}
    return pl.Schema(
        {name: pl.Datetime("ms", "UTC") if name in times else dtype for name, dtype in columns.items()}
    )


_OURS = schemas.load("audit_event")
_REQUIRED = {field["name"] for field in _OURS["fields"] if "default" not in field}
_DEFAULTS = {field["name"]: field.get("default") for field in _OURS["fields"]}
EVENT = _event_schema(_OURS)
"""The columns of an event, as schemas/audit_event.avsc has them; times as Datetime UTC, the mode as a string."""
