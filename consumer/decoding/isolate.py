"""From records to rows, where no record can keep the others from becoming any."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl
from polars.exceptions import PanicException

from consumer.decoding.columns import UndecodableRecord, decode
from consumer.decoding.event_schema import EVENT_COLUMNS
from relay.avro.codec import SchemaRef
from relay.errors import one_line
from relay.kafka import Record
from schemas import Schema

RowEncoder = Callable[[pl.DataFrame], list[bytes]]

_DEFECTS = (Exception, PanicException)
"""A panic of polars is no Exception: unnoticed it ends the process."""


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    rows: Sequence[bytes]
    indices: Sequence[int]
    """Which record each row was made of."""
    undecodable: Sequence[UndecodableRecord]
    decoded_singly: int
    """How many records were read the slow way."""


def encode(
    records: Sequence[Record], writer_schemas: Mapping[SchemaRef, Schema], encode_rows: RowEncoder
) -> EncodedBatch:
    """A row of every record of which one can be made.

    What decoding or `encode_rows` fails on in a way that nobody has thought of is halved until it stands alone, and rejected where
    it fails twice while a plain event becomes a row in between; else RuntimeError is raised, since then it is no record's.
    """
    try:
        return _encode_together(records, writer_schemas, encode_rows)
    except MemoryError:
        raise
    except _DEFECTS as error:
        if len(records) == 1:
            return _isolated(records, writer_schemas, encode_rows, error)
    middle = len(records) // 2
    return _concatenate(
        encode(records[:middle], writer_schemas, encode_rows),
        encode(records[middle:], writer_schemas, encode_rows),
        shift=middle,
    )


def _encode_together(
    records: Sequence[Record], writer_schemas: Mapping[SchemaRef, Schema], encode_rows: RowEncoder
) -> EncodedBatch:
    decoded = decode(records, writer_schemas)
    return EncodedBatch(
        encode_rows(decoded.frame), decoded.indices, decoded.undecodable, decoded.decoded_singly
    )


def _isolated(
    records: Sequence[Record],
    writer_schemas: Mapping[SchemaRef, Schema],
    encode_rows: RowEncoder,
    first_error: BaseException,
) -> EncodedBatch:
    try:
        encode_rows(_PLAIN_EVENT)
    except _DEFECTS as error:
        raise RuntimeError(f"no event becomes a row: {type(error).__name__}: {error}") from first_error
    try:
        return _encode_together(records, writer_schemas, encode_rows)
    except MemoryError:
        raise
    except _DEFECTS as error:
        reason = f"no row can be made of it ({type(error).__name__}: {one_line(str(error))})"
        return EncodedBatch([], [], [UndecodableRecord(0, reason)], 1)


def _concatenate(first: EncodedBatch, second: EncodedBatch, *, shift: int) -> EncodedBatch:
    moved = [replace(each, index=each.index + shift) for each in second.undecodable]
    return EncodedBatch(
        [*first.rows, *second.rows],
        [*first.indices, *(index + shift for index in second.indices)],
        [*first.undecodable, *moved],
        first.decoded_singly + second.decoded_singly,
    )


_PLAIN_EVENT = pl.DataFrame(
    [{"organization": "example.atlassian.net", "id": 1, "summary": "User created", "mode": "live"}],
    schema=EVENT_COLUMNS,
)
