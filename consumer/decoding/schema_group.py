"""Records of one writer's schema as columns: thousands at once, and one by one if that fails.

Both ways give the same rows, and a corrupt record never changes its neighbours' rows. They differ in one thing: for a union
branch that does not exist, polars decodes the branch that is not null, and fastavro fails.
"""

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import polars as pl
from polars.exceptions import PanicException, PolarsError

from consumer.decoding.avro_container import GUARD, UnsupportedSchema, build_container, encode_varint
from consumer.decoding.event_schema import (
    AUDIT_EVENT,
    EVENT_COLUMNS,
    REQUIRED_COLUMNS,
    TIME_COLUMNS,
    WriterSchema,
    to_event_columns,
)
from consumer.decoding.event_values import event_converter
from relay.avro.codec import BadBody, SchemaRef, decode_body
from relay.kafka import Record, keys_of, select_records, timestamp_types_of, timestamps_of, values_of

LOG_APPEND_TIME = 1
SUBGROUPS = 8
MAX_SINGLY = 32
"""A group of at most so many records is decoded one by one when one of them is bad."""


@dataclass(frozen=True, slots=True)
class UndecodableRecord:
    """A record that is not an audit event of the relay."""

    index: int
    """Its place among the given records."""
    reason: str
    ref: SchemaRef | None = None
    """The reference to its schema, where the schema may be wrong instead of the record; None: the record is at fault."""


@dataclass(frozen=True, slots=True)
class DecodedPart:
    """Events of some records of a group."""

    frame: pl.DataFrame
    """One row an event, with EVENT_COLUMNS."""
    indices: Sequence[int]
    """The record of each row."""
    singly: int
    """Number of records that were decoded one by one for this part."""


@dataclass(frozen=True, slots=True)
class SchemaGroup:
    """Records of one writer's schema."""

    indices: Sequence[int]
    values: Sequence[bytes]
    frame_bytes: int
    """Bytes of each value before its body."""
    keys: Sequence[bytes | None]
    timestamps: Sequence[int | None]
    """None: the topic is misconfigured to broker timestamps. That must not cost events."""

    def __getitem__(self, part: slice) -> "SchemaGroup":
        return SchemaGroup(
            self.indices[part],
            self.values[part],
            self.frame_bytes,
            self.keys[part],
            self.timestamps[part],
        )

    def select(self, places: Sequence[int]) -> "SchemaGroup":
        return SchemaGroup(
            [self.indices[place] for place in places],
            [self.values[place] for place in places],
            self.frame_bytes,
            [self.keys[place] for place in places],
            [self.timestamps[place] for place in places],
        )

    def holds_key(self, place: int) -> bool:
        """Return whether a body may be that of an event, whose organization is its key; other bytes are garbage."""
        key = self.keys[place] or b""
        return key != b"" and self.values[place].find(encode_varint(len(key)) + key, self.frame_bytes) >= 0


def schema_group(records: Sequence[Record], indices: Sequence[int], frame_bytes: int) -> SchemaGroup:
    """Return the records at `indices`. Each has a value, and the frame that names the schema is its first `frame_bytes` bytes."""
    chosen = records if len(indices) == len(records) else select_records(records, indices)
    values = cast("Sequence[bytes]", values_of(chosen))
    return SchemaGroup(indices, values, frame_bytes, keys_of(chosen), _producer_times(chosen))


def _producer_times(records: Sequence[Record]) -> Sequence[int | None]:
    if LOG_APPEND_TIME not in timestamp_types_of(records):
        return timestamps_of(records)
    return [None if each.timestamp_type == LOG_APPEND_TIME else each.timestamp for each in records]


def decode_group(
    group: SchemaGroup, writer: WriterSchema
) -> tuple[list[DecodedPart], list[UndecodableRecord]]:
    """Decode all at once; if that fails, in parts, so that a bad record slows down only some others."""
    frame = decode_together(group, writer)
    if frame is not None:
        return [DecodedPart(frame, group.indices, 0)], []
    size = len(group.indices)
    if size <= MAX_SINGLY or not writer.columnar:
        frame, undecodable = decode_singly(group, writer)
        failed = {each.index for each in undecodable}
        kept = [index for index in group.indices if index not in failed]
        return [DecodedPart(frame, kept, size)], undecodable
    parts, undecodable = [], []
    step = -(-size // SUBGROUPS)
    for start in range(0, size, step):
        found, failed_records = decode_group(group[start : start + step], writer)
        parts += found
        undecodable += failed_records
    return parts, undecodable


def decode_together(group: SchemaGroup, writer: WriterSchema) -> pl.DataFrame | None:
    """Return the events of a group in which no record is bad; None: one is, or polars cannot read the schema."""
    if not writer.columnar:
        return None
    guard = random.getrandbits(61) | 1 << 61  # always nine bytes
    try:
        container = build_container(writer.schema, group.values, group.frame_bytes, guard)
        read = pl.read_avro(io.BytesIO(container))
    except (PolarsError, PanicException, OSError, UnsupportedSchema):
        return None
    if read.height != len(group.values) or not (read[GUARD] == guard).all():
        return None
    frame = to_event_columns(read)
    return frame if _matches_records(frame, group) else None


def _matches_records(frame: pl.DataFrame, group: SchemaGroup) -> bool:
    """Return whether every row agrees with key and timestamp of its record, as a producer writes them."""
    if any(frame[name].null_count() for name in REQUIRED_COLUMNS):
        return False
    organizations = frame["organization"].cast(pl.Binary)
    collected = frame["collected"].cast(pl.Int64)
    keys = pl.Series(group.keys, dtype=pl.Binary)
    timestamps = pl.Series(group.timestamps, dtype=pl.Int64)
    # An unknown timestamp is no contradiction; a missing key is one. Only methods of a series that need no query plan.
    return not keys.null_count() and (organizations == keys).all() and (collected == timestamps).all()


def decode_singly(group: SchemaGroup, writer: WriterSchema) -> tuple[pl.DataFrame, list[UndecodableRecord]]:
    """Decode record by record. Return the events, and the records that are none."""
    rows, undecodable = [], []
    for index, value, key, timestamp in zip(
        group.indices, group.values, group.keys, group.timestamps, strict=True
    ):
        try:
            row = _to_event(decode_body(writer.schema, value[group.frame_bytes :]))
            _check_event(row, key, timestamp)
            rows.append(row)
        except BadBody as error:
            undecodable.append(UndecodableRecord(index, str(error)))
    frame = pl.DataFrame(rows, schema=_PLAIN_COLUMNS, orient="row", strict=True)
    return frame.cast({name: EVENT_COLUMNS[name] for name in TIME_COLUMNS}), undecodable


def _check_event(row: Sequence[Any], key: bytes | None, timestamp: int | None) -> None:
    if row[_ORGANIZATION].encode() != key:
        raise BadBody("its organization is not its key")
    if timestamp not in {None, row[_COLLECTED]}:
        raise BadBody("its time of collection is not its timestamp")


_to_event = event_converter(AUDIT_EVENT)
_PLAIN_COLUMNS = {
    name: pl.Int64() if name in TIME_COLUMNS else dtype for name, dtype in EVENT_COLUMNS.items()
}
"""The columns of an event with times as integers, as they are in a record."""
_ORGANIZATION, _COLLECTED = (list(EVENT_COLUMNS).index(name) for name in ("organization", "collected"))
