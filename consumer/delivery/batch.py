"""Batches: rows that are collected for one request body each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from consumer.delivery.in_delivery import oldest_ms
from consumer.destinations.contract import BodyFormat, OffsetRange
from consumer.formats.column_rows import AnyRows, join_rows
from consumer.formats.encoded_rows import EncodedRows
from consumer.offsets.tracker import SequenceRange, TrackedRecords
from relay.kafka import Record, join_records, value_sizes_of

RECORD_MEMORY_BYTES = 400
"""Memory that a record takes in this process, beside its value."""


def record_bytes(records: Sequence[Record]) -> int:
    """Return the bytes of records in memory."""
    return sum(value_sizes_of(records)) + RECORD_MEMORY_BYTES * len(records)


@dataclass(frozen=True, slots=True)
class Rows:
    """Encoded rows with the records they were made of, in one order."""

    encoded: AnyRows = field(default_factory=EncodedRows)
    tracked: TrackedRecords = field(default_factory=TrackedRecords)

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, part: slice) -> "Rows":
        return Rows(self.encoded[part], self.tracked[part])

    def select(self, indices: Sequence[int]) -> "Rows":
        """Return the rows at `indices`, which ascend."""
        return Rows(self.encoded.select(indices), self.tracked.select(indices))

    @classmethod
    def joined(
        cls, parts: Sequence["Rows"], separator: bytes, prefix: bytes = b"", suffix: bytes = b""
    ) -> "Rows":
        """Return the rows of all parts in a buffer of their own, between `prefix` and `suffix` of a body."""
        if len(parts) == 1:
            tracked = parts[0].tracked
        else:
            tracked = TrackedRecords(
                join_records([part.tracked.records for part in parts]),
                tuple(sequence for part in parts for sequence in part.tracked.sequences),
            )
        return cls(join_rows([part.encoded for part in parts], separator, prefix, suffix), tracked)

    def by_partition(self) -> Iterator["Rows"]:
        """Divide into runs of one partition, in order."""
        start = stop = 0
        previous = None
        for sequence in self.tracked.sequences:
            if previous not in (None, sequence.partition):
                yield self[start:stop]
                start = stop
            previous, stop = sequence.partition, stop + len(sequence)
        if start < stop:
            yield self[start:stop]

    def offsets(self) -> tuple[OffsetRange, ...]:
        """Return the first and the last offset of each partition, in order."""
        found: dict[tuple[str, int], OffsetRange] = {}
        position = 0
        for sequence in self.tracked.sequences:
            first = self.tracked.records[position].offset
            position += len(sequence)
            last = self.tracked.records[position - 1].offset
            key = (sequence.partition.topic, sequence.partition.partition)
            if key in found:
                first, last = min(first, found[key].first), max(last, found[key].last)
            found[key] = OffsetRange(*key, first, last)
        return tuple(found[key] for key in sorted(found))

    def memory_bytes(self) -> int:
        """Return the bytes of the rows and of their records in memory."""
        return self.encoded.size + record_bytes(self.tracked.records)


class RowTooLargeError(ValueError):
    """A row fits into no body."""


class RequestBatch:
    """Gathers rows for one body of `body_format`.

    A body closes by size, by number of rows, or by age: `linger_seconds` after its first record was read. Times are seconds
    of one clock.
    """

    def __init__(self, body_format: BodyFormat, linger_seconds: float) -> None:
        self._format = body_format
        self._linger_seconds = linger_seconds
        self._parts: list[Rows] = []
        self._count = 0
        self._bytes = body_format.overhead
        self._first_read_at: float | None = None

    @property
    def oldest_ms(self) -> int | None:
        """Timestamp of the oldest record, in ms UTC; None while empty."""
        return min((oldest_ms(part.tracked) for part in self._parts), default=None)

    @property
    def size(self) -> int:
        """Bytes of the body so far, framing included."""
        return self._bytes

    def sequences(self) -> Iterator[SequenceRange]:
        """Return the sequences of its records, in order."""
        return (sequence for part in self._parts for sequence in part.tracked.sequences)

    def try_add(self, rows: Rows, first_read_at: float) -> int:
        """Add as many leading rows as fit, and return their number. Fewer than all: call `take`, then add the rest.

        `first_read_at` is when the first of them was read. Raises RowTooLargeError when the first row fits into no body.
        """
        count = self._format.count_fitting(rows.encoded, self._bytes, self._count)
        if count:
            added = rows[:count]
            self._parts.append(added)
            self._bytes += added.encoded.size + (len(self._format.separator) if self._count else 0)
            self._count += count
            if self._first_read_at is None or first_read_at < self._first_read_at:
                self._first_read_at = first_read_at
        elif len(rows) and not self._count:
            size = rows[:1].encoded.size
            raise RowTooLargeError(
                f"a row of {size} bytes fits into no body of {self._format.max_bytes} bytes"
            )
        return count

    def until_next(self, now: float) -> float | None:
        """Return the seconds until the body closes by age, 0 when it is time; None while empty."""
        if self._first_read_at is None:
            return None
        return max(0.0, self._first_read_at + self._linger_seconds - now)

    def take(self) -> Rows:
        """Return the rows of the body, and begin the next one."""
        around = self._format
        rows = Rows.joined(self._parts, around.separator, around.prefix, around.suffix)
        self._parts, self._count, self._bytes, self._first_read_at = [], 0, around.overhead, None
        return rows
