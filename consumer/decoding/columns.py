"""Messages of the event topics as columns: thousands at once, and one by one if that fails.

Both ways give the same rows, and a corrupt message never changes its neighbours' rows. They differ in one thing: for a union
branch that does not exist, polars decodes the branch that is not null, and fastavro fails.
"""

import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from polars.exceptions import PanicException, PolarsError

from consumer.decoding.avro_container import GUARD, UnsupportedSchema, build_container
from consumer.decoding.event_schema import EVENT_COLUMNS, NotAnEventSchema, to_event_columns, writer_columns
from relay.avro.codec import BadBody, NotAvro, SchemaRef, decode_body, split_frame
from relay.kafka import Record
from schemas import Schema

LOG_APPEND_TIME = 1
_MIN_PREFIX_BYTES = 5
_SUBGROUPS = 8
_MAX_SINGLY = 32
"""A group of at most so many records is decoded one by one when one of them is bad."""


@dataclass(frozen=True, slots=True)
class UndecodableRecord:
    """A record that is not an audit event of the relay."""

    index: int
    """Its place among the given records."""
    reason: str


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    frame: pl.DataFrame
    """One row an event, in the records' order, with the columns of schemas/audit_event.avsc (EVENT_COLUMNS)."""
    indices: Sequence[int]
    """The record of each row."""
    undecodable: Sequence[UndecodableRecord]
    decoded_singly: int
    """Number of records that were decoded one by one."""


@dataclass(frozen=True, slots=True)
class _SchemaGroup:
    """Records of one writer's schema."""

    indices: Sequence[int]
    bodies: Sequence[bytes]
    keys: Sequence[bytes | None]
    timestamps: Sequence[int | None]
    """None: the topic is misconfigured to broker timestamps. That must not cost events."""

    def __getitem__(self, part: slice) -> "_SchemaGroup":
        return _SchemaGroup(self.indices[part], self.bodies[part], self.keys[part], self.timestamps[part])


def schema_references(records: Sequence[Record]) -> set[SchemaRef]:
    """Return the writers' schemas that `decode` needs for these records."""
    found = set()
    for prefix in _indices_by_prefix([record.value for record in records]):
        try:
            found.add(split_frame(prefix)[0])
        except NotAvro:
            continue
    return found


def decode(records: Sequence[Record], writer_schemas: Mapping[SchemaRef, Schema]) -> DecodedBatch:
    """Decode every record whose schema is in `writer_schemas`; a record of another schema is undecodable."""
    frames, indices, undecodable, singly = [], [], [], 0
    for prefix, found in _indices_by_prefix([record.value for record in records]).items():
        try:
            group, schema = _schema_group(records, found, prefix, writer_schemas)
            group_frames, group_undecodable, group_singly = _decode_group(
                group, schema, writer_columns(schema)
            )
        except (NotAvro, NotAnEventSchema) as error:
            undecodable += [UndecodableRecord(index, str(error)) for index in found]
            continue
        undecodable_indices = {each.index for each in group_undecodable}
        frames += group_frames
        indices.append(
            [index for index in found if index not in undecodable_indices] if undecodable_indices else found
        )
        undecodable += group_undecodable
        singly += group_singly
    frame, order = _in_record_order(frames, indices)
    return DecodedBatch(frame, order, sorted(undecodable, key=lambda each: each.index), singly)


def _frame_prefix(value: bytes | None) -> bytes:
    """Return the whole schema reference; no byte of the body if there is one."""
    if value is None:
        return b""
    return value[:10] if value[:1] == b"\xc3" else value[:5]


def _indices_by_prefix(values: Sequence[bytes | None]) -> dict[bytes, Sequence[int]]:
    prefix = _frame_prefix(values[0]) if values else b""
    if len(prefix) >= _MIN_PREFIX_BYTES and all(value and value.startswith(prefix) for value in values):
        return {prefix: range(len(values))}
    lists: dict[bytes, list[int]] = {}
    for index, value in enumerate(values):
        lists.setdefault(_frame_prefix(value), []).append(index)
    return {**lists}


def _schema_group(
    records: Sequence[Record],
    indices: Sequence[int],
    prefix: bytes,
    writer_schemas: Mapping[SchemaRef, Schema],
) -> tuple[_SchemaGroup, Schema]:
    ref, start = split_frame(prefix)
    if ref not in writer_schemas:
        raise NotAnEventSchema(
            f"its {ref} is in neither the registry nor the schemas topic, or it does not begin with its key, as an event does"
        )
    chosen = records if len(indices) == len(records) else [records[index] for index in indices]
    group = _SchemaGroup(
        indices,
        [(record.value or b"")[start:] for record in chosen],
        [record.key for record in chosen],
        [None if record.timestamp_type == LOG_APPEND_TIME else record.timestamp for record in chosen],
    )
    return group, writer_schemas[ref]


def _decode_group(
    group: _SchemaGroup, schema: Schema, column_types: Mapping[str, pl.DataType]
) -> tuple[list[pl.DataFrame], list[UndecodableRecord], int]:
    """Decode all at once; if that fails, in parts, so that a bad record slows down only some others."""
    frame = _decode_together(group, schema)
    if frame is not None:
        return [frame], [], 0
    size = len(group.indices)
    if size <= _MAX_SINGLY:
        frame, undecodable = _decode_singly(group, schema, column_types)
        return [frame], undecodable, size
    frames, undecodable, singly = [], [], 0
    step = -(-size // _SUBGROUPS)
    for start in range(0, size, step):
        part_frames, part_undecodable, part_singly = _decode_group(
            group[start : start + step], schema, column_types
        )
        frames += part_frames
        undecodable += part_undecodable
        singly += part_singly
    return frames, undecodable, singly


def _decode_together(group: _SchemaGroup, schema: Schema) -> pl.DataFrame | None:
    guard = random.getrandbits(61) | 1 << 61  # always nine bytes
    try:
        read = pl.read_avro(io.BytesIO(build_container(schema, group.bodies, guard)))
    except (PolarsError, PanicException, OSError, UnsupportedSchema):
        return None
    if read.height != len(group.bodies) or not (read[GUARD] == guard).all():
        return None
    frame = to_event_columns(read)
    return frame if _matches_records(frame, group) else None


def _matches_records(frame: pl.DataFrame, group: _SchemaGroup) -> bool:
    """Return whether every row agrees with key and timestamp of its record, as a producer writes them."""
    organizations = frame["organization"].cast(pl.Binary)
    collected = frame["collected"].cast(pl.Int64)
    keys = pl.Series(group.keys, dtype=pl.Binary)
    timestamps = pl.Series(group.timestamps, dtype=pl.Int64)
    return organizations.eq_missing(keys).all() and collected.eq(timestamps).fill_null(value=True).all()


def _decode_singly(
    group: _SchemaGroup, schema: Schema, column_types: Mapping[str, pl.DataType]
) -> tuple[pl.DataFrame, list[UndecodableRecord]]:
    rows, undecodable = [], []
    for index, body, key, timestamp in zip(
        group.indices, group.bodies, group.keys, group.timestamps, strict=True
    ):
        try:
            event = decode_body(schema, body)
            _check_event(event, key, timestamp)
            rows.append([event[name] for name in column_types])
        except BadBody as error:
            undecodable.append(UndecodableRecord(index, str(error)))
    return to_event_columns(
        pl.DataFrame(rows, schema=dict(column_types), orient="row", strict=True)
    ), undecodable


def _check_event(event: Mapping[str, Any], key: bytes | None, timestamp: int | None) -> None:
    if event["organization"].encode() != key:
        raise BadBody("its organization is not its key")
    if timestamp not in {None, event["collected"]}:
        raise BadBody("its time of collection is not its timestamp")


def _in_record_order(
    frames: Sequence[pl.DataFrame], indices: Sequence[Sequence[int]]
) -> tuple[pl.DataFrame, Sequence[int]]:
    if not frames:
        return EVENT_COLUMNS.to_frame(), []
    if len(frames) == 1:
        return frames[0], indices[0]
    order = pl.Series([index for group in indices for index in group], dtype=pl.Int64)
    return pl.concat(frames)[order.arg_sort()], order.sort().to_list()
