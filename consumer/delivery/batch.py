"""Rows on their way into request bodies."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from consumer.offsets.tracker import SequenceRange, slice_sequences
from relay.kafka import Record


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a destination, each a JSON object in UTF-8, with the records they were made of and their sequences, in one order."""

    encoded: Sequence[bytes] = ()
    records: Sequence[Record] = ()
    sequences: tuple[SequenceRange, ...] = ()

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, part: slice) -> "Rows":
        start, stop, _ = part.indices(len(self))
        return Rows(
            self.encoded[start:stop], self.records[start:stop], slice_sequences(self.sequences, start, stop)
        )

    def single_rows(self) -> Iterator["Rows"]:
        """Each by itself."""
        sequences = (
            SequenceRange(each.partition, number, number + 1)
            for each in self.sequences
            for number in range(each.first, each.stop)
        )
        for encoded, record, sequence in zip(self.encoded, self.records, sequences, strict=True):
            yield Rows([encoded], [record], (sequence,))

    def __add__(self, other: "Rows") -> "Rows":
        if not len(self):
            return other
        return Rows(
            [*self.encoded, *other.encoded], [*self.records, *other.records], self.sequences + other.sequences
        )


def json_array_bytes(rows: Rows) -> int:
    """Size of the JSON array of these rows."""
    return 2 + sum(map(len, rows.encoded)) + max(len(rows) - 1, 0)


class RequestBatch:
    """Gathers rows for one request body, a JSON array of at most `max_bytes` bytes.

    It closes by size, or by age: `linger_seconds` after the first of its events was read. Times are seconds of one clock.
    """

    def __init__(self, max_bytes: int, linger_seconds: float) -> None:
        self._max_bytes = max_bytes
        self._linger_seconds = linger_seconds
        self._rows = Rows()
        self._bytes = 2
        self._first_read_at: float | None = None

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def bytes(self) -> int:
        """Size of the body as it would be now."""
        return self._bytes

    @property
    def oldest_ms(self) -> int | None:
        """Timestamp of the first record."""
        return self._rows.records[0].timestamp if self._rows else None

    def try_add(self, rows: Rows, first_read_at: float) -> int:
        """Take the first rows that fit and say how many. Fewer than all: `take()`, then add the rest.

        `first_read_at` is when the first of them was read. Raises ValueError for a row that fits into no body.
        """
        count, size = self._count_fitting(rows)
        if count:
            self._rows += rows[:count]
            self._bytes = size
            self._first_read_at = (
                first_read_at if self._first_read_at is None else min(self._first_read_at, first_read_at)
            )
        elif len(rows) and not self._rows:
            raise ValueError(f"a row of {len(rows.encoded[0])} bytes fits into no body of {self._max_bytes}")
        return count

    def _count_fitting(self, rows: Rows) -> tuple[int, int]:
        size = self._bytes
        comma = bool(self._rows)
        for count, row in enumerate(rows.encoded):
            grown = size + len(row) + comma
            if grown > self._max_bytes:
                return count, size
            size, comma = grown, True
        return len(rows), size

    def until_next(self, now: float) -> float | None:
        """Seconds until it is to be taken, 0 when it is time; None while it is empty."""
        return (
            None
            if self._first_read_at is None
            else max(0.0, self._first_read_at + self._linger_seconds - now)
        )

    def take(self) -> Rows:
        """What it holds; it is empty afterwards."""
        rows, self._rows, self._bytes, self._first_read_at = self._rows, Rows(), 2, None
        return rows


RECORD_OVERHEAD_BYTES = 400
"""What a record takes in memory beside its value."""
