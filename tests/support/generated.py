"""Strategies for records that a schema allows."""

from typing import Any

from hypothesis import strategies as st

from schemas import Schema

_PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=False, width=32),
    "double": st.floats(allow_nan=False),
    "string": st.text(st.characters(codec="utf-8"), max_size=30),
    "bytes": st.binary(max_size=30),
}


def records(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for records of a schema. Times are any long, also beyond the years of a datetime."""
    return _values(schema, {})


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for values of a type that names no type defined elsewhere."""
    return _values(kind, {})


def _values(node: Any, named: dict[str, Any]) -> st.SearchStrategy[Any]:
    match node:
        case list():
            return st.one_of([_values(branch, named) for branch in node])
        case str():
            return _PRIMITIVES[node] if node in _PRIMITIVES else _values(named[node], named)
        case {"type": "record", "name": name, "fields": fields}:
            named[name] = node
            return st.fixed_dictionaries({each["name"]: _values(each["type"], named) for each in fields})
        case {"type": "enum", "name": name, "symbols": symbols}:
            named[name] = node
            return st.sampled_from(symbols)
        case {"type": "array", "items": items}:
            return st.lists(_values(items, named), max_size=4)
        case {"type": "map", "values": items}:
            return st.dictionaries(
                st.text(st.characters(codec="utf-8"), max_size=5), _values(items, named), max_size=3
            )
        case {"type": "fixed", "size": size}:
            return st.binary(min_size=size, max_size=size)
        case {"type": inner}:
            return _values(inner, named)
    raise AssertionError(f"no strategy for {node}")
