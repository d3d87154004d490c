"""The columns of an event, and the conversion of other versions of its schema into them."""

from typing import Any

import polars as pl
from polars.datatypes import DataTypeClass

import schemas
from consumer.decoding.avro_container import UnsupportedSchema, inline_named_types
from schemas import Schema


class NotAnEventSchema(Exception):
    """The writer's schema is not an audit event's; the message says why."""


def writer_columns(schema: Schema) -> dict[str, pl.DataType]:
    """Return the writer's fields that the relay reads, with the types in which `decode_body` returns them.

    Raises NotAnEventSchema when a field without a default is missing, or has another type than in schemas/audit_event.avsc.
    """
    try:
        inlined = inline_named_types(schema)
        writer_types = {field["name"]: field["type"] for field in inlined["fields"]}
        column_types = {name: _dtype(writer_types[name]) for name in EVENT_COLUMNS if name in writer_types}
    except (UnsupportedSchema, LookupError, TypeError) as error:
        raise NotAnEventSchema("its schema is not an audit event's") from error
    for name, dtype in EVENT_COLUMNS.items():
        if name not in column_types and name in _REQUIRED:
            raise NotAnEventSchema(f"its schema has no {name}")
        if name in column_types:
            _convert(pl.col(name), column_types[name], dtype, name)
    return column_types


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
            raise UnsupportedSchema("a type that no audit event has")


def to_event_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with exactly EVENT_COLUMNS: a field that the writer lacks is null or its default, an unknown one is left out."""
    columns = frame.schema
    return frame.select(
        _convert(pl.col(name), columns[name], dtype, name).alias(name)
        if name in columns
        else pl.lit(_DEFAULTS.get(name), dtype).alias(name)
        for name, dtype in EVENT_COLUMNS.items()
    )


def _convert(
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
            return value.list.eval(_convert(pl.element(), have.inner, want.inner, name))
        case pl.Struct(), pl.Struct():
            return _convert_struct(value, have, want, name)
        case _:
            raise NotAnEventSchema(f"its schema has another type for {name}")


def _convert_struct(value: pl.Expr, have: pl.Struct, want: pl.Struct, name: str) -> pl.Expr:
    members = pl.Schema(have.to_schema())
    built = pl.struct(
        _convert(value.struct.field(member), members[member], dtype, name).alias(member)
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
    columns = {field["name"]: _dtype(field["type"]) for field in inline_named_types(schema)["fields"]}
    return pl.Schema(
        {name: pl.Datetime("ms", "UTC") if name in times else dtype for name, dtype in columns.items()}
    )


_AUDIT_EVENT = schemas.load("audit_event")
_REQUIRED = {field["name"] for field in _AUDIT_EVENT["fields"] if "default" not in field}
_DEFAULTS = {field["name"]: field.get("default") for field in _AUDIT_EVENT["fields"]}
EVENT_COLUMNS = _event_schema(_AUDIT_EVENT)
"""The columns of an event, from schemas/audit_event.avsc; times are Datetime in UTC with ms, the mode is a String."""
