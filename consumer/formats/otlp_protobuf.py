"""Log records of OpenTelemetry in protobuf, written by hand: the same bytes as those of protobuf's own library.

A column is written at a time, so that an event costs a few additions of bytes and no object of a message.
Source: opentelemetry-proto 1.5 and later, logs/v1/logs.proto and common/v1/common.proto; protobuf.dev, "Encoding".
"""

import struct
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import repeat

import polars as pl

from consumer.formats.otlp import BODY, OBSERVED, SEVERITY_INFO, TIME, attribute_keys
from consumer.formats.source_labels import OTLP_EVENT_NAME
from relay.protobuf import length_field, varint

_REMEMBERED_LENGTHS = 2_048
"""Lengths of a value whose first bytes are remembered, for each attribute."""


def log_records(columns: pl.DataFrame) -> list[bytes]:
    """Return each record of `log_columns` as a field of ScopeLogs."""
    fields: list[Iterable[bytes]] = [
        _times(b"\x09", columns[TIME]),  # time_unix_nano = 1
        repeat(b"\x10" + varint(SEVERITY_INFO)),  # severity_number = 2
        _texts(columns[BODY], _BODY_STARTS),
        *(_texts(columns[key], _attribute_starts(key)) for key in attribute_keys(columns)),
        _times(b"\x59", columns[OBSERVED]),  # observed_time_unix_nano = 11
        repeat(length_field(12, OTLP_EVENT_NAME.encode())),  # event_name = 12
    ]
    records = map(b"".join, zip(*fields, strict=False))  # constants have no end
    return [_RECORD_STARTS[len(record)] + record for record in records]


def request_head(resource: Mapping[str, str], size: int) -> bytes:
    """Return the beginning of an ExportLogsServiceRequest, up to its records, which have `size` bytes together."""
    attributes = (
        length_field(1, length_field(1, key.encode()) + length_field(2, length_field(1, text.encode())))
        for key, text in resource.items()
    )
    named = length_field(1, b"".join(attributes))  # ResourceLogs.resource = 1
    scope = b"\x12" + varint(size)  # ResourceLogs.scope_logs = 2
    return b"\x0a" + varint(len(named) + len(scope) + size) + named + scope  # resource_logs = 1


class _Starts(dict[int, bytes]):
    """The bytes before a value, by the length of the value; those of short values are remembered."""

    def __init__(self, make: Callable[[int], bytes]) -> None:
        self._make = make

    def __missing__(self, length: int) -> bytes:
        start = self._make(length)
        if length < _REMEMBERED_LENGTHS:
            self[length] = start
        return start


def _times(tag: bytes, times: pl.Series) -> Iterable[bytes]:
    """Return fields of fixed64; proto3 leaves out a 0."""
    listed = times.to_list()
    packed = struct.pack(f"<{len(listed)}Q", *listed)
    return [tag + packed[8 * index : 8 * index + 8] if time else b"" for index, time in enumerate(listed)]


def _texts(texts: pl.Series, starts: _Starts) -> Iterable[bytes]:
    """Return fields of text, each after its start; nothing for a null."""
    if texts.null_count() == len(texts):
        return repeat(b"")
    values = texts.cast(pl.Binary).to_list()
    return [b"" if value is None else starts[len(value)] + value for value in values]


def _message_start(number: int, length: int, inner: bytes = b"") -> bytes:
    """Return the beginning of a message in field `number`: `inner`, and `length` bytes that are not written here."""
    return varint(number << 3 | 2) + varint(len(inner) + length) + inner


def _string_value(length: int) -> bytes:
    """Return the beginning of an AnyValue that is a text."""
    return _message_start(1, length)


@lru_cache
def _attribute_starts(key: str) -> _Starts:
    """Return the starts of an attribute: LogRecord.attributes = 6, KeyValue.key = 1, KeyValue.value = 2."""
    written = length_field(1, key.encode())

    def make(length: int) -> bytes:
        text = _string_value(length)
        return _message_start(6, length, written + _message_start(2, length, text))

    return _Starts(make)


_BODY_STARTS = _Starts(lambda length: _message_start(5, length, _string_value(length)))
_RECORD_STARTS = _Starts(lambda length: _message_start(2, length))  # ScopeLogs.log_records = 2
