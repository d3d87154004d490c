"""Rows in one buffer, so that thousands of rows need no Python object each."""

import io
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from operator import sub

import polars as pl

_FEW_ROWS = 3_000
_NO_STARTS: Sequence[int] = memoryview(array("Q"))


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """Rows in one buffer, joined by a separator.

    Row 0 begins at `start`. `next_starts[n]` is where row n + 1 begins, or would begin: one separator after the end of row n.
    Positions count from `origin`, the position of the first byte of `data`, so a slice shares `data` and `next_starts`.
    """

    data: bytes = b""
    next_starts: Sequence[int] = _NO_STARTS
    separator: bytes = b""
    start: int = 0
    origin: int = 0

    @classmethod
    def of(cls, rows: Iterable[bytes], separator: bytes) -> "EncodedRows":
        """Join `rows`."""
        listed = list(rows)
        next_starts = array("Q", accumulate(map(len(separator).__add__, map(len, listed))))
        return cls(separator.join(listed), memoryview(next_starts), separator)

    @classmethod
    def of_texts(cls, texts: pl.Series, separator: bytes) -> "EncodedRows":
        """Join the texts of a String column without nulls; in a large column no row becomes a Python object.

        In a small one the calls of polars cost more than the objects (benchmarks/columns.py, 500 a batch).
        """
        if len(texts) < _FEW_ROWS:
            return cls.of(texts.cast(pl.Binary).to_list(), separator)
        next_starts = (texts.str.len_bytes().cast(pl.UInt64) + len(separator)).cum_sum()
        data: bytes = texts.str.join(separator.decode()).cast(pl.Binary).item()
        return cls(data, memoryview(array("Q", next_starts.to_list())), separator)

    @classmethod
    def of_lines(cls, lines: bytes, separator: bytes) -> "EncodedRows":
        """Take rows that each end with a line feed and hold no other one, such as those of JSON."""
        if len(separator) != 1:
            return cls.of(lines.split(b"\n")[:-1], separator)
        next_starts = array("Q", accumulate(map(len, io.BytesIO(lines))))
        data = lines if separator == b"\n" else lines.replace(b"\n", separator)
        return cls(data, memoryview(next_starts), separator)

    @classmethod
    def joined(
        cls, parts: Sequence["EncodedRows"], separator: bytes, prefix: bytes = b"", suffix: bytes = b""
    ) -> "EncodedRows":
        """Return the rows of all parts in a buffer that holds no other rows, between `prefix` and `suffix` of a body."""
        filled = [part for part in parts if len(part)]
        if len(filled) == 1:
            (part,) = filled
            if part.size + len(separator) >= len(part.data):
                return part
            next_starts, start = part.next_starts, part.start
        else:
            starts, start = array("Q"), 0
            for part in filled:
                position = starts[-1] if starts else 0
                starts.extend(map((position - part.start).__add__, part.next_starts))
            next_starts = memoryview(starts)
        pieces: list[bytes | memoryview] = [piece for part in filled for piece in (separator, part.view)]
        data = b"".join((prefix, *pieces[1:], suffix))
        return cls(data, next_starts, separator, start, start - len(prefix))

    def __len__(self) -> int:
        return len(self.next_starts)

    def __getitem__(self, part: slice) -> "EncodedRows":
        first, stop, _ = part.indices(len(self))
        start = self.next_starts[first - 1] if first else self.start
        return EncodedRows(self.data, self.next_starts[first:stop], self.separator, start, self.origin)

    def __iter__(self) -> Iterator[bytes]:
        return map(self.row, range(len(self)))

    def row(self, index: int) -> bytes:
        """Return the row at `index`, from 0."""
        start = self.next_starts[index - 1] if index else self.start
        return self.data[start - self.origin : self.next_starts[index] - len(self.separator) - self.origin]

    @property
    def size(self) -> int:
        """Bytes of the rows with the separators between them."""
        return self.next_starts[-1] - len(self.separator) - self.start if len(self) else 0

    @property
    def longest(self) -> int:
        """Bytes of the longest row; 0 without rows."""
        if not len(self):
            return 0
        longest: int = max(map(sub, self.next_starts, chain((self.start,), self.next_starts)))
        return longest - len(self.separator)

    @property
    def view(self) -> memoryview:
        """The rows with the separators between them."""
        return memoryview(self.data)[self.start - self.origin : self.start - self.origin + self.size]

    def framed(self, prefix: bytes, suffix: bytes) -> bytes:
        """Return the rows between `prefix` and `suffix`; without a copy where they were joined between these."""
        data = self.data
        whole = len(data) == len(prefix) + self.size + len(suffix)
        if (
            whole
            and self.start - self.origin == len(prefix)
            and data.startswith(prefix)
            and data.endswith(suffix)
        ):
            return data
        return b"".join((prefix, self.view, suffix))

    def count_within(self, size: int) -> int:
        """Return how many leading rows have at most `size` bytes, with the separators between them."""
        return bisect_right(self.next_starts, self.start + size + len(self.separator)) if size >= 0 else 0

    def select(self, indices: Sequence[int]) -> "EncodedRows":
        """Return the rows at `indices` in a buffer of their own."""
        return EncodedRows.of(map(self.row, indices), self.separator)

    def longer_than(self, size: int) -> Sequence[int]:
        """Return the indices of the rows of more than `size` bytes."""
        found, index, start = [], 0, self.start
        while index < len(self):
            # Rows that together are no longer are passed over at once: a look at each would cost as much as a tenth of writing them.
            after = bisect_right(self.next_starts, start + size + len(self.separator), index)
            if after == index:
                found.append(index)
                after += 1
            index, start = after, self.next_starts[after - 1]
        return found

    def with_rows(self, rows: Mapping[int, bytes]) -> "EncodedRows":
        """Return the same rows, with other ones at some indices. The rows between them are copied together."""
        other = {index: row for index, row in rows.items() if row != self.row(index)}
        if not other:
            return self
        parts, position = [], 0
        for index in sorted(other):
            parts += [self[position:index], EncodedRows.of([other[index]], self.separator)]
            position = index + 1
        return EncodedRows.joined([*parts, self[position:]], self.separator)
