"""Values of a writer's record as values of an event, where the columnar reader cannot help.

Avro's schema resolution by value, at every depth: fields that the event lacks are left out, missing ones get their default,
int serves as long and bytes as string. A field that was renamed is found by its alias.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from consumer.decoding.avro_container import inline_named_types
from relay.avro.codec import BadBody
from schemas import Schema

ValueConverter = Callable[[Any], Any]

_TIME_TYPES = ("int", "long", {"type": "long", "logicalType": "timestamp-millis"})


def is_convertible(writer: Any, wanted: Any) -> bool:
    """Return whether some value of the writer's type is one of the wanted type. Both are as `inline_named_types` returns them.

    Of a union one branch is enough: a value of another branch makes its own record undecodable, and no other.
    """
    match writer, wanted:
        case list(), _:
            branches = [branch for branch in writer if branch != "null"] or ["null"]
            return any(is_convertible(branch, wanted) for branch in branches)
        case "null", ["null", _]:
            return True
        case _, ["null", inner]:
            return is_convertible(writer, inner)
        case "string" | "bytes" | {"type": "string" | "enum"}, "string" | {"type": "enum"}:
            return True
        case _, "long":
            return writer in {"int", "long"} if isinstance(writer, str) else False
        case _, {"type": "long"}:
            return writer in _TIME_TYPES
        case {"type": "array", "items": items}, {"type": "array", "items": wanted_items}:
            return is_convertible(items, wanted_items)
        case {"type": "record", "fields": fields}, {"type": "record", "fields": wanted_fields}:
            types = {field["name"]: field["type"] for field in fields}
            return all(
                is_convertible(types[field["name"]], field["type"])
                for field in wanted_fields
                if field["name"] in types
            )
    return False


def event_converter(event_schema: Schema) -> Callable[[Mapping[str, Any]], list[Any]]:
    """Return a function that makes the values of an event, in the order of its fields, of a decoded record.

    The function raises BadBody for a value of another type, and for a missing field without a default.
    """
    fields = inline_named_types(event_schema)["fields"]
    defaults = {field["name"]: field for field in event_schema["fields"] if "default" in field}
    converters = [
        (
            field["name"],
            field["name"] not in defaults,
            defaults.get(field["name"], {}).get("default"),
            _converter(field["type"], field["name"]),
        )
        for field in fields
    ]

    def convert(record: Mapping[str, Any]) -> list[Any]:
        values = []
        for name, required, default, convert_value in converters:
            value = record.get(name)
            if value is not None:
                values.append(convert_value(value))
            elif required:
                raise BadBody(f"it has no {name}")
            else:
                values.append(default)
        return values

    return convert


def _converter(wanted: Any, name: str) -> ValueConverter:
    match wanted:
        case ["null", inner]:
            return _converter(inner, name)
        case "string" | {"type": "enum"}:
            return lambda value: _text(value, name)
        case "long" | {"type": "long"}:
            return lambda value: _integer(value, name)
        case {"type": "array", "items": items}:
            return _array_converter(_converter(items, name), name)
        case {"type": "record", "fields": fields}:
            return _record_converter(
                {field["name"]: _converter(field["type"], name) for field in fields}, name
            )
    raise NotImplementedError(f"{name} has a type that no event has: {wanted}")


def _text(value: Any, name: str) -> str:
    try:
        return value if isinstance(value, str) else value.decode()
    except (AttributeError, UnicodeDecodeError):
        raise _other_type(name) from None


def _integer(value: Any, name: str) -> int:
    if type(value) is not int:  # in Python a bool is an int, in Avro it is not
        raise _other_type(name)
    return value


def _array_converter(convert_item: ValueConverter, name: str) -> ValueConverter:
    def convert(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise _other_type(name)
        return [None if item is None else convert_item(item) for item in value]

    return convert


def _record_converter(members: Mapping[str, ValueConverter], name: str) -> ValueConverter:
    def convert(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _other_type(name)
        return {
            member: None if (found := value.get(member)) is None else convert_member(found)
            for member, convert_member in members.items()
        }

    return convert


def _other_type(name: str) -> BadBody:
    return BadBody(f"its {name} has another type")


def with_former_names(schema: Schema, event_schema: Schema) -> Schema:
    """Return the writer's schema with each renamed field under the name that the event has for it.

    A newer writer gives the former name as an alias. Avro itself follows only the reader's aliases, and would lose the value.
    """
    wanted = {name: _field_names(node) for name, node in _records(event_schema)}
    renamed = copy.deepcopy(schema)
    for position, (name, node) in enumerate(_records(renamed)):
        known = wanted.get(str(event_schema["name"]) if position == 0 else name, frozenset())
        _rename(node["fields"], known)
    return renamed


def _rename(fields: Sequence[dict[str, Any]], known: frozenset[str]) -> None:
    taken = {field["name"] for field in fields}
    for field in fields:
        aliases = field.get("aliases", ())
        former = next((each for each in aliases if each in known and each not in taken), None)
        if field["name"] not in known and former is not None:
            field["name"] = former
            taken.add(former)


def _field_names(node: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(field["name"] for field in node["fields"])


def _records(node: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return the records within a schema by their names without namespace, the outermost first."""
    match node:
        case {"type": "record", "name": str(name), "fields": list(fields)}:
            inner = [each for field in fields for each in _records(field["type"])]
            return [(name.rpartition(".")[2], node), *inner]
        case (
            {"type": "array", "items": inner}
            | {"type": "map", "values": inner}
            | {"type": dict() | list() as inner}
        ):
            return _records(inner)
        case list():
            return [each for branch in node for each in _records(branch)]
    return []
