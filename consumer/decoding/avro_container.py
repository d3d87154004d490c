"""Bare Avro bodies as one container file of one block, for a reader that takes whole files only."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from schemas import Schema

GUARD = "relay_guard"
"""A field of ours, after the writer's own, that stands behind every body."""

_SYNC = b"jira-audit-relay"


class Unsupported(Exception):
    """The writer's schema cannot be put into a container; says why."""


def container(schema: Schema, bodies: Sequence[bytes], guard: int) -> bytes:
    """A file holding `bodies`, each followed by `guard`.

    Bodies in a block carry no lengths. Only where every row read back shows the guard, and there are as many rows as
    bodies, was each row read from its own body, no byte more or less: the guard is drawn at random for each call and
    cannot stand within a body.
    """
    mark = varint(guard)
    block = mark.join(bodies) + mark
    return b"".join((_header(schema), varint(len(bodies)), varint(len(block)), block, _SYNC))


def varint(number: int) -> bytes:
    """Avro's int and long: zigzag, seven bits a byte, the lowest first."""
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _header(schema: Schema) -> bytes:
    text = orjson.dumps(_guarded(schema))
    codec = _sized(b"avro.codec") + _sized(b"null")
    return b"Obj\x01" + varint(2) + codec + _sized(b"avro.schema") + _sized(text) + varint(0) + _SYNC


def _sized(text: bytes) -> bytes:
    return varint(len(text)) + text


def _guarded(schema: Schema) -> Schema:
    plain = spelled_out(schema)
    if not isinstance(plain, dict) or plain["type"] != "record":
        raise Unsupported("not a record")
    return {**plain, "fields": [*plain["fields"], {"name": GUARD, "type": "long"}]}


def spelled_out(schema: Any) -> Any:
    """The schema with named types written out wherever they are used, except within themselves; without docs and defaults.

    Raises Unsupported where it is no schema.
    """
    return _spell(schema, "", {}, ())


def _spell(node: Any, namespace: str, known: dict[str, Any], within: tuple[str, ...]) -> Any:
    match node:
        case str():
            return _named(node, namespace, known, within)
        case list():
            return [_spell(branch, namespace, known, within) for branch in node]
        case {"type": "array", "items": items}:
            return {"type": "array", "items": _spell(items, namespace, known, within)}
        case {"type": "record", "name": str(), "fields": list()}:
            return _record(node, namespace, known, within)
        case {"type": "enum" | "fixed", "name": str()}:
            kept = {key: node[key] for key in ("type", "name", "symbols", "size") if key in node}
            known[_full_name(node, namespace)] = (node, namespace)
            return kept
        case {"type": "map", "values": values}:
            return {"type": "map", "values": _spell(values, namespace, known, within)}
        case {"type": str(), "logicalType": str()}:
            return {"type": node["type"], "logicalType": node["logicalType"]}
        case {"type": inner}:
            return _spell(inner, namespace, known, within)
        case _:
            raise Unsupported("not a type")


_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


def _named(name: str, namespace: str, known: dict[str, Any], within: tuple[str, ...]) -> Any:
    if name in _PRIMITIVES:
        return name
    full = name if "." in name or f"{namespace}.{name}" not in known else f"{namespace}.{name}"
    if full not in known:
        raise Unsupported(f"{name} is not defined")
    if full in within:
        return name
    definition, its_namespace = known[full]
    return _spell(definition, its_namespace, known, within)


def _record(
    node: Mapping[str, Any], namespace: str, known: dict[str, Any], within: tuple[str, ...]
) -> dict[str, Any]:
    full = _full_name(node, namespace)
    known[full] = (node, namespace)
    inner = full.rpartition(".")[0]
    fields = [
        {"name": field["name"], "type": _spell(field["type"], inner, known, (*within, full))}
        for field in node["fields"]
    ]
    return {"type": "record", "name": full.rpartition(".")[2], "fields": fields}


def _full_name(node: Mapping[str, Any], namespace: str) -> str:
    name = str(node["name"])
    space = str(node.get("namespace") or namespace)
    return name if "." in name or not space else f"{space}.{name}"
