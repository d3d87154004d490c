"""Rows of an object: the columns of an event with uid and offset, and their way into Parquet and back."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl
from polars.exceptions import PanicException, PolarsError

from consumer.destinations.object_store.layout import OFFSET, PLAIN, ObjectFormat
from consumer.destinations.object_store.names import LAST_DAY
from consumer.formats.column_rows import ColumnRows
from consumer.formats.native import event_uid, native_fields
from consumer.formats.replay_mark import REPLAY_ID, is_replayed

_DAY_MS = 86_400_000
PLACE, _DAY = "place_in_body", "day_of_row"

_COLUMNS = [event_uid().alias("uid"), *(pl.col(name) for name in native_fields() if name != "uid")]
_KEYS = {OFFSET: pl.Int64(), "uid": pl.String()}
NO_NOTES: Mapping[str, str] = MappingProxyType({})


class ForeignObjectError(Exception):
    """The relay did not write the object for these rows; the message says why, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """The rows of an object of the relay: offset and uid of each."""

    rows: pl.DataFrame

    @property
    def first(self) -> int:
        """Offset of the first row."""
        return int(self.rows[OFFSET][0])

    @property
    def last(self) -> int:
        """Offset of the last row."""
        return int(self.rows[OFFSET][-1])


def encode_rows(events: pl.DataFrame) -> ColumnRows:
    """Return the columns of the events, times as Datetime in UTC, and `uid`. The events of a replay name it in the last column."""
    return ColumnRows.of(events.select(*_COLUMNS, *((REPLAY_ID,) if is_replayed(events) else ())))


def encode_body(rows: ColumnRows) -> bytes:
    """Return the rows as an Arrow file, which is read in no time; Parquet is made when the offsets are known.

    The oldest form of texts has one buffer for a column, without the texts of other rows.
    """
    content = io.BytesIO()
    rows.frame.rechunk().write_ipc(content, compression="uncompressed", compat_level=pl.CompatLevel.oldest())
    return content.getvalue()


def read_body(content: bytes, offsets: Sequence[int]) -> pl.DataFrame:
    """Return the rows of a body with their offsets."""
    return pl.read_ipc(io.BytesIO(content)).with_columns(pl.Series(OFFSET, offsets, pl.Int64))


def by_day(events: pl.DataFrame, day_of: str) -> list[tuple[int, pl.DataFrame]]:
    """Return the rows of each day, in days since 1970-01-01, with their places in the body. The day of the first row is first.

    Days that have no name of their own are the nearest one: their folder is one log, whose rows stay in order.
    """
    numbered = events.with_row_index(PLACE)
    days = (numbered[day_of].to_physical() // _DAY_MS).clip(0, LAST_DAY)
    if days.n_unique() == 1:
        return [(int(days[0]), numbered)]
    parts = numbered.with_columns(days.alias(_DAY)).partition_by(_DAY, maintain_order=True)
    return [(int(part[_DAY][0]), part.drop(_DAY)) for part in parts]


def count_to(events: pl.DataFrame, last: int) -> int:
    """Return how many leading rows have an offset up to `last`."""
    return int((events[OFFSET] <= last).sum())


def encode_object(
    events: pl.DataFrame,
    topic: str,
    partition: int,
    format_: ObjectFormat = PLAIN,
    notes: Mapping[str, str] = NO_NOTES,
) -> bytes:
    """Return the Parquet object of these rows, with its origin and the notes in the footer."""
    content = io.BytesIO()
    columns = format_.columns(events.drop(PLACE, strict=False))
    columns.write_parquet(
        content,
        compression="zstd",
        statistics=True,
        data_page_size=format_.page_bytes,
        metadata={
            "relay.format": format_.name,
            "relay.topic": topic,
            "relay.partition": str(partition),
            "relay.first": str(events[OFFSET][0]),
            "relay.last": str(events[OFFSET][-1]),
            **notes,
        },
    )
    return content.getvalue()


def read_object(
    content: bytes, topic: str, partition: int, first: int, format_: ObjectFormat = PLAIN
) -> StoredObject:
    """Return the rows of the object that begins at offset `first`. Raises ForeignObjectError."""
    try:
        origin = pl.read_parquet_metadata(io.BytesIO(content))
        found = tuple(origin.get(f"relay.{key}") for key in ("format", "topic", "partition", "first"))
        if found != (format_.name, topic, str(partition), str(first)):
            raise ForeignObjectError(f"its footer names {_origin(found)}")
        rows = format_.keys(pl.read_parquet(io.BytesIO(content), columns=format_.key_columns))
    except (PolarsError, PanicException, OSError) as error:  # a corrupt object may make polars panic
        raise ForeignObjectError("it is not a Parquet file of the relay") from error
    if (
        dict(rows.schema) != _KEYS
        or not rows.height
        or rows[OFFSET][0] != first
        or str(rows[OFFSET][-1]) != origin.get("relay.last")
    ):
        raise ForeignObjectError("its rows are not those that its footer names")
    return StoredObject(rows)


def _origin(found: tuple[str | None, ...]) -> str:
    layout, topic, partition, first = found
    if topic is None:
        return "no topic of the relay"
    return f"{topic}, partition {partition}, offset {first}, layout {layout}"


def missing_rows(stored: StoredObject, events: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that the object does not hold, in their order."""
    return events.filter(~pl.col(OFFSET).is_in(stored.rows[OFFSET].implode()))


def check_same_log(stored: StoredObject, events: pl.DataFrame) -> None:
    """Check that the object holds the same records at the offsets that both have. Raises ForeignObjectError.

    Offsets begin again when a topic is made anew, and are others in a mirrored cluster.
    """
    both = events.select(OFFSET, "uid").join(stored.rows, on=OFFSET, how="inner")
    other = both.filter(pl.col("uid") != pl.col("uid_right"))
    if other.height:
        raise ForeignObjectError(f"it holds another event at offset {other[OFFSET][0]}")
