"""Parse schemas for fastavro, once each."""

from typing import Any, cast

from fastavro import parse_schema

from schemas import Schema

_cache: dict[int, tuple[Schema, dict[str, Any]]] = {}
_CACHE_SIZE = 256


def parsed_schema(schema: Schema) -> dict[str, Any]:
    """Return a schema parsed without its logical types, so that times stay ints.

    The bytes are the same. With logical types, readers build datetimes: twice as slow, and impossible outside the
    years 1 to 9999.
    """
    cached = _cache.get(id(schema))
    if cached is None:
        if len(_cache) >= _CACHE_SIZE:
            _cache.clear()
        # The cache keeps the schema too, so that no other object can get its id().
        parsed = cast("dict[str, Any]", parse_schema(_without_logical_types(schema)))
        _decode_bytes_defaults(parsed)
        cached = _cache[id(schema)] = (schema, parsed)
    return cached[1]


def _without_logical_types(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_logical_types(each) for each in node]
    if isinstance(node, dict):
        return {
            key: value if key == "default" else _without_logical_types(value)
            for key, value in node.items()
            if key != "logicalType"
        }
    return node


def _decode_bytes_defaults(node: Any) -> None:
    """Turn defaults of bytes fields from text into bytes; fastavro would return the text for a missing field."""
    if isinstance(node, dict):
        if node.get("type") == "bytes" and isinstance(node.get("default"), str):
            node["default"] = node["default"].encode("latin-1")
        for inner in node.values():
            _decode_bytes_defaults(inner)
    elif isinstance(node, list):
        for inner in node:
            _decode_bytes_defaults(inner)
