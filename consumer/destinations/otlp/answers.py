"""The messages of an answer, in protobuf or JSON: how many rows a backend dropped, and what it says about a failure.

Source: opentelemetry-proto 1.5, collector/logs/v1/logs_service.proto; google/rpc/status.proto.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

_MAX_VARINT_BYTES = 10
_FIXED_BYTES = {1: 8, 5: 4}
"""Bytes of a value by wire type. Source: protobuf.dev, "Encoding"."""
_ERROR_MEMBERS = frozenset({"code", "error", "errors"})
"""Members of a JSON answer that reports an error, also with status 200; no message of OTLP has them."""


class NotOtlpError(Exception):
    """The answer is no message of OTLP."""


@dataclass(frozen=True, slots=True)
class PartialSuccess:
    """What an accepting answer says of the rows. `rejected`: rows that the backend dropped."""

    rejected: int = 0
    message: str = ""


def read_partial_success(content: bytes, content_type: str) -> PartialSuccess:
    """Read an ExportLogsServiceResponse; an empty answer says that all is well. Raises NotOtlpError."""
    if not content.strip():
        return PartialSuccess()
    try:
        if _is_json(content_type) or content.startswith(b"{"):  # no message of OTLP begins with this byte
            return _from_json(orjson.loads(content))
        return _from_protobuf(content)
    except (ValueError, TypeError) as error:
        raise NotOtlpError from error


def error_message(content: bytes, content_type: str) -> str:
    """Return the message of a failure: that of a Status, or the answer itself where it is no Status."""
    try:
        if _is_json(content_type):
            message = orjson.loads(content)["message"]
            return message if isinstance(message, str) else content.decode("utf-8", "replace")
        if _is_protobuf(content_type):
            texts = [value for number, value in _fields(content) if number == 2 and isinstance(value, bytes)]
            return texts[-1].decode() if texts else ""
    except (ValueError, TypeError, LookupError):
        pass
    return content.decode("utf-8", "replace")


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"


def _is_protobuf(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/x-protobuf"


def _from_json(document: Any) -> PartialSuccess:
    """Read ProtoJSON, which writes an int64 as text, and names as in the schema or in camel case. Raises ValueError, TypeError."""
    if not isinstance(document, dict) or document.keys() & _ERROR_MEMBERS:
        raise ValueError
    partial = _member(document, "partialSuccess", "partial_success", {})
    if not isinstance(partial, dict):
        raise TypeError
    message = _member(partial, "errorMessage", "error_message", "")
    if not isinstance(message, str):
        raise TypeError
    return PartialSuccess(int(_member(partial, "rejectedLogRecords", "rejected_log_records", 0)), message)


def _member(document: dict[str, Any], camel: str, snake: str, default: Any) -> Any:
    value = document.get(camel, document.get(snake))
    return default if value is None else value


def _from_protobuf(content: bytes) -> PartialSuccess:
    """Read protobuf; unknown fields are skipped, and the last of equal ones counts. Raises ValueError."""
    rejected, message = 0, b""
    for number, value in _fields(content):
        if number != 1:
            continue
        if not isinstance(value, bytes):
            raise ValueError  # noqa: TRY004 - the content is wrong, not a type of the code
        for inner, part in _fields(value):
            match inner, part:
                case 1, int():
                    rejected = part - (1 << 64) if part >> 63 else part
                case 2, bytes():
                    message = part
                case ((1 | 2), _):
                    raise ValueError
    return PartialSuccess(rejected, message.decode("utf-8", "replace"))


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field: an integer for a varint, else its bytes. Raises ValueError."""
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise ValueError
        if wire_type == 0:
            value, place = _varint(content, place)
            yield number, value
            continue
        if wire_type == 2:
            size, place = _varint(content, place)
        else:
            size = _FIXED_BYTES.get(wire_type, len(content))
        if place + size > len(content):
            raise ValueError
        yield number, content[place : place + size]
        place += size


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """Return a varint and the place behind it. Raises ValueError."""
    found = 0
    for index, byte in enumerate(content[place : place + _MAX_VARINT_BYTES]):
        found |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return found & (1 << 64) - 1, place + index + 1
    raise ValueError
