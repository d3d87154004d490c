"""Log records of OpenTelemetry in JSON, where a 64-bit integer is a text. Source: OTLP 1.5, "JSON Protobuf Encoding"."""

from collections.abc import Iterable
from itertools import repeat

import orjson
import polars as pl

from consumer.formats.otlp import BODY, OBSERVED, SEVERITY_INFO, TIME, attribute_keys
from consumer.formats.source_labels import OTLP_EVENT_NAME


def log_records(columns: pl.DataFrame) -> list[bytes]:
    """Return each record of `log_columns` as a JSON object. In batches of some hundred events expressions cost more than this."""
    first, *others = attribute_keys(columns)  # the first one is never null
    fields: list[Iterable[bytes]] = [
        _times(b'{"timeUnixNano":"', columns[TIME], b'","'),
        _times(b'observedTimeUnixNano":"', columns[OBSERVED], b'",'),
        repeat(f'"severityNumber":{SEVERITY_INFO},"eventName":"{OTLP_EVENT_NAME}",'.encode()),
        _texts(b'"body":{"stringValue":', columns[BODY], b"},"),
        _texts(b'"attributes":[' + _attribute_start(first), columns[first], b"}}"),
        *(_texts(b"," + _attribute_start(key), columns[key], b"}}") for key in others),
        repeat(b"]}"),
    ]
    return list(map(b"".join, zip(*fields, strict=False)))  # constants have no end


def _attribute_start(key: str) -> bytes:
    return f'{{"key":"{key}","value":{{"stringValue":'.encode()


def _times(start: bytes, times: pl.Series, end: bytes) -> Iterable[bytes]:
    return [start + text + end for text in times.cast(pl.String).cast(pl.Binary).to_list()]


def _texts(start: bytes, texts: pl.Series, end: bytes) -> Iterable[bytes]:
    """Return members of text; nothing for a null."""
    if texts.null_count() == len(texts):
        return repeat(b"")
    return [b"" if text is None else start + orjson.dumps(text) + end for text in texts.to_list()]
