"""The buffer of records that were read and are not decoded yet."""

from bisect import bisect_left
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import accumulate

from consumer.delivery.batch import RECORD_MEMORY_BYTES
from consumer.offsets.tracker import SequenceRange, TrackedRecords, slice_sequences
from relay.kafka import Record, TopicPartition, join_records, keys_of, value_sizes_of


@dataclass(frozen=True, slots=True)
class BufferedRecords:
    """Records that are decoded together."""

    tracked: TrackedRecords
    first_read_at: float
    """When the first record was read, in seconds of the monotonic clock."""


_Chunk = tuple[Sequence[Record], SequenceRange, float, int]
"""Records of one partition, their numbers, when the first was read, and their bytes."""


class RecordBuffer:
    """Records that were read and are not decoded yet, in chunks of about `chunk_bytes`.

    Those of a partition that is set aside are not taken, and count as room up to `aside_bytes` of all such partitions.
    """

    def __init__(
        self, chunk_bytes: int = 1_000_000, aside_bytes: int = 32_000_000, *, keeps_keys: bool = False
    ) -> None:
        """`keeps_keys`: whether `organizations` is asked."""
        self._chunk_bytes = chunk_bytes
        self._keeps_keys = keeps_keys
        self._max_aside_bytes = aside_bytes
        self._chunks: list[_Chunk] = []
        self._aside: dict[TopicPartition, list[_Chunk]] = {}
        self._keys: dict[TopicPartition, set[bytes]] = {}
        self.takeable_bytes = self._aside_bytes = 0

    @property
    def bytes(self) -> int:
        """Bytes that count against the limit of the buffer."""
        return self.takeable_bytes + max(0, self._aside_bytes - self._max_aside_bytes)

    @property
    def first_read_at(self) -> float | None:
        """When the first record to take was read; None: there is none."""
        return self._chunks[0][2] if self._chunks else None

    @property
    def oldest_ms(self) -> int | None:
        """Timestamp of the oldest record, in ms UTC; None while empty."""
        chunks = [*self._chunks, *(chunk for chunks in self._aside.values() for chunk in chunks)]
        return min((chunk[0][0].timestamp for chunk in chunks), default=None)

    def set_aside(self, partition: TopicPartition) -> None:
        """Keep the records of a partition, those that come too, until `restore`."""
        aside = self._aside.setdefault(partition, [])
        moved = [chunk for chunk in self._chunks if chunk[1].partition == partition]
        self._chunks = [chunk for chunk in self._chunks if chunk[1].partition != partition]
        aside += moved
        self._move(sum(chunk[3] for chunk in moved))

    def restore(self, partition: TopicPartition) -> None:
        """Take the records of a partition again, before others: they were read earlier."""
        chunks = self._aside.pop(partition, [])
        self._chunks = chunks + self._chunks
        self._move(-sum(chunk[3] for chunk in chunks))

    def _move(self, aside: int) -> None:
        self.takeable_bytes -= aside
        self._aside_bytes += aside

    def organizations(self, partition: TopicPartition) -> AbstractSet[str]:
        """Return the organizations of which records of the partition were read: the keys of the records."""
        return {key.decode("utf-8", "replace") for key in self._keys.get(partition, ())}

    def add(self, records: Sequence[Record], sequence: SequenceRange, first_read_at: float) -> None:
        if self._keeps_keys:
            keys = self._keys.setdefault(sequence.partition, set())
            keys.update(key or b"" for key in set(keys_of(records)))
        aside = self._aside.get(sequence.partition)
        values = list(accumulate(value_sizes_of(records)))

        def end(index: int) -> int:
            """Return the bytes of the records up to and with this one."""
            return values[index] + RECORD_MEMORY_BYTES * (index + 1)

        start = before = 0
        while start < len(records):
            stop = bisect_left(range(len(records)), before + self._chunk_bytes, start, key=end) + 1
            stop = min(stop, len(records))
            size, before = end(stop - 1) - before, end(stop - 1)
            (chunk_sequence,) = slice_sequences([sequence], start, stop)
            (self._chunks if aside is None else aside).append(
                (records[start:stop], chunk_sequence, first_read_at, size)
            )
            self.takeable_bytes += size
            if aside is not None:
                self._move(size)
            start = stop

    def take(self, max_bytes: int) -> BufferedRecords:
        """Return the first records, of about `max_bytes`; at least one chunk."""
        count = size = 0
        while count < len(self._chunks) and size < max_bytes:
            size += self._chunks[count][3]
            count += 1
        chunks, self._chunks = self._chunks[:count], self._chunks[count:]
        self.takeable_bytes -= size
        records = join_records([part[0] for part in chunks])
        return BufferedRecords(TrackedRecords(records, tuple(part[1] for part in chunks)), chunks[0][2])
