"""The columns of an event, and the conversion of other versions of its schema into them."""

import io
from dataclasses import dataclass
from typing import Any

import polars as pl
from polars.datatypes import DataTypeClass
from polars.exceptions import PanicException, PolarsError

import schemas
from consumer.decoding.avro_container import UnsupportedSchema, build_container, inline_named_types
from consumer.decoding.event_values import is_convertible, with_former_names
from schemas import Schema


class NotAnEventSchema(Exception):
    """The writer's schema is not an audit event's; the message has the cause."""


@dataclass(frozen=True, slots=True)
class WriterSchema:
    """A writer's schema that is an audit event's."""

    schema: Schema
    """With the names that events have for its fields."""
    columnar: bool
    """Whether polars reads it; if not, its records are decoded one by one."""


def writer_schema(schema: Schema) -> WriterSchema:
    """Return a schema made ready for decoding. It is made once for each schema, which must not change later.

    Raises NotAnEventSchema when a field without a default is missing, or no value of a field has a type that Avro resolves to
    that of schemas/audit_event.avsc.
    """
    cached = _cache.get(id(schema))
    if cached is None:
        if len(_cache) >= _CACHE_SIZE:
            _cache.clear()
        # The cache keeps the schema too, so that no other object can get its id().
        cached = _cache[id(schema)] = (schema, _prepare(schema))
    if isinstance(cached[1], str):
        raise NotAnEventSchema(cached[1])
    return cached[1]


def _prepare(schema: Schema) -> WriterSchema | str:
    """Return the prepared schema, or the reason for which it is not an event's."""
    try:
        renamed = with_former_names(schema, AUDIT_EVENT)
        types = {field["name"]: field["type"] for field in inline_named_types(renamed)["fields"]}
    except (UnsupportedSchema, LookupError, TypeError, RecursionError):
        return "its schema is not an audit event's"
    for name, wanted in _TYPES.items():
        if name not in types and name in _REQUIRED:
            return f"its schema has no {name}"
        if name in types and not is_convertible(types[name], wanted):
            return f"its schema has another type for {name}"
    return WriterSchema(renamed, all(map(_has_columns, types.values())) and _is_columnar(renamed))


def _has_columns(node: Any) -> bool:
    """Return whether polars has columns for all types of a schema; it panics at maps and at most unions."""
    match node:
        case {"type": "record", "fields": fields}:
            return all(_has_columns(field["type"]) for field in fields)
        case {"type": "array", "items": inner}:
            return _has_columns(inner)
        case ["null", inner] | [inner, "null"]:
            return inner != "null" and _has_columns(inner)
        case {"type": "map"} | list():
            return False
    return True


def _is_columnar(schema: Schema) -> bool:
    """Return whether polars reads a file of this schema, without a record in it, and whether its columns are an event's.

    Asked once for each schema: where polars meets a type that it does not have, it may write a backtrace.
    """
    try:
        to_event_columns(pl.read_avro(io.BytesIO(build_container(schema, [], _FRAME_BYTES, 0))))
    except (PolarsError, PanicException, OSError, UnsupportedSchema, NotAnEventSchema):
        return False
    return True


def to_event_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with exactly EVENT_COLUMNS: a field that the writer lacks is null or its default, an unknown one is left out."""
    columns = frame.schema
    return frame.select(
        _with_default(_convert(pl.col(name), columns[name], dtype, name), name).alias(name)
        if name in columns
        else pl.lit(_DEFAULTS.get(name), dtype).alias(name)
        for name, dtype in EVENT_COLUMNS.items()
    )


def _with_default(value: pl.Expr, name: str) -> pl.Expr:
    default = _DEFAULTS.get(name)
    return value if default is None else value.fill_null(default)


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


def _dtype(avro: Any) -> pl.DataType:
    """Return the column type of a type that events have."""
    match avro:
        case ["null", inner]:
            return _dtype(inner)
        case "string" | {"type": "enum"}:
            return pl.String()
        case "long" | {"type": "long"}:
            return pl.Int64()
        case {"type": "array", "items": items}:
            return pl.List(_dtype(items))
        case {"type": "record", "fields": fields}:
            return pl.Struct({field["name"]: _dtype(field["type"]) for field in fields})
    raise NotImplementedError(f"no column type for {avro}")


def column_types(schema: Schema) -> pl.Schema:
    """Return the columns of a version of the event schema. Raises NotImplementedError for a type that events do not have."""
    times = {
        field["name"]
        for field in schema["fields"]
        if isinstance(field["type"], dict) and "logicalType" in field["type"]
    }
    columns = {field["name"]: _dtype(field["type"]) for field in inline_named_types(schema)["fields"]}
    return pl.Schema(
        {name: pl.Datetime("ms", "UTC") if name in times else dtype for name, dtype in columns.items()}
    )


AUDIT_EVENT = schemas.load("audit_event")
_TYPES = {field["name"]: field["type"] for field in inline_named_types(AUDIT_EVENT)["fields"]}
_REQUIRED = {field["name"] for field in AUDIT_EVENT["fields"] if "default" not in field}
_DEFAULTS = {field["name"]: field.get("default") for field in AUDIT_EVENT["fields"]}
EVENT_COLUMNS = column_types(AUDIT_EVENT)
"""The columns of an event, from schemas/audit_event.avsc; times are Datetime in UTC with ms, the mode is a String.

The events of a replay have one more, `consumer.formats.replay_mark.REPLAY_ID`; all others lack it.
"""

TIME_COLUMNS = tuple(name for name, dtype in EVENT_COLUMNS.items() if isinstance(dtype, pl.Datetime))
REQUIRED_COLUMNS = tuple(name for name in EVENT_COLUMNS if name in _REQUIRED)
SECOND_OPINIONS = (
    AUDIT_EVENT,
    *(each for each in reversed(schemas.released("audit_event")) if each != AUDIT_EVENT),
)
"""The relay's own versions of the schema of events, newest first."""

_FRAME_BYTES = 5
"""Of any frame; a file without records has none."""
_cache: dict[int, tuple[Schema, WriterSchema | str]] = {}
_CACHE_SIZE = 64
