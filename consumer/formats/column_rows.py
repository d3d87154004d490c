"""Rows that stay columns: for destinations whose body is one columnar file, such as Parquet."""

import io
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import polars as pl
from polars import selectors

from consumer.formats.encoded_rows import EncodedRows

_SMALL_BYTES = 500_000
"""Rows that are kept in memory whole: a copy of a part takes 2 ms."""


@dataclass(frozen=True, slots=True)
class ColumnRows:
    """Rows as columns of one frame, with the methods of EncodedRows that the delivery calls.

    A row has the average size of its frame in memory, so sizes of few rows are estimates, and those of whole frames are true.
    `next_starts[n]` is where row n + 1 begins, as in EncodedRows; a large slice shares the columns.
    """

    frame: pl.DataFrame
    next_starts: Sequence[int]
    start: int = 0
    separator: bytes = b""

    @classmethod
    def of(cls, frame: pl.DataFrame) -> "ColumnRows":
        """Take the rows of a frame, which must not change later."""
        size = max(1, -(-int(frame.estimated_size()) // max(1, frame.height)))
        return cls(frame, range(size, size * (frame.height + 1), size))

    @classmethod
    def joined(cls, parts: Sequence["ColumnRows"]) -> "ColumnRows":
        """Return the rows of all parts, at least one, in columns of their own."""
        next_starts, position = array("Q"), 0
        for part in parts:
            next_starts.extend(map((position - part.start).__add__, part.next_starts))
            position = next_starts[-1] if next_starts else 0
        return cls(pl.concat([part.frame for part in parts], rechunk=True), memoryview(next_starts))

    def __len__(self) -> int:
        return self.frame.height

    def __getitem__(self, part: slice) -> "ColumnRows":
        first, stop, _ = part.indices(len(self))
        start = self.next_starts[first - 1] if first else self.start
        return ColumnRows(self._part(first, max(first, stop)), self.next_starts[first:stop], start)

    def _part(self, first: int, stop: int) -> pl.DataFrame:
        """Return these rows. A small part of much is copied: it would keep all in memory, and may wait for minutes."""
        part = self.frame.slice(first, stop - first)
        if 2 * part.height >= self.frame.height or self.size < _SMALL_BYTES:
            return part
        content = io.BytesIO()  # no other way of polars leaves the texts of the other rows behind
        part.write_ipc(content, compression="uncompressed", compat_level=pl.CompatLevel.oldest())
        return pl.read_ipc(content.getvalue())

    def __iter__(self) -> Iterator[bytes]:
        """Yield each row as JSON, for comparison."""
        numbers = self.frame.with_columns(selectors.temporal().to_physical())
        texts = numbers.select(pl.struct(pl.all()).struct.json_encode()).to_series()
        return iter(texts.cast(pl.Binary).to_list())

    @property
    def size(self) -> int:
        """Bytes of the rows in memory."""
        return self.next_starts[-1] - self.start if len(self) else 0

    @property
    def longest(self) -> int:
        """Bytes of the longest row; 0 without rows."""
        starts = (self.start, *self.next_starts)
        return max((stop - start for start, stop in pairwise(starts)), default=0)

    def count_within(self, size: int) -> int:
        """Return how many leading rows have at most `size` bytes."""
        return bisect_right(self.next_starts, self.start + size) if size >= 0 else 0

    def select(self, indices: Sequence[int]) -> "ColumnRows":
        """Return the rows at `indices`, which ascend."""
        if len(indices) and indices[-1] - indices[0] + 1 == len(indices):
            return self[indices[0] : indices[-1] + 1]
        starts = (self.start, *self.next_starts)
        sizes = array("Q")
        for index in indices:
            sizes.append((sizes[-1] if sizes else 0) + starts[index + 1] - starts[index])
        return ColumnRows(self.frame[list(indices)], memoryview(sizes))


AnyRows = EncodedRows | ColumnRows


def join_rows(
    parts: Sequence[AnyRows], separator: bytes, prefix: bytes = b"", suffix: bytes = b""
) -> AnyRows:
    """Return the rows of all parts, which are of one form; a part without rows may have another.

    `prefix` and `suffix`: what is around encoded rows in a body.
    """
    columns = [part for part in parts if isinstance(part, ColumnRows)]
    if columns:
        return ColumnRows.joined([part for part in columns if len(part)] or columns[:1])
    encoded = [part for part in parts if isinstance(part, EncodedRows)]
    return EncodedRows.joined(encoded, separator, prefix, suffix)
