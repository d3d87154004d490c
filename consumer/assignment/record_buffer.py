"""The buffer of records that were read and are not decoded yet."""

from collections.abc import Sequence
from dataclasses import dataclass

from consumer.delivery.batch import RECORD_MEMORY_BYTES
from consumer.offsets.tracker import SequenceRange, TrackedRecords, slice_sequences
from relay.kafka import Record


@dataclass(frozen=True, slots=True)
class BufferedRecords:
    """Records that are decoded together."""

    tracked: TrackedRecords
    first_read_at: float
    """When the first record was read, in seconds of the monotonic clock."""


class RecordBuffer:
    """Records that were read and are not decoded yet, in chunks of about `chunk_bytes`."""

    def __init__(self, chunk_bytes: int = 1_000_000) -> None:
        self._chunk_bytes = chunk_bytes
        self._chunks: list[tuple[Sequence[Record], SequenceRange, float, int]] = []
        self.bytes = 0

    @property
    def first_read_at(self) -> float | None:
        """When the first record was read; None while empty."""
        return self._chunks[0][2] if self._chunks else None

    @property
    def oldest_ms(self) -> int | None:
        """Timestamp of the oldest record, in ms UTC; None while empty."""
        return min((part[0][0].timestamp for part in self._chunks), default=None)

    def add(self, records: Sequence[Record], sequence: SequenceRange, first_read_at: float) -> None:
        start = size = 0
        for stop, record in enumerate(records, 1):
            size += len(record.value or b"") + RECORD_MEMORY_BYTES
            if size >= self._chunk_bytes or stop == len(records):
                (chunk_sequence,) = slice_sequences([sequence], start, stop)
                self._chunks.append((records[start:stop], chunk_sequence, first_read_at, size))
                self.bytes += size
                start, size = stop, 0

    def take(self, max_bytes: int) -> BufferedRecords:
        """Return the first records, of about `max_bytes`; at least one chunk."""
        count = size = 0
        while count < len(self._chunks) and size < max_bytes:
            size += self._chunks[count][3]
            count += 1
        chunks, self._chunks = self._chunks[:count], self._chunks[count:]
        self.bytes -= size
        records = [record for part in chunks for record in part[0]]
        return BufferedRecords(TrackedRecords(records, tuple(part[1] for part in chunks)), chunks[0][2])
