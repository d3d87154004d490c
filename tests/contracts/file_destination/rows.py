"""Rows of the destination kind file: one line an event, in the native format."""

import orjson
import polars as pl

from consumer.destinations.contract import BodyFormat
from consumer.destinations.truncation import truncate_row
from consumer.formats.encoded_rows import EncodedRows
from consumer.formats.native import native_row
from consumer.formats.replay_mark import is_replayed

BODY_FORMAT = BodyFormat(max_bytes=100_000, separator=b"\n", suffix=b"\n", max_rows=400)
MAX_VALUE_BYTES = 10_000

_ROWS = {replayed: native_row(replayed=replayed) for replayed in (False, True)}
"""By whether the events are those of a replay."""


def encode_rows(events: pl.DataFrame) -> EncodedRows:
    """Write one line an event; a row that is too long is truncated with a mark."""
    rows = EncodedRows.of_texts(events.select(_ROWS[is_replayed(events)]).to_series(), BODY_FORMAT.separator)
    if rows.longest <= MAX_VALUE_BYTES:
        return rows
    fitted = (row if len(row) <= MAX_VALUE_BYTES else _truncated(row) for row in rows)
    return EncodedRows.of(fitted, BODY_FORMAT.separator)


def _truncated(row: bytes) -> bytes:
    return truncate_row(orjson.loads(row), MAX_VALUE_BYTES, BODY_FORMAT.max_row_bytes)
