import io
from typing import Any

from fastavro import schemaless_writer
from fastavro.read import SchemaResolutionError

# What fastavro lets through when bytes are not what the schema says, or a value not what it asks for.
MISFITS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    SchemaResolutionError,
    TypeError,
    ValueError,
)


def what_misfits(schema: dict[str, Any], record: dict[str, Any]) -> str:
    shown = title(schema)
    known = {field["name"] for field in schema["fields"]}
    if unknown := sorted(str(name) for name in record.keys() - known):
        return f"{shown} has no field {', '.join(unknown)}"
    for field in schema["fields"]:
        name = field["name"]
        if name not in record and "default" not in field:
            return f"{shown} needs {name}, which is missing"
        if name in record and not _fits(schema, field, record[name]):
            return f"{shown}.{name} cannot hold {_kind(record[name])}"
    return f"the record does not fit {shown}"


def title(schema: dict[str, Any]) -> str:
    return str(schema["name"]).rpartition(".")[2]


def _fits(schema: dict[str, Any], field: dict[str, Any], value: Any) -> bool:
    if field["type"] in ("int", "long") and type(value) is not int:
        return False
    alone = {**schema, "fields": [field]}
    try:
        schemaless_writer(io.BytesIO(), alone, {field["name"]: value}, strict_allow_default=True)
    except MISFITS:
        return False
    return True


def _kind(value: Any) -> str:
    return "null" if value is None else f"this value, of Python's type {type(value).__name__}"
