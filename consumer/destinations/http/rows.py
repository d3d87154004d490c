"""Rows and bodies for HTTP receivers: native events or CloudEvents, as an array, as lines, or one a request."""

from collections.abc import Mapping
from typing import Any

import orjson
import polars as pl
from isal import igzip

from consumer.destinations.contract import BodyFormat
from consumer.destinations.http.config import EventFormat, Format, HttpConfig
from consumer.destinations.truncation import truncate_row
from consumer.formats.cloudevents import cloudevents_attributes, with_uri_sources
from consumer.formats.encoded_rows import EncodedRows
from consumer.formats.json_rows import json_rows
from consumer.formats.native import native_fields
from consumer.formats.ocsf import ocsf_fields, with_ocsf_columns
from consumer.formats.replay_mark import is_replayed

CONTENT_TYPES: Mapping[Format, str] = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "single": "application/json",
    "cloudevents": "application/cloudevents-batch+json",  # CloudEvents 1.0.2, HTTP protocol binding, 3.3
}

_BOTH = (False, True)
_NATIVE = {replayed: native_fields(replayed=replayed) for replayed in _BOTH}
_CLOUDEVENT = {replayed: cloudevents_attributes(replayed=replayed) for replayed in _BOTH}
_OCSF = {replayed: ocsf_fields(replayed=replayed) for replayed in _BOTH}
"""By whether the events are those of a replay."""


def body_format(config: HttpConfig) -> BodyFormat:
    """Return the framing of the settings' format."""
    match config.format:
        case "json" | "cloudevents":
            return BodyFormat(config.max_body_bytes, b"[", b",", b"]", config.max_events)
        case "ndjson":
            return BodyFormat(config.max_body_bytes, b"", b"\n", b"\n", config.max_events)
        case _:  # single
            return BodyFormat(config.max_body_bytes, b"", b"\n", b"", 1)


def encode_rows(
    events: pl.DataFrame, shape: Format, framing: BodyFormat, event_format: EventFormat = "native"
) -> EncodedRows:
    """Write one JSON object an event, in order, each of at most `framing.max_row_bytes` bytes.

    An event that is too long is truncated with a mark.
    """
    if shape == "cloudevents":
        events, members = with_uri_sources(events), _CLOUDEVENT
    elif event_format == "ocsf":
        events, members = with_ocsf_columns(events), _OCSF
    else:
        members = _NATIVE
    rows = json_rows(events.select(**members[is_replayed(events)]), framing.separator)
    limit = framing.max_row_bytes
    return rows.with_rows({index: _fit_row(rows.row(index), limit) for index in rows.longer_than(limit)})


def encode_body(rows: EncodedRows, config: HttpConfig, framing: BodyFormat) -> bytes:
    """Return the body of these rows. The gzip header holds no time: equal rows give an equal body."""
    content = framing.framed(rows)
    if config.compression == "none":
        return content
    compressed: bytes = igzip.compress(content, 1, mtime=0)
    return compressed


def _fit_row(encoded: bytes, limit: int) -> bytes:
    row: dict[str, Any] = orjson.loads(encoded)
    if "specversion" not in row:
        return truncate_row(row, limit, limit)
    envelope = orjson.dumps({**row, "data": None})
    data = orjson.loads(truncate_row(row["data"], limit, limit - len(envelope)))
    return orjson.dumps({**row, "data": data})
