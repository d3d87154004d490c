"""Rows and bodies for an HTTP Event Collector: events in an envelope."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import polars as pl
from isal import igzip

from consumer.destinations.contract import BodyFormat
from consumer.destinations.splunk.config import Format
from consumer.destinations.truncation import truncate_row
from consumer.formats.encoded_rows import EncodedRows
from consumer.formats.json_text import json_object
from consumer.formats.native import event_uid, native_fields
from consumer.formats.ocsf import ocsf_fields, with_ocsf_columns

UID_FIELD = "event_uid"
"""The indexed field that identifies repeats: `| dedup event_uid`."""

MAX_VALUE_BYTES = 64 * 1024
"""Longer values are truncated with a mark: fields of a search are of no use beyond."""
_SAFE_ROW_BYTES = MAX_VALUE_BYTES // 2
"""No value of a row below this can be too long, however it is written."""

_MAX_TIME_MS = 253_402_300_799_999
"""The year 9999. HEC refuses times before 1970; an event beyond both has the time of its arrival, and `created` in its text."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The metadata of each event, from the settings alone."""

    source: str
    sourcetype: str
    index: str | None = None
    """None: the default index of the token."""
    routes: Mapping[str, str] = field(default_factory=dict)
    """Organization: its index."""
    format: Format = "native"

    def row(self, *, replayed: bool = False) -> pl.Expr:
        """Write each event as one JSON object of an HTTP Event Collector. `replayed`: the events are those of a replay.

        Source: Splunk Enterprise, "Format events for HTTP Event Collector". `time` is in epoch seconds, with milliseconds.
        """
        created = pl.col("created").cast(pl.Int64)
        seconds = (created / 1000).round(3)  # polars multiplies by 0.001, which ends in .1230001
        index: pl.Expr = pl.lit(self.index, pl.String)
        if self.routes:
            names, indexes = pl.Series(list(self.routes)), pl.Series(list(self.routes.values()))
            index = pl.col("organization").replace_strict(
                names, indexes, default=index, return_dtype=pl.String
            )
        fields = (ocsf_fields if self.format == "ocsf" else native_fields)(replayed=replayed)
        return json_object({
            "time": pl.when(created.is_between(0, _MAX_TIME_MS)).then(seconds),
            "host": pl.col("organization"),
            "source": pl.lit(self.source),
            "sourcetype": pl.lit(self.sourcetype),
            "index": index,
            "fields": pl.struct(event_uid().alias(UID_FIELD)),
            "event": pl.struct([value.alias(name) for name, value in fields.items()]),
        })  # fmt: skip


def body_format(max_body_bytes: int) -> BodyFormat:
    """Return the framing: objects one after the other, a line each."""
    return BodyFormat(max_body_bytes, b"", b"\n", b"")


def encode_rows(
    events: pl.DataFrame, row: pl.Expr, framing: BodyFormat, format_: Format = "native"
) -> EncodedRows:
    """Write one JSON object an event, in order, each of at most `framing.max_row_bytes` bytes.

    A value that is too long is truncated with a mark. `row`: as `Envelope.row` returns it for this format and these events.
    """
    if format_ == "ocsf":
        events = with_ocsf_columns(events)
    rows = EncodedRows.of_texts(events.select(row).to_series(), framing.separator)
    safe = min(_SAFE_ROW_BYTES, framing.max_row_bytes)
    return rows.with_rows(
        {index: _fit_row(rows.row(index), framing.max_row_bytes) for index in rows.longer_than(safe)}
    )


def encode_body(rows: EncodedRows, framing: BodyFormat) -> bytes:
    """Return a compressed body. The gzip header holds no time: equal rows give an equal body."""
    compressed: bytes = igzip.compress(framing.framed(rows), 1, mtime=0)
    return compressed


def _fit_row(encoded: bytes, limit: int) -> bytes:
    row: dict[str, Any] = orjson.loads(encoded)
    envelope = orjson.dumps({**row, "event": None})
    event = orjson.loads(truncate_row(row["event"], min(MAX_VALUE_BYTES, limit), limit - len(envelope)))
    return orjson.dumps({**row, "event": event})
