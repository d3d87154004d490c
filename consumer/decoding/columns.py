"""Messages of the event topics as columns, each with the schema that it was written with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from consumer.decoding.event_schema import EVENT_COLUMNS, SECOND_OPINIONS, NotAnEventSchema, writer_schema
from consumer.decoding.schema_group import (
    DecodedPart,
    SchemaGroup,
    UndecodableRecord,
    decode_group,
    schema_group,
)
from relay.avro.codec import NotAvro, SchemaId, SchemaRef, split_frame
from relay.kafka import Record, values_of
from schemas import Schema

_MIN_PREFIX_BYTES = 5


@dataclass(frozen=True, slots=True)
class DecodedEvents:
    frame: pl.DataFrame
    """One row an event, in the records' order, with the columns of schemas/audit_event.avsc (EVENT_COLUMNS)."""
    indices: Sequence[int]
    """The record of each row."""
    undecodable: Sequence[UndecodableRecord]
    decoded_singly: int
    """Number of records that were decoded one by one."""
    fitting: frozenset[SchemaRef] = frozenset()
    """References whose own schema decoded a record."""
    substituted: frozenset[SchemaRef] = frozenset()
    """References whose records were decoded with another schema than their own."""


def schema_references(records: Sequence[Record]) -> set[SchemaRef]:
    """Return the writers' schemas that `decode` needs for these records."""
    found = set()
    for prefix in _indices_by_prefix(values_of(records)):
        try:
            found.add(split_frame(prefix)[0])
        except NotAvro:
            continue
    return found


def decode(
    records: Sequence[Record],
    writer_schemas: Mapping[SchemaRef, Schema],
    second_opinions: Sequence[Schema] = SECOND_OPINIONS,
) -> DecodedEvents:
    """Decode every record that is an event.

    A registry can be wrong about an id. So a record that does not fit the schema of its id, or whose schema is nowhere, is
    decoded with each of `second_opinions` too: key, timestamp and length of the record prove the right one.
    """
    parts: list[DecodedPart] = []
    undecodable: list[UndecodableRecord] = []
    fitting, substituted = set(), set()
    for prefix, found in _indices_by_prefix(values_of(records)).items():
        try:
            ref, start = split_frame(prefix)
        except NotAvro as error:
            undecodable += [UndecodableRecord(index, str(error)) for index in found]
            continue
        group = schema_group(records, found, start)
        own_parts, failed = _decode_with_own(group, ref, writer_schemas.get(ref))
        if len(failed) == 1 and any(part.indices for part in own_parts):
            failed = [replace(failed[0], ref=None)]  # corrupt: a cut record may fit an older version
        other_parts, failed = _decode_with_others(
            group, failed, [each for each in second_opinions if failed and each != writer_schemas.get(ref)]
        )
        parts += own_parts + other_parts
        fitting |= {ref} if any(part.indices for part in own_parts) else set()
        substituted |= {ref} if other_parts else set()
        undecodable += failed
    frame, order = _in_record_order(parts)
    return DecodedEvents(
        frame,
        order,
        sorted(undecodable, key=lambda each: each.index),
        sum(part.singly for part in parts),
        frozenset(fitting),
        frozenset(substituted),
    )


def _decode_with_own(
    group: SchemaGroup, ref: SchemaRef, schema: Schema | None
) -> tuple[list[DecodedPart], list[UndecodableRecord]]:
    """Decode with the schema that the records name; None: it is nowhere.

    A schema that was found by its fingerprint is the right one, so records that do not fit it are at fault.
    """
    try:
        if schema is None:
            raise NotAnEventSchema(
                f"its {ref} is in neither the registry nor the schemas topic, or it does not hold its key, as an event does"
            )
        parts, failed = decode_group(group, writer_schema(schema))
    except NotAnEventSchema as error:
        parts, failed = [], [UndecodableRecord(index, str(error)) for index in group.indices]
    if not failed or (schema is not None and not isinstance(ref, SchemaId)):
        return parts, failed
    places = {index: place for place, index in enumerate(group.indices)}
    return parts, [replace(each, ref=ref) if group.holds_key(places[each.index]) else each for each in failed]


def _decode_with_others(
    group: SchemaGroup, failed: list[UndecodableRecord], others: Sequence[Schema]
) -> tuple[list[DecodedPart], list[UndecodableRecord]]:
    """Decode the failed records whose schema may be wrong with other schemas. Return the rest of the failed ones too."""
    parts: list[DecodedPart] = []
    for schema in others:
        suspects = {each.index for each in failed if each.ref is not None}
        if not suspects:
            break
        chosen = group.select([place for place, index in enumerate(group.indices) if index in suspects])
        found, still_failed = decode_group(chosen, writer_schema(schema))
        parts += [part for part in found if part.indices]
        decoded = suspects - {each.index for each in still_failed}
        failed = [each for each in failed if each.index not in decoded]
    return parts, failed


def _frame_prefix(value: bytes | None) -> bytes:
    """Return the whole schema reference; no byte of the body if there is one."""
    if value is None:
        return b""
    return value[:10] if value[:1] == b"\xc3" else value[:5]


def _indices_by_prefix(values: Sequence[bytes | None]) -> dict[bytes, Sequence[int]]:
    prefix = _frame_prefix(values[0]) if values else b""
    if len(prefix) >= _MIN_PREFIX_BYTES and _all_start_with(values, prefix):
        return {prefix: range(len(values))}
    lists: dict[bytes, list[int]] = {}
    for index, value in enumerate(values):
        lists.setdefault(_frame_prefix(value), []).append(index)
    return {**lists}


def _all_start_with(values: Sequence[bytes | None], prefix: bytes) -> bool:
    try:
        # What the least and the greatest of texts begin with, those between them do too. It takes half the time of a look at each.
        return min(values).startswith(prefix) and max(values).startswith(prefix)  # type: ignore[type-var, union-attr]
    except TypeError:  # a record without a value
        return False


def _in_record_order(parts: Sequence[DecodedPart]) -> tuple[pl.DataFrame, Sequence[int]]:
    if not parts:
        return EVENT_COLUMNS.to_frame(), []
    if len(parts) == 1:
        return parts[0].frame, parts[0].indices
    order = pl.Series([index for part in parts for index in part.indices], dtype=pl.Int64)
    return pl.concat([part.frame for part in parts])[order.arg_sort()], order.sort().to_list()
