"""What may be committed of one assignment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self
from zlib import crc32

from relay.kafka import Record, TopicPartition


@dataclass(frozen=True, slots=True)
class Span:
    """Records of one partition that were handed out one after the other: numbers `first` to before `stop`.

    Numbers count what was handed out and have no holes; offsets have, where transactions ended or records were compacted.
    """

    partition: TopicPartition
    first: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.first


@dataclass(frozen=True, slots=True)
class Mark:
    """One record, known again by its place, its time and a checksum of what it holds."""

    offset: int
    timestamp: int
    checksum: int

    @classmethod
    def of(cls, record: Record) -> Self:
        return cls(record.offset, record.timestamp, crc32(record.value or b"", crc32(record.key or b"")))


def cut(spans: Iterable[Span], start: int, stop: int) -> tuple[Span, ...]:
    """The spans of the records from place `start` to before `stop`, where `spans` cover all places in order."""
    kept = []
    at = 0
    for span in spans:
        first, last = max(start - at, 0), min(stop - at, len(span))
        if first < last:
            kept.append(Span(span.partition, span.first + first, span.first + last))
        at += len(span)
    return tuple(kept)


@dataclass(slots=True)
class _Partition:
    offsets: list[int] = field(default_factory=list)
    """Of the records handed out and not yet settled without a gap before them; the first has number `base`."""
    base: int = 0
    settled: dict[int, tuple[int, Mark]] = field(default_factory=dict)
    """Settled beyond `base`: first number to the one after the last, and the last record."""
    last: Mark | None = None
    """The record before `base`."""


class Offsets:
    """Follows every record from the moment it is handed out until it is settled: delivered, or a dead letter.

    Belongs to one assignment of partitions: after a rebalance begin with a new one.
    """

    def __init__(self) -> None:
        self._partitions: dict[TopicPartition, _Partition] = {}

    def hand_out(self, partition: TopicPartition, offsets: Sequence[int]) -> Span:
        """Take note of records that were read, in the order of their offsets."""
        state = self._partitions.setdefault(partition, _Partition())
        first = state.base + len(state.offsets)
        state.offsets.extend(offsets)
        return Span(partition, first, first + len(offsets))

    def settle(self, spans: Iterable[Span], records: Sequence[Record]) -> None:
        """These records, of these spans, are delivered or dead letters; each record is settled once."""
        at = 0
        for span in spans:
            if len(span):
                at += len(span)
                self._settle(self._partitions[span.partition], span, Mark.of(records[at - 1]))

    def _settle(self, state: _Partition, span: Span, last: Mark) -> None:
        state.settled[span.first] = (span.stop, last)
        base = state.base
        while (found := state.settled.pop(base, None)) is not None:
            base, state.last = found
        del state.offsets[: base - state.base]
        state.base = base

    def outstanding(self) -> int:
        """How many records stand between what may be committed and what was handed out."""
        return sum(len(state.offsets) for state in self._partitions.values())

    def unsettled(self) -> int:
        """How many records are neither delivered nor dead letters."""
        return self.outstanding() - self._ahead()

    def settled(self) -> int:
        """How many records were settled so far."""
        return self.settled_without_gap() + self._ahead()

    def settled_without_gap(self) -> int:
        """How many of them have nothing unsettled before them."""
        return sum(state.base for state in self._partitions.values())

    def _ahead(self) -> int:
        return sum(
            stop - first for state in self._partitions.values() for first, (stop, _) in state.settled.items()
        )

    def marks(self) -> dict[TopicPartition, Mark]:
        """For each partition, the last record up to which everything is settled that was handed out."""
        return {partition: state.last for partition, state in self._partitions.items() if state.last}

    def committable(self, positions: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """For each partition, the offset before which everything is settled.

        `positions` are where reading stands, looked up before this call; with nothing outstanding they are the answer, since
        the end of a transaction takes an offset too.
        """
        return {partition: self._first(partition, position) for partition, position in positions.items()}

    def _first(self, partition: TopicPartition, position: int) -> int:
        state = self._partitions.get(partition)
        return state.offsets[0] if state and state.offsets else position
