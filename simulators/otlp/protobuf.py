"""Protobuf as a backend reads and writes it. Source: opentelemetry-proto 1.5; protobuf.dev, "Encoding"."""

from collections.abc import Iterator
from typing import Any

Value = int | bytes


class BadMessageError(Exception):
    """The bytes are no message."""


def read_request(content: bytes) -> list[dict[str, Any]]:
    """Return the log records of an ExportLogsServiceRequest, in order. Raises BadMessageError."""
    records = []
    for resource_logs in messages(content, 1):
        resource: dict[str, Any] = {}
        for message in messages(resource_logs, 1):
            resource |= _attributes(message, 1)
        for scope_logs in messages(resource_logs, 2):
            records += [_record(each) | {"resource": resource} for each in messages(scope_logs, 2)]
    return records


def partial_success(rejected: int, message: str) -> bytes:
    """Write an ExportLogsServiceResponse; nothing where there is nothing to say."""
    inner = (b"\x08" + _varint(rejected) if rejected else b"") + (_text(2, message) if message else b"")
    return _field(1, inner) if inner else b""


def status(code: int, message: str) -> bytes:
    """Write a google.rpc.Status."""
    return b"\x08" + _varint(code) + _text(2, message)


def _record(content: bytes) -> dict[str, Any]:
    found = dict(fields(content))
    body = found.get(5)
    name = found.get(12, b"")
    if not isinstance(body, bytes | None) or not isinstance(name, bytes):
        raise BadMessageError
    return {
        "timeUnixNano": found.get(1, 0),
        "observedTimeUnixNano": found.get(11, 0),
        "severityNumber": found.get(2, 0),
        "eventName": decoded(name),
        "body": None if body is None else _any_value(body),
        "attributes": _attributes(content, 6),
    }


def _attributes(content: bytes, number: int) -> dict[str, Any]:
    found = {}
    for message in messages(content, number):
        members = dict(fields(message))
        key, value = members.get(1, b""), members.get(2, b"")
        if not isinstance(key, bytes) or not isinstance(value, bytes):
            raise BadMessageError
        found[decoded(key)] = _any_value(value)
    return found


def _any_value(content: bytes) -> Any:
    """Return a text; the relay sends no other values."""
    for number, value in fields(content):
        if number != 1 or not isinstance(value, bytes):
            raise BadMessageError
        return decoded(value)
    return None


def messages(content: bytes, wanted: int) -> Iterator[bytes]:
    """Yield each message of a field. Raises BadMessageError."""
    for number, value in fields(content):
        if number == wanted:
            if not isinstance(value, bytes):
                raise BadMessageError
            yield value


def fields(content: bytes) -> Iterator[tuple[int, Value]]:
    """Yield number and value of each field. Raises BadMessageError."""
    rest = memoryview(content)
    while rest:
        tag, rest = _read_varint(rest)
        match tag & 7:
            case 0:
                number, rest = _read_varint(rest)
                yield tag >> 3, number
            case 1 if len(rest) >= 8:
                yield tag >> 3, int.from_bytes(rest[:8], "little")
                rest = rest[8:]
            case 2:
                size, rest = _read_varint(rest)
                if size > len(rest):
                    raise BadMessageError
                yield tag >> 3, bytes(rest[:size])
                rest = rest[size:]
            case _:
                raise BadMessageError


def _read_varint(data: memoryview) -> tuple[int, memoryview]:
    number = 0
    for index in range(min(10, len(data))):
        number += (data[index] & 127) << 7 * index
        if data[index] < 128:
            return number, data[index + 1 :]
    raise BadMessageError


def decoded(text: bytes) -> str:
    """Return a text. Raises BadMessageError."""
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise BadMessageError from error


def _varint(number: int) -> bytes:
    head = [number >> shift & 127 for shift in range(0, 70, 7) if number >> shift or not shift]
    return bytes([*(each | 128 for each in head[:-1]), head[-1]])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number * 8 + 2) + _varint(len(content)) + content


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())
