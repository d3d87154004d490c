"""Versions of a schema to come, as hypothesis draws them, and records of them."""

import copy
import itertools
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from schemas import Schema
from tests.support.generated import values

Names = Iterator[int]
"""Numbers for the names of one schema."""


def evolutions(schema: Schema) -> st.SearchStrategy[Schema]:
    """Return a strategy for newer versions that Avro resolves to `schema`, changed at every depth."""
    return st.composite(lambda draw: _evolved(draw, schema))()


def _evolved(draw: st.DrawFn, schema: Schema) -> Schema:
    newer, names = copy.deepcopy(schema), itertools.count()
    for record in _records(newer):
        for _ in range(draw(st.integers(0, 2))):
            field = _added_field(draw, names)
            record["fields"].insert(draw(st.integers(0, len(record["fields"]))), field)
        if draw(st.booleans()):
            _rename(draw, record, names)
        if draw(st.integers(0, 3)) == 0:
            record["fields"] = _reordered(draw, record["fields"])
    for node in _enums(newer):
        if draw(st.booleans()):
            node["symbols"].append(f"symbol{next(names)}")
    for field in [each for record in _records(newer) for each in record["fields"]]:
        if draw(st.integers(0, 5)) == 0:
            _widen(draw, field)
    return newer


def _added_field(draw: st.DrawFn, names: Names) -> dict[str, Any]:
    kind = draw(_types)(names)
    return {"name": f"added{next(names)}", "type": ["null", kind], "default": None}


def _rename(draw: st.DrawFn, record: dict[str, Any], names: Names) -> None:
    """Give a field without duty another name, with its former one as alias."""
    renamable = [
        each for each in record["fields"] if "default" in each and not each["name"].startswith("added")
    ]
    if renamable:
        field = draw(st.sampled_from(renamable))
        field["aliases"] = [field["name"]]
        field["name"] = f"renamed{next(names)}"


def _reordered(draw: st.DrawFn, fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Named types must stay defined before their use, so only fields of plain types change places."""
    places = [
        place
        for place, field in enumerate(fields)
        if isinstance(field["type"], str | list) and "Item" not in str(field["type"])
    ]
    moved = draw(st.permutations(places))
    ordered = list(fields)
    for place, source in zip(places, moved, strict=True):
        ordered[place] = fields[source]
    return ordered


def _widen(draw: st.DrawFn, field: dict[str, Any]) -> None:
    kind = field["type"] = _other_form(draw, field["type"])
    if field.get("default", 0) is None and not (isinstance(kind, list) and kind[0] == "null"):
        del field["default"]  # a default is one of the first branch


def _other_form(draw: st.DrawFn, kind: Any) -> Any:
    """Return another type whose values Avro resolves to `kind`."""
    match kind:
        case "long":
            return draw(st.sampled_from(["int", "long"]))
        case ["null", "string"]:
            return draw(
                st.sampled_from(
                    [
                        ["string", "null"],
                        "string",
                        ["null", "bytes"],
                        ["null", "string", "long"],
                        ["null", {"type": "string", "logicalType": "uuid"}],
                    ]
                )
            )
        case ["null", other]:
            return draw(st.sampled_from([["null", other, "long"], other, [other, "null"]]))
    return kind


def _named(names: Names, kind: str, **rest: Any) -> dict[str, Any]:
    return {"type": kind, "name": f"Type{next(names)}", **rest}


_PLAIN = [
    lambda _: "boolean",
    lambda _: "int",
    lambda _: "long",
    lambda _: "float",
    lambda _: "double",
    lambda _: "bytes",
    lambda _: "string",
    lambda _: {"type": "int", "logicalType": "date"},
    lambda _: {"type": "int", "logicalType": "time-millis"},
    lambda _: {"type": "long", "logicalType": "time-micros"},
    lambda _: {"type": "long", "logicalType": "timestamp-millis"},
    lambda _: {"type": "long", "logicalType": "timestamp-micros"},
    lambda _: {"type": "long", "logicalType": "timestamp-nanos"},
    lambda _: {"type": "long", "logicalType": "local-timestamp-micros"},
    lambda _: {"type": "string", "logicalType": "uuid"},
    lambda _: {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2},
    lambda _: {"type": "bytes", "logicalType": "unheard-of"},
    lambda names: _named(names, "enum", symbols=["a", "b"]),
    lambda names: _named(names, "fixed", size=4),
    lambda names: _named(names, "fixed", size=12, logicalType="duration"),
    lambda names: _named(names, "fixed", size=8, logicalType="decimal", precision=10, scale=3),
]
_NESTED = [
    lambda inner, _: {"type": "array", "items": inner},
    lambda inner, _: {"type": "array", "items": ["null", inner]},
    lambda inner, _: {"type": "map", "values": inner},
    lambda inner, names: _named(names, "record", fields=[{"name": "inner", "type": inner}]),
    lambda inner, names: _named(
        names,
        "record",
        fields=[{"name": "inner", "type": ["null", inner]}, {"name": "more", "type": "boolean"}],
    ),
    lambda _, names: _named(names, "record", fields=[]),
]
_types = st.recursive(
    st.sampled_from(_PLAIN),
    lambda inner: st.builds(
        lambda nest, kind: lambda names: nest(kind(names), names), st.sampled_from(_NESTED), inner
    ),
    max_leaves=3,
)


def _appended(draw: st.DrawFn) -> list[dict[str, Any]]:
    names = itertools.count()
    return [_added_field(draw, names) for _ in range(draw(st.integers(1, 4)))]


appended_fields = st.composite(_appended)()
"""One to four optional fields of any types, as a next version appends them."""


def _records(node: Any) -> list[dict[str, Any]]:
    match node:
        case {"type": "record", "fields": fields}:
            return [node, *(each for field in fields for each in _records(field["type"]))]
        case {"items": inner} | {"type": dict() | list() as inner}:
            return _records(inner)
        case list():
            return [each for branch in node for each in _records(branch)]
    return []


def _enums(schema: Schema) -> list[dict[str, Any]]:
    return [
        field["type"]
        for record in _records(schema)
        for field in record["fields"]
        if isinstance(field["type"], dict) and field["type"]["type"] == "enum"
    ]


class EventWriter:
    """Writes records of one schema as a writer of a newer version of it does."""

    def __init__(self, draw: st.DrawFn, wanted: Schema, newer: Schema) -> None:
        self._draw = draw
        self._wanted, self._newer = wanted, newer
        self._named = {each["name"]: each for each in _records(newer)}
        self._named_wanted = {each["name"]: each for each in _records(wanted)}

    def write(self, record: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the record as the newer writer has it, and as a reader of the older version must see it then."""
        return self._record(record, self._wanted, self._newer)

    def _record(
        self, record: dict[str, Any], wanted: Schema, newer: Schema
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        types = {field["name"]: field["type"] for field in wanted["fields"]}
        written, seen = {}, {}
        for field in newer["fields"]:
            name = next((each for each in (field["name"], *field.get("aliases", ())) if each in types), None)
            if name is None:
                written[field["name"]] = self._draw(values(field["type"]))
            else:
                pair = self._value(record.get(name), types[name], field["type"])
                written[field["name"]], seen[name] = pair
        return written, seen

    def _value(self, value: Any, wanted: Any, kind: Any) -> tuple[Any, Any]:
        if isinstance(kind, str) and kind in self._named:
            kind = self._named[kind]
        if isinstance(wanted, str) and wanted in self._named_wanted:
            wanted = self._named_wanted[wanted]
        match wanted, kind:
            case ["null", _], list() if value is None and "null" in kind:
                return None, None
            case ["null", inner], _:
                return self._value(value, inner, kind)
            case _, list():
                branch = next(each for each in kind if each not in ("null", "long") or each == wanted)
                return self._value(value, wanted, branch)
            case "string", "bytes":
                return (value or "").encode(), value or ""
            case "string", _:
                return value or "", value or ""
            case {"type": "array", "items": item}, {"items": kind_of_item}:
                pairs = [self._value(each, item, kind_of_item) for each in value or []]
                return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
            case {"type": "record"}, {"type": "record"}:
                return self._record(value or {}, wanted, kind)
        return value, value
