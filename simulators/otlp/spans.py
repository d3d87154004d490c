"""Spans of a request, as a collector of traces reads them. Source: opentelemetry-proto 1.5, trace/v1/trace.proto."""

import struct
from typing import Any

from simulators.otlp.protobuf import BadMessageError, decoded, fields, messages

KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
_STATUS_ERROR = 2


def read_spans(content: bytes) -> list[dict[str, Any]]:
    """Return the spans of an ExportTraceServiceRequest, in order; ids as hexadecimal text. Raises BadMessageError."""
    found = []
    for resource_spans in messages(content, 1):
        resource: dict[str, Any] = {}
        for message in messages(resource_spans, 1):
            resource |= _attributes(message, 1)
        for scope_spans in messages(resource_spans, 2):
            found += [_span(each) | {"resource": resource} for each in messages(scope_spans, 2)]
    return found


def _span(content: bytes) -> dict[str, Any]:
    members = dict(fields(content))
    status = dict(fields(_bytes(members.get(15, b""))))
    return {
        "name": decoded(_bytes(members.get(5, b""))),
        "kind": KINDS.get(_number(members.get(6, 0)), "unspecified"),
        "traceId": _id(members.get(1, b""), 16),
        "spanId": _id(members.get(2, b""), 8),
        "parentSpanId": _id(members[4], 8) if 4 in members else None,
        "start": members.get(7, 0),
        "end": members.get(8, 0),
        "attributes": _attributes(content, 9),
        "links": [_link(each) for each in messages(content, 13)],
        "failed": status.get(3) == _STATUS_ERROR,
    }


def _link(content: bytes) -> tuple[str, str]:
    members = dict(fields(content))
    return _id(members.get(1, b""), 16), _id(members.get(2, b""), 8)


def _id(value: int | bytes, size: int) -> str:
    """Return an id; a backend refuses one of another length, or of zeros alone."""
    found = _bytes(value)
    if len(found) != size or not any(found):
        raise BadMessageError
    return found.hex()


def _attributes(content: bytes, number: int) -> dict[str, Any]:
    found = {}
    for message in messages(content, number):
        members = dict(fields(message))
        found[decoded(_bytes(members.get(1, b"")))] = _value(_bytes(members.get(2, b"")))
    return found


def _value(content: bytes) -> str | bool | int | float | None:
    for number, value in fields(content):
        match number:
            case 1:
                return decoded(_bytes(value))
            case 2:
                return bool(value)
            case 3:
                return _number(value)
            case 4:
                found: float = struct.unpack("<d", _number(value).to_bytes(8, "little"))[0]
                return found
    return None


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise BadMessageError
    return value


def _number(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise BadMessageError
    return value
