"""One object of an archive: its footer, and its events in slices."""

import io
from dataclasses import dataclass

import polars as pl
from polars.exceptions import PanicException, PolarsError

from consumer.destinations.object_store.layout import HIDDEN, OFFSET, PLAIN, PREVIOUS, WHERE

_FAULTS = (PolarsError, PanicException, OSError, ValueError)  # a corrupt object may make polars panic


class UnfitObjectError(Exception):
    """The object cannot serve as an archive; the message says why, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class ArchivedObject:
    """An object whose footer fits its name. The content has zeros in place of the columns that nobody reads."""

    content: bytes
    rows: int
    first: int
    last: int
    previous: str
    """Key, from the chain's folder on, of the object before it; empty: it names none."""
    where: str
    """The condition of its events; empty: it has all of them."""
    hidden: str
    """The fields whose values are hidden; empty: none."""

    def events(self, start: int, count: int, columns: pl.Schema) -> pl.DataFrame:
        """Return up to `count` rows from row `start` on, with these columns and the offset; an absent column is null.

        Times are as in the object. Raises UnfitObjectError.
        """
        try:
            scan = pl.scan_parquet(io.BytesIO(self.content))
            present = scan.collect_schema()
            wanted = [
                pl.col(name) if name in present else pl.lit(None, dtype).alias(name)
                for name, dtype in columns.items()
            ]
            frame = scan.select(OFFSET, *wanted).slice(start, count).collect()
            found = frame.select(OFFSET, *(pl.col(name).cast(dtype) for name, dtype in columns.items()))
        except _FAULTS as error:
            raise UnfitObjectError("its columns cannot be read") from error
        offsets = found[OFFSET]
        if (
            not found.height
            or not offsets.is_sorted()
            or offsets.n_unique() != found.height
            or offsets[0] < self.first
            or offsets[-1] > self.last
        ):
            raise UnfitObjectError("its rows are not those that its footer names")
        return found


def read_archived_object(content: bytes, topic: str, partition: int, first: int) -> ArchivedObject:
    """Read the footer of the object that begins at offset `first`. Raises UnfitObjectError."""
    try:
        notes = pl.read_parquet_metadata(io.BytesIO(content))
        rows = pl.scan_parquet(io.BytesIO(content)).select(pl.len()).collect().item()
        last = int(notes.get("relay.last", ""))
    except _FAULTS as error:
        raise UnfitObjectError("it is not a Parquet file of the relay") from error
    origin = tuple(notes.get(f"relay.{key}") for key in ("topic", "partition", "first"))
    if origin != (topic, str(partition), str(first)) or not rows:
        raise UnfitObjectError("its footer does not fit its name")
    if notes.get("relay.format") != PLAIN.name:
        raise UnfitObjectError(
            f"it has the columns of {notes.get('relay.format')}, from which no event can be restored"
        )
    return ArchivedObject(
        content,
        rows,
        first,
        last,
        notes.get(PREVIOUS, ""),
        notes.get(WHERE, ""),
        notes.get(HIDDEN, ""),
    )
