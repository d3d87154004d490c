"""Rows in one buffer, so that thousands of rows need no Python object each."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import polars as pl

_NO_ENDS: Sequence[int] = memoryview(array("Q"))


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """Rows in one buffer, joined by a separator.

    `ends[n]` is the position after row n, without its separator; row 0 begins at `start`. Positions count from `origin`, the
    position of the first byte of `data`, so that a slice shares `data` and `ends`.
    """

    data: bytes = b""
    ends: Sequence[int] = _NO_ENDS
    separator: bytes = b""
    start: int = 0
    origin: int = 0

    @classmethod
    def of(cls, rows: Iterable[bytes], separator: bytes) -> "EncodedRows":
        """Join `rows`."""
        listed = list(rows)
        gap = len(separator)
        ends = array("Q", (end - gap for end in accumulate(len(row) + gap for row in listed)))
        return cls(separator.join(listed), memoryview(ends), separator)

    @classmethod
    def of_texts(cls, texts: pl.Series, separator: bytes) -> "EncodedRows":
        """Join the texts of a String column without nulls; no row becomes a Python object."""
        if texts.is_empty():
            return cls(separator=separator)
        gap = len(separator)
        ends = (texts.str.len_bytes().cast(pl.UInt64) + gap).cum_sum() - gap
        data: bytes = texts.str.join(separator.decode()).cast(pl.Binary).item()
        return cls(data, memoryview(array("Q", ends.to_list())), separator)

    @classmethod
    def joined(cls, parts: Sequence["EncodedRows"], separator: bytes) -> "EncodedRows":
        """Return the rows of all parts in a buffer of their own, which keeps no part's buffer in memory."""
        filled = [part for part in parts if len(part)]
        if len(filled) == 1:
            (part,) = filled
            return cls(bytes(part.view), part.ends, separator, part.start, part.start)
        ends, position = array("Q"), 0
        for part in filled:
            shift = position - part.start
            ends.extend([end + shift for end in part.ends])
            position += part.size + len(separator)
        return cls(separator.join(part.view for part in filled), memoryview(ends), separator)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, part: slice) -> "EncodedRows":
        first, stop, _ = part.indices(len(self))
        start = self.ends[first - 1] + len(self.separator) if first else self.start
        return EncodedRows(self.data, self.ends[first:stop], self.separator, start, self.origin)

    def __iter__(self) -> Iterator[bytes]:
        position = self.start
        for end in self.ends:
            yield self.data[position - self.origin : end - self.origin]
            position = end + len(self.separator)

    @property
    def size(self) -> int:
        """Bytes of the rows with the separators between them."""
        return self.ends[-1] - self.start if len(self) else 0

    @property
    def view(self) -> memoryview:
        """The rows with the separators between them."""
        return memoryview(self.data)[self.start - self.origin : self.start - self.origin + self.size]

    def select(self, indices: Sequence[int]) -> "EncodedRows":
        """Return the rows at `indices` in a buffer of their own."""
        rows = []
        for index in indices:
            start = self.ends[index - 1] + len(self.separator) if index else self.start
            rows.append(self.data[start - self.origin : self.ends[index] - self.origin])
        return EncodedRows.of(rows, self.separator)
