"""Records between Kafka and their decoding."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from consumer.delivery.batch import RECORD_BYTES, Rows
from consumer.offsets.tracker import Span, cut
from relay.kafka import Record

LOAD_BYTES = 4_000_000
"""Of records that are decoded together: enough for thousands, little enough for memory."""
PART_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Load:
    """Records that are decoded together, with their spans in the same order."""

    records: Sequence[Record]
    spans: tuple[Span, ...]
    since: float
    """When the first of them was read."""


class Gathered:
    """Records that were read and not yet decoded."""

    def __init__(self) -> None:
        self._parts: list[tuple[Sequence[Record], Span, float, int]] = []
        self.bytes = 0

    @property
    def since(self) -> float | None:
        return self._parts[0][2] if self._parts else None

    @property
    def oldest_ms(self) -> int | None:
        return min((part[0][0].timestamp for part in self._parts), default=None)

    def add(self, records: Sequence[Record], span: Span, since: float) -> None:
        start = size = 0
        for stop, record in enumerate(records, 1):
            size += len(record.value or b"") + RECORD_BYTES
            if size >= PART_BYTES or stop == len(records):
                (part,) = cut([span], start, stop)
                self._parts.append((records[start:stop], part, since, size))
                self.bytes += size
                start, size = stop, 0

    def take(self) -> Load:
        """About LOAD_BYTES of the first."""
        count = size = 0
        while count < len(self._parts) and size < LOAD_BYTES:
            size += self._parts[count][3]
            count += 1
        taken, self._parts = self._parts[:count], self._parts[count:]
        self.bytes -= size
        records = [record for part in taken for record in part[0]]
        return Load(records, tuple(part[1] for part in taken), taken[0][2])


def rows_of(load: Load, indices: Sequence[int], encoded: Sequence[bytes]) -> Rows:
    """The rows of a load, where row n was made of record `indices[n]`."""
    if len(encoded) == len(load.records):
        return Rows(encoded, load.records, load.spans)
    places = [(span.partition, number) for span in load.spans for number in range(span.first, span.stop)]
    spans: list[Span] = []
    for partition, number in (places[index] for index in indices):
        if spans and (spans[-1].partition, spans[-1].stop) == (partition, number):
            spans[-1] = replace(spans[-1], stop=number + 1)
        else:
            spans.append(Span(partition, number, number + 1))
    return Rows(encoded, [load.records[index] for index in indices], tuple(spans))
