"""From records to rows, where no record can keep the others from becoming any."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl
from polars.exceptions import PanicException

from consumer.decoding.columns import Rejected, decode
from consumer.decoding.event_schema import EVENT
from relay.avro.codec import SchemaRef
from relay.errors import one_line
from relay.kafka import Record
from schemas import Schema

Shape = Callable[[pl.DataFrame], list[bytes]]

_DEFECTS = (Exception, PanicException)
"""A panic of polars is no Exception: unnoticed it ends the process."""


@dataclass(frozen=True, slots=True)
class Encoded:
    rows: Sequence[bytes]
    indices: Sequence[int]
    """Which record each row was made of."""
    rejected: Sequence[Rejected]
    one_by_one: int
    """How many records were read the slow way."""


def encode(records: Sequence[Record], known: Mapping[SchemaRef, Schema], shape: Shape) -> Encoded:
    """A row of every record of which one can be made.

    What decoding or `shape` fails on in a way that nobody has thought of is halved until it stands alone, and rejected where
    it fails twice while a plain event becomes a row in between; else RuntimeError is raised, since then it is no record's.
    """
    try:
        return _at_once(records, known, shape)
    except MemoryError:
        raise
    except _DEFECTS as error:
        if len(records) == 1:
            return _alone(records, known, shape, error)
    middle = len(records) // 2
    return _joined(
        encode(records[:middle], known, shape), encode(records[middle:], known, shape), shift=middle
    )


def _at_once(records: Sequence[Record], known: Mapping[SchemaRef, Schema], shape: Shape) -> Encoded:
    decoded = decode(records, known)
    return Encoded(shape(decoded.frame), decoded.indices, decoded.rejected, decoded.one_by_one)


def _alone(
    records: Sequence[Record], known: Mapping[SchemaRef, Schema], shape: Shape, before: BaseException
) -> Encoded:
    try:
        shape(_PLAIN)
    except _DEFECTS as error:
        raise RuntimeError(f"no event becomes a row: {type(error).__name__}: {error}") from before
    try:
        return _at_once(records, known, shape)
    except MemoryError:
        raise
    except _DEFECTS as error:
        reason = f"no row can be made of it ({type(error).__name__}: {one_line(str(error))})"
        return Encoded([], [], [Rejected(0, reason)], 1)


def _joined(one: Encoded, other: Encoded, *, shift: int) -> Encoded:
    moved = [replace(each, index=each.index + shift) for each in other.rejected]
    return Encoded(
        [*one.rows, *other.rows],
        [*one.indices, *(index + shift for index in other.indices)],
        [*one.rejected, *moved],
        one.one_by_one + other.one_by_one,
    )


_PLAIN = pl.DataFrame(
    [{"organization": "example.atlassian.net", "id": 1, "summary": "User created", "mode": "live"}],
    schema=EVENT,
)
