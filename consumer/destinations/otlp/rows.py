"""Rows and bodies of OTLP: log records of one resource, in protobuf or JSON."""

import sys
from collections.abc import Mapping
from typing import Any

import orjson
import polars as pl
from isal import igzip

from consumer.destinations.contract import BodyFormat, Flow
from consumer.destinations.otlp.config import Encoding, OtlpConfig
from consumer.destinations.truncation import truncate_row
from consumer.formats import otlp_json, otlp_protobuf
from consumer.formats.encoded_rows import EncodedRows
from consumer.formats.otlp import BODY, FLOW, IDENTITY, JSON_TEXTS, attribute_keys, log_columns
from consumer.formats.record_time import RecordTime

CONTENT_TYPES: Mapping[Encoding, str] = {
    "protobuf": "application/x-protobuf",
    "json": "application/json",
}
"""Source: OTLP 1.5, "Binary Protobuf Encoding" and "JSON Protobuf Encoding"."""
MIN_VALUE_BYTES = 256
"""Bytes that a value keeps, where its record has no room for more."""

_RECORDS = {"protobuf": otlp_protobuf.log_records, "json": otlp_json.log_records}


def resource_of(config: OtlpConfig, flow: Flow) -> dict[str, str]:
    """Return the attributes of the resource. Events of the flow history may have any mode, so the resource names the flow."""
    return {"service.name": config.service_name, FLOW: flow}


def body_format(config: OtlpConfig, flow: Flow) -> BodyFormat:
    """Return the framing of a body.

    The head of a message names the sizes behind it: the prefix here is that of the largest body, and a smaller one has some
    bytes less.
    """
    resource = resource_of(config, flow)
    if config.encoding == "json":
        attributes = [{"key": key, "value": {"stringValue": text}} for key, text in resource.items()]
        head = orjson.dumps({"resource": {"attributes": attributes}})[:-1]
        prefix = b'{"resourceLogs":[' + head + b',"scopeLogs":[{"logRecords":['
        return BodyFormat(config.max_body_bytes, prefix, b",", b"]}]}]}", config.max_events)
    prefix = otlp_protobuf.request_head(resource, config.max_body_bytes)
    return BodyFormat(config.max_body_bytes, prefix, b"", b"", config.max_events)


def encode_rows(
    events: pl.DataFrame, config: OtlpConfig, time: RecordTime, framing: BodyFormat
) -> EncodedRows:
    """Write one record an event, in order, each of at most `framing.max_row_bytes` bytes.

    A value that is too long is truncated with a mark, also where its record has no room for it.
    """
    columns = log_columns(events, time)
    records = _RECORDS[config.encoding](columns)
    longest = min(config.max_value_bytes, framing.max_row_bytes)
    for index, record in enumerate(records):
        if len(record) > longest:
            records[index] = _fit(columns[index : index + 1], record, config, framing.max_row_bytes)
    return EncodedRows.of(records, framing.separator)


def encode_body(rows: EncodedRows, config: OtlpConfig, flow: Flow, framing: BodyFormat) -> bytes:
    """Return the body of these rows. The gzip header holds no time: equal rows give an equal body."""
    if config.encoding == "json":
        content = framing.framed(rows)
    else:
        content = otlp_protobuf.request_head(resource_of(config, flow), rows.size) + bytes(rows.view)
    if config.compression == "none":
        return content
    compressed: bytes = igzip.compress(content, 1, mtime=0)
    return compressed


def _fit(columns: pl.DataFrame, record: bytes, config: OtlpConfig, row_bytes: int) -> bytes:
    """Return the record of one row whose values are cut to `max_value_bytes`, and further while the record is too long."""
    row = columns.row(0, named=True)
    texts = {name: row[name] for name in (BODY, *attribute_keys(columns)) if name not in IDENTITY}
    if len(record) <= row_bytes and all(
        len(text.encode()) <= config.max_value_bytes for text in texts.values() if text is not None
    ):
        return record
    value_bytes = config.max_value_bytes
    while True:
        cut = columns.with_columns(**_truncated(texts, value_bytes))
        (record,) = _RECORDS[config.encoding](cut)
        if len(record) <= row_bytes or value_bytes <= MIN_VALUE_BYTES:
            return record
        value_bytes //= 2


def _truncated(texts: Mapping[str, str | None], value_bytes: int) -> dict[str, pl.Expr]:
    """Return the texts, each of at most `value_bytes` bytes; one that is JSON stays JSON."""
    values: dict[str, Any] = {
        name: orjson.loads(text) if text is not None and name in JSON_TEXTS else text
        for name, text in texts.items()
    }
    cut: dict[str, Any] = orjson.loads(truncate_row(values, value_bytes, sys.maxsize))
    return {
        name: pl.lit(orjson.dumps(value).decode() if isinstance(value, list) else value, pl.String)
        for name, value in cut.items()
    }
