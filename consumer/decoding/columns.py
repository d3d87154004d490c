"""Messages of the event topics as columns: thousands at once, and one by one where that fails.

Both ways give the same rows, and a corrupt message never touches its neighbours' rows. They differ in one thing: of a
branch that a union does not have, polars makes the one that is not null, where fastavro refuses.
"""

import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from polars.exceptions import PanicException, PolarsError

from consumer.decoding.avro_container import GUARD, Unsupported, container
from consumer.decoding.event_schema import EVENT, NotAnEvent, conformed, shape_of
from relay.avro.codec import BadBody, NotAvro, SchemaRef, decode_body, split_frame
from relay.kafka import Record
from schemas import Schema

LOG_APPEND_TIME = 1
_SHORTEST_HEAD = 5
_PARTS = 8
_FEW = 32
"""So few records are read one by one as soon as one of them is bad."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that is not an audit event of ours."""

    index: int
    """Its place among the records given."""
    reason: str


@dataclass(frozen=True, slots=True)
class Decoded:
    frame: pl.DataFrame
    """One row an event, in the records' order, with the columns of schemas/audit_event.avsc (see EVENT)."""
    indices: Sequence[int]
    """Which record each row is."""
    rejected: Sequence[Rejected]
    one_by_one: int
    """How many records were read the slow way."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Records of one writer's schema."""

    indices: Sequence[int]
    bodies: Sequence[bytes]
    keys: Sequence[bytes | None]
    timestamps: Sequence[int | None]
    """None where Kafka put its own time there, on a topic that is set up wrong: that must not cost events."""

    def __getitem__(self, part: slice) -> "_Group":
        return _Group(self.indices[part], self.bodies[part], self.keys[part], self.timestamps[part])


def references(records: Sequence[Record]) -> set[SchemaRef]:
    """The writers' schemas that `decode` needs for these records."""
    found = set()
    for head in _by_head([record.value for record in records]):
        try:
            found.add(split_frame(head)[0])
        except NotAvro:
            continue
    return found


def decode(records: Sequence[Record], known: Mapping[SchemaRef, Schema]) -> Decoded:
    """Read every record whose schema is `known`; one of another schema is rejected like any that cannot be read."""
    frames, indices, rejected, slow = [], [], [], 0
    for head, found in _by_head([record.value for record in records]).items():
        try:
            group, schema = _group(records, found, head, known)
            some, bad, one_by_one = _read(group, schema, shape_of(schema))
        except (NotAvro, NotAnEvent) as error:
            rejected += [Rejected(index, str(error)) for index in found]
            continue
        spoilt = {each.index for each in bad}
        frames += some
        indices.append([index for index in found if index not in spoilt] if spoilt else found)
        rejected += bad
        slow += one_by_one
    frame, order = _in_order(frames, indices)
    return Decoded(frame, order, sorted(rejected, key=lambda each: each.index), slow)


def _head(value: bytes | None) -> bytes:
    """All of the reference to the schema, and nothing of the body where there is one."""
    if value is None:
        return b""
    return value[:10] if value[:1] == b"\xc3" else value[:5]


def _by_head(values: Sequence[bytes | None]) -> dict[bytes, Sequence[int]]:
    head = _head(values[0]) if values else b""
    if len(head) >= _SHORTEST_HEAD and all(value and value.startswith(head) for value in values):
        return {head: range(len(values))}
    lists: dict[bytes, list[int]] = {}
    for index, value in enumerate(values):
        lists.setdefault(_head(value), []).append(index)
    return {**lists}


def _group(
    records: Sequence[Record], indices: Sequence[int], head: bytes, known: Mapping[SchemaRef, Schema]
) -> tuple[_Group, Schema]:
    ref, start = split_frame(head)
    if ref not in known:
        raise NotAnEvent(
            f"its {ref} is known neither to the registry nor to the schemas topic, or it does not begin with its key, as an event does"
        )
    chosen = records if len(indices) == len(records) else [records[index] for index in indices]
    group = _Group(
        indices,
        [(record.value or b"")[start:] for record in chosen],
        [record.key for record in chosen],
        [None if record.timestamp_type == LOG_APPEND_TIME else record.timestamp for record in chosen],
    )
    return group, known[ref]


def _read(
    group: _Group, schema: Schema, shape: Mapping[str, pl.DataType]
) -> tuple[list[pl.DataFrame], list[Rejected], int]:
    """All at once where that works; else in parts, so that a bad record slows only some others."""
    frame = _all_at_once(group, schema)
    if frame is not None:
        return [frame], [], 0
    size = len(group.indices)
    if size <= _FEW:
        frame, rejected = _one_by_one(group, schema, shape)
        return [frame], rejected, size
    frames, rejected, slow = [], [], 0
    step = -(-size // _PARTS)
    for start in range(0, size, step):
        some, bad, one_by_one = _read(group[start : start + step], schema, shape)
        frames += some
        rejected += bad
        slow += one_by_one
    return frames, rejected, slow


def _all_at_once(group: _Group, schema: Schema) -> pl.DataFrame | None:
    guard = random.getrandbits(61) | 1 << 61  # always nine bytes
    try:
        read = pl.read_avro(io.BytesIO(container(schema, group.bodies, guard)))
    except (PolarsError, PanicException, OSError, Unsupported):
        return None
    if read.height != len(group.bodies) or not (read[GUARD] == guard).all():
        return None
    frame = conformed(read)
    return frame if _agrees(frame, group) else None


def _agrees(frame: pl.DataFrame, group: _Group) -> bool:
    """Whether every row belongs to its record: a producer's events have the key and the timestamp of their record."""
    organizations = frame["organization"].cast(pl.Binary)
    collected = frame["collected"].cast(pl.Int64)
    keys = pl.Series(group.keys, dtype=pl.Binary)
    timestamps = pl.Series(group.timestamps, dtype=pl.Int64)
    return organizations.eq_missing(keys).all() and collected.eq(timestamps).fill_null(value=True).all()


def _one_by_one(
    group: _Group, schema: Schema, shape: Mapping[str, pl.DataType]
) -> tuple[pl.DataFrame, list[Rejected]]:
    rows, rejected = [], []
    for index, body, key, timestamp in zip(
        group.indices, group.bodies, group.keys, group.timestamps, strict=True
    ):
        try:
            event = decode_body(schema, body)
            _check(event, key, timestamp)
            rows.append([event[name] for name in shape])
        except BadBody as error:
            rejected.append(Rejected(index, str(error)))
    return conformed(pl.DataFrame(rows, schema=dict(shape), orient="row", strict=True)), rejected


def _check(event: Mapping[str, Any], key: bytes | None, timestamp: int | None) -> None:
    if event["organization"].encode() != key:
        raise BadBody("its organization is not its key")
    if timestamp not in {None, event["collected"]}:
        raise BadBody("its time of collection is not its timestamp")


def _in_order(
    frames: Sequence[pl.DataFrame], indices: Sequence[Sequence[int]]
) -> tuple[pl.DataFrame, Sequence[int]]:
    if not frames:
        return EVENT.to_frame(), []
    if len(frames) == 1:
        return frames[0], indices[0]
    order = pl.Series([index for group in indices for index in group], dtype=pl.Int64)
    return pl.concat(frames)[order.arg_sort()], order.sort().to_list()
