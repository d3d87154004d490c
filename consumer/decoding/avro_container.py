"""Bare Avro bodies as one container file of one block, for a reader that reads whole files only."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from schemas import Schema

GUARD = "relay_guard"
"""The relay's own field after the writer's fields; its value follows every body."""

_FRAME = "relay_frame"
"""The relay's own field before the writer's fields: the bytes in front of every body, which name the schema."""

_SYNC_MARKER = b"jira-audit-relay"


class UnsupportedSchema(Exception):
    """The writer's schema cannot be put into a container; the message has the cause."""


def build_container(schema: Schema, messages: Sequence[bytes], frame_bytes: int, guard: int) -> bytes:
    """Return a file with `messages`, each followed by `guard`, which the caller draws at random for each call.

    A message is a body behind a frame of `frame_bytes` bytes, which is read as a field of its own: cutting it off takes longer.

    1. Bodies in a block carry no lengths, so a corrupt body could be read with bytes of the next one.
    2. A body cannot contain the guard, except by chance of 2⁻⁶¹.
    3. So if every row shows the guard, and there are as many rows as bodies, each row was read from its own body exactly.
    """
    guard_bytes = encode_varint(guard)
    size = sum(map(len, messages)) + len(guard_bytes) * len(messages)
    head = b"".join((_header(schema, frame_bytes), encode_varint(len(messages)), encode_varint(size)))
    if not messages:
        return head + _SYNC_MARKER
    # All in one join: each further one would copy megabytes to memory that is new.
    return guard_bytes.join((head + messages[0], *messages[1:], _SYNC_MARKER))


def encode_varint(number: int) -> bytes:
    """Encode an Avro int or long: zigzag, seven bits a byte, lowest bits first. Source: Avro specification, binary encoding."""
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _header(schema: Schema, frame_bytes: int) -> bytes:
    text = orjson.dumps(_with_own_fields(schema, frame_bytes))
    codec = _length_prefixed(b"avro.codec") + _length_prefixed(b"null")
    return (
        b"Obj\x01"
        + encode_varint(2)
        + codec
        + _length_prefixed(b"avro.schema")
        + _length_prefixed(text)
        + encode_varint(0)
        + _SYNC_MARKER
    )


def _length_prefixed(text: bytes) -> bytes:
    return encode_varint(len(text)) + text


def _with_own_fields(schema: Schema, frame_bytes: int) -> Schema:
    inlined = inline_named_types(schema)
    if not isinstance(inlined, dict) or inlined["type"] != "record":
        raise UnsupportedSchema("not a record")
    frame = {"name": _FRAME, "type": {"type": "fixed", "name": _FRAME, "size": frame_bytes}}
    return {**inlined, "fields": [frame, *inlined["fields"], {"name": GUARD, "type": "long"}]}


def inline_named_types(schema: Any) -> Any:
    """Return the schema with named types written out at each use, except within themselves, and without docs and defaults.

    Raises UnsupportedSchema for anything else than a schema.
    """
    return _inline(schema, "", {}, ())


def _inline(node: Any, namespace: str, named_types: dict[str, Any], enclosing: tuple[str, ...]) -> Any:
    match node:
        case str():
            return _inline_name(node, namespace, named_types, enclosing)
        case list():
            return [_inline(branch, namespace, named_types, enclosing) for branch in node]
        case {"type": "array", "items": items}:
            return {"type": "array", "items": _inline(items, namespace, named_types, enclosing)}
        case {"type": "record", "name": str(), "fields": list()}:
            return _inline_record(node, namespace, named_types, enclosing)
        case {"type": "enum" | "fixed", "name": str()}:
            kept = {key: node[key] for key in ("type", "name", "symbols", "size") if key in node}
            named_types[_full_name(node, namespace)] = (node, namespace)
            return kept
        case {"type": "map", "values": values}:
            return {"type": "map", "values": _inline(values, namespace, named_types, enclosing)}
        case {"type": str(), "logicalType": str()}:
            return {"type": node["type"], "logicalType": node["logicalType"]}
        case {"type": inner}:
            return _inline(inner, namespace, named_types, enclosing)
        case _:
            raise UnsupportedSchema("not a type")


_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


def _inline_name(name: str, namespace: str, named_types: dict[str, Any], enclosing: tuple[str, ...]) -> Any:
    if name in _PRIMITIVES:
        return name
    full_name = name if "." in name or f"{namespace}.{name}" not in named_types else f"{namespace}.{name}"
    if full_name not in named_types:
        raise UnsupportedSchema(f"{name} is not defined")
    if full_name in enclosing:
        return name
    definition, definition_namespace = named_types[full_name]
    return _inline(definition, definition_namespace, named_types, enclosing)


def _inline_record(
    node: Mapping[str, Any], namespace: str, named_types: dict[str, Any], enclosing: tuple[str, ...]
) -> dict[str, Any]:
    full_name = _full_name(node, namespace)
    named_types[full_name] = (node, namespace)
    inner = full_name.rpartition(".")[0]
    fields = [
        {"name": field["name"], "type": _inline(field["type"], inner, named_types, (*enclosing, full_name))}
        for field in node["fields"]
    ]
    return {"type": "record", "name": full_name.rpartition(".")[2], "fields": fields}


def _full_name(node: Mapping[str, Any], namespace: str) -> str:
    name = str(node["name"])
    space = str(node.get("namespace") or namespace)
    return name if "." in name or not space else f"{space}.{name}"
