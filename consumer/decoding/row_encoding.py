"""Encode records as rows, and isolate each record that fails."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl
from polars.exceptions import PanicException

from consumer.decoding.columns import DecodedEvents, decode
from consumer.decoding.event_schema import EVENT_COLUMNS
from consumer.decoding.schema_group import UndecodableRecord
from consumer.formats.column_rows import AnyRows, join_rows
from consumer.formats.encoded_rows import EncodedRows
from relay.avro.codec import SchemaRef
from relay.errors import one_line
from relay.kafka import Record
from schemas import Schema

RowEncoder = Callable[[pl.DataFrame], AnyRows]
Selector = Callable[[pl.DataFrame], pl.Series]
"""Pure: a Boolean mask, true for the events that the destination receives."""

_DEFECTS = (Exception, PanicException)
"""A panic of polars is no Exception: unnoticed it ends the process."""


class SelectionError(Exception):
    """The selector failed. No event is to blame: none may be skipped, sent or made a dead letter for it."""


@dataclass(frozen=True, slots=True)
class EncodedEvents:
    rows: AnyRows
    indices: Sequence[int]
    """The record of each row."""
    undecodable: Sequence[UndecodableRecord]
    decoded_singly: int
    """Number of records that were decoded one by one."""
    skipped: Sequence[int] = ()
    """Records that the selector left out."""
    fitting: frozenset[SchemaRef] = frozenset()
    """References whose own schema decoded a record."""
    substituted: frozenset[SchemaRef] = frozenset()
    """References whose records were decoded with another schema than their own."""


def encode(
    records: Sequence[Record],
    writer_schemas: Mapping[SchemaRef, Schema],
    encode_rows: RowEncoder,
    select: Selector | None = None,
) -> EncodedEvents:
    """Make a row of every record that decodes and that `select` keeps; None keeps all.

    A batch on which decoding or `encode_rows` fails in an unknown way is halved until the record that fails is alone. The
    record is undecodable if it fails twice, while a plain event becomes a row in between. Raises RuntimeError when the plain
    event fails too, since then no record is to blame, and SelectionError when `select` fails.
    """
    try:
        return _encode_together(records, writer_schemas, encode_rows, select)
    except (MemoryError, SelectionError):
        raise
    except _DEFECTS as error:
        if len(records) == 1:
            return _isolated(records, writer_schemas, encode_rows, select, error)
    middle = len(records) // 2
    return _concatenate(
        encode(records[:middle], writer_schemas, encode_rows, select),
        encode(records[middle:], writer_schemas, encode_rows, select),
        shift=middle,
    )


def _encode_together(
    records: Sequence[Record],
    writer_schemas: Mapping[SchemaRef, Schema],
    encode_rows: RowEncoder,
    select: Selector | None,
) -> EncodedEvents:
    decoded = decode(records, writer_schemas)
    frame, indices, skipped = (
        (decoded.frame, decoded.indices, ()) if select is None else _selected(decoded, select)
    )
    rows = encode_rows(frame)
    _check_count(rows, frame.height)
    return EncodedEvents(
        rows,
        indices,
        decoded.undecodable,
        decoded.decoded_singly,
        skipped,
        decoded.fitting,
        decoded.substituted,
    )


def _check_count(rows: AnyRows, events: int) -> None:
    if len(rows) != events:
        raise ValueError(f"{len(rows)} rows of {events} events")


def _selected(decoded: DecodedEvents, select: Selector) -> tuple[pl.DataFrame, Sequence[int], Sequence[int]]:
    try:
        mask = select(decoded.frame)
        if len(mask) != decoded.frame.height or mask.dtype != pl.Boolean:
            raise ValueError(
                f"a mask of {len(mask)} values of {mask.dtype} for {decoded.frame.height} events"
            )
        kept = mask.fill_null(value=False).to_list()
    except _DEFECTS as error:
        raise SelectionError(f"{type(error).__name__}: {error}") from error
    indices = [index for index, keep in zip(decoded.indices, kept, strict=True) if keep]
    skipped = [index for index, keep in zip(decoded.indices, kept, strict=True) if not keep]
    return decoded.frame.filter(pl.Series(kept, dtype=pl.Boolean)), indices, skipped


def _isolated(
    records: Sequence[Record],
    writer_schemas: Mapping[SchemaRef, Schema],
    encode_rows: RowEncoder,
    select: Selector | None,
    first_error: BaseException,
) -> EncodedEvents:
    try:
        _check_count(encode_rows(_PLAIN_EVENT), 1)
    except _DEFECTS as error:
        raise RuntimeError(f"no event becomes a row: {type(error).__name__}: {error}") from first_error
    try:
        return _encode_together(records, writer_schemas, encode_rows, select)
    except (MemoryError, SelectionError):
        raise
    except _DEFECTS as error:
        reason = f"no row can be made of it ({type(error).__name__}: {one_line(str(error))})"
        return EncodedEvents(EncodedRows(), [], [UndecodableRecord(0, reason)], 1)


def _concatenate(first: EncodedEvents, second: EncodedEvents, *, shift: int) -> EncodedEvents:
    moved = [replace(each, index=each.index + shift) for each in second.undecodable]
    separator = (first.rows if len(first.rows) else second.rows).separator
    return EncodedEvents(
        join_rows([first.rows, second.rows], separator),
        [*first.indices, *(index + shift for index in second.indices)],
        [*first.undecodable, *moved],
        first.decoded_singly + second.decoded_singly,
        [*first.skipped, *(index + shift for index in second.skipped)],
        first.fitting | second.fitting,
        first.substituted | second.substituted,
    )


_PLAIN_EVENT = pl.DataFrame(
    [{"organization": "example.atlassian.net", "id": 1, "summary": "User created", "mode": "live"}],
    schema=EVENT_COLUMNS,
)
