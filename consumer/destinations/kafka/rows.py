"""Rows for records: the key, the time and the headers of a record as JSON, a tab, and its value. JSON escapes tabs."""

from collections.abc import Mapping
from typing import Any

import orjson
import polars as pl

from consumer.destinations.contract import BodyFormat
from consumer.destinations.kafka.config import Format, TopicConfig
from consumer.destinations.truncation import truncate_row, truncate_texts
from consumer.formats.cloudevents import REPLAY_ATTRIBUTE, SOURCE_COLUMN, with_uri_sources
from consumer.formats.ecs import ecs_document, with_ecs_columns
from consumer.formats.encoded_rows import EncodedRows
from consumer.formats.json_text import iso_time, json_text
from consumer.formats.native import event_uid, native_row
from consumer.formats.ocsf import ocsf_row, with_ocsf_columns
from consumer.formats.replay_mark import REPLAY_ID, is_replayed
from consumer.formats.source_labels import CLOUDEVENTS_TYPE

MIN_BODY_BYTES = 1_000_000
UID_HEADER = "relay.uid"
REPLAY_HEADER = "relay.replay"

_TAB = b"\t"
_MIN_TIME_MS, _MAX_TIME_MS = -62_135_596_800_000, 253_402_300_799_999
"""Years 1 to 9999, which RFC 3339 can write."""
_CREATED_MS = pl.col("created").cast(pl.Int64)
_META = {"key": pl.col("organization"), "uid": event_uid(), "time": _CREATED_MS}
_CLOUDEVENT = {
    "source": pl.col(SOURCE_COLUMN),
    "iso": iso_time(pl.when(_CREATED_MS.is_between(_MIN_TIME_MS, _MAX_TIME_MS)).then(pl.col("created"))),
}


def _row(shape: Format, *, cloudevents: bool, replayed: bool) -> pl.Expr:
    """`cloudevents`: records have the headers of CloudEvents. `replayed`: the events are those of a replay."""
    value = {"native": native_row, "ecs": ecs_document, "ocsf": ocsf_row}[shape](replayed=replayed)
    meta = _META | (_CLOUDEVENT if cloudevents else {}) | ({"replay": pl.col(REPLAY_ID)} if replayed else {})
    return pl.concat_str(json_text(meta), pl.lit(_TAB.decode()), value)


_SHAPES: tuple[Format, ...] = ("native", "ecs", "ocsf")
_ROWS: Mapping[tuple[Format, bool, bool], pl.Expr] = {
    (shape, cloudevents, replayed): _row(shape, cloudevents=cloudevents, replayed=replayed)
    for shape in _SHAPES
    for cloudevents in (False, True)
    for replayed in (False, True)
}
"""By format, by whether records have the headers of CloudEvents, and by whether the events are those of a replay."""

_CONSTANT_HEADERS = (
    ("ce_specversion", b"1.0"),
    ("ce_type", CLOUDEVENTS_TYPE.encode()),
    ("content-type", b"application/json"),
)
"""Source: CloudEvents 1.0.2, Kafka protocol binding, 3.2 binary content mode."""

Record = tuple[bytes, bytes, int, list[tuple[str, bytes]]]
"""Key, value, time in ms UTC, headers."""


def body_format(config: TopicConfig) -> BodyFormat:
    """Return the framing of the rows that are written together."""
    return BodyFormat(max(MIN_BODY_BYTES, config.max_record_bytes), b"", b"\n", b"")


def encode_rows(events: pl.DataFrame, config: TopicConfig, framing: BodyFormat) -> EncodedRows:
    """Write one row an event, in order, each of at most `config.max_record_bytes` bytes; longer values are truncated with a mark."""
    frame = _with_columns(events, config.format)
    if config.cloudevents:
        frame = with_uri_sources(frame)
    texts = frame.select(_ROWS[config.format, config.cloudevents, is_replayed(events)]).to_series()
    rows = EncodedRows.of_texts(texts, framing.separator)
    limit = config.max_record_bytes
    return rows.with_rows(
        {index: _fit_row(rows.row(index), config.format, limit) for index in rows.longer_than(limit)}
    )


def decode_records(content: bytes, now_ms: int) -> list[Record]:
    """Return the records of a body. Times are those of the events, from 1970 to now: Kafka refuses others.

    Source: message.timestamp.after.max.ms, one hour by default since Kafka 4.0.
    """
    records: list[Record] = []
    for row in content.split(b"\n"):
        head, _, value = row.partition(_TAB)
        meta = orjson.loads(head)
        records.append((meta["key"].encode(), value, min(max(meta["time"], 0), now_ms), _headers(meta)))
    return records


def _headers(meta: Mapping[str, Any]) -> list[tuple[str, bytes]]:
    uid = meta["uid"].encode()
    replay = meta["replay"].encode() if "replay" in meta else None
    headers = [(UID_HEADER, uid)] if replay is None else [(UID_HEADER, uid), (REPLAY_HEADER, replay)]
    if "source" in meta:
        headers += [*_CONSTANT_HEADERS, ("ce_id", uid), ("ce_source", meta["source"].encode())]
        if meta["iso"] is not None:
            headers.append(("ce_time", meta["iso"].encode()))
        if replay is not None:
            headers.append((f"ce_{REPLAY_ATTRIBUTE}", replay))
    return headers


def _with_columns(events: pl.DataFrame, shape: Format) -> pl.DataFrame:
    match shape:
        case "ecs":
            return with_ecs_columns(events)
        case "ocsf":
            return with_ocsf_columns(events)
        case _:
            return events


def _fit_row(row: bytes, shape: Format, max_bytes: int) -> bytes:
    head, _, value = row.partition(_TAB)
    room = max_bytes - len(head) - len(_TAB)
    event = orjson.loads(value)
    fitted = truncate_row(event, room, room) if shape == "native" else truncate_texts(event, room, room)
    return head + _TAB + fitted
