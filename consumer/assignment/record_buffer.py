"""Records between Kafka and their decoding."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from consumer.delivery.batch import RECORD_OVERHEAD_BYTES, Rows
from consumer.offsets.tracker import SequenceRange, slice_sequences
from relay.kafka import Record

DECODE_BATCH_BYTES = 4_000_000
"""Of records that are decoded together: enough for thousands, little enough for memory."""
BUFFER_CHUNK_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class DecodeBatch:
    """Records that are decoded together, with their sequences in the same order."""

    records: Sequence[Record]
    sequences: tuple[SequenceRange, ...]
    first_read_at: float
    """When the first of them was read."""


class RecordBuffer:
    """Records that were read and not yet decoded."""

    def __init__(self) -> None:
        self._chunks: list[tuple[Sequence[Record], SequenceRange, float, int]] = []
        self.bytes = 0

    @property
    def first_read_at(self) -> float | None:
        return self._chunks[0][2] if self._chunks else None

    @property
    def oldest_ms(self) -> int | None:
        return min((part[0][0].timestamp for part in self._chunks), default=None)

    def add(self, records: Sequence[Record], sequence: SequenceRange, first_read_at: float) -> None:
        start = size = 0
        for stop, record in enumerate(records, 1):
            size += len(record.value or b"") + RECORD_OVERHEAD_BYTES
            if size >= BUFFER_CHUNK_BYTES or stop == len(records):
                (chunk_sequence,) = slice_sequences([sequence], start, stop)
                self._chunks.append((records[start:stop], chunk_sequence, first_read_at, size))
                self.bytes += size
                start, size = stop, 0

    def take(self) -> DecodeBatch:
        """About DECODE_BATCH_BYTES of the first."""
        count = size = 0
        while count < len(self._chunks) and size < DECODE_BATCH_BYTES:
            size += self._chunks[count][3]
            count += 1
        chunks, self._chunks = self._chunks[:count], self._chunks[count:]
        self.bytes -= size
        records = [record for part in chunks for record in part[0]]
        return DecodeBatch(records, tuple(part[1] for part in chunks), chunks[0][2])


def build_rows(batch: DecodeBatch, indices: Sequence[int], encoded: Sequence[bytes]) -> Rows:
    """The rows of a batch, where row n was made of record `indices[n]`."""
    if len(encoded) == len(batch.records):
        return Rows(encoded, batch.records, batch.sequences)
    positions = [
        (sequence.partition, number)
        for sequence in batch.sequences
        for number in range(sequence.first, sequence.stop)
    ]
    sequences: list[SequenceRange] = []
    for partition, number in (positions[index] for index in indices):
        if sequences and (sequences[-1].partition, sequences[-1].stop) == (partition, number):
            sequences[-1] = replace(sequences[-1], stop=number + 1)
        else:
            sequences.append(SequenceRange(partition, number, number + 1))
    return Rows(encoded, [batch.records[index] for index in indices], tuple(sequences))
