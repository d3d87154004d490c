"""What of one assignment is settled."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from consumer.offsets.delivered import Mark, Progress, Stretch
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
    begun: Progress
    """Its stretches only so far as they are not yet read."""
    offsets: list[int] = field(default_factory=list)
    """Of the records handed out and not yet settled without a gap before them; the first has number `base`."""
    base: int = 0
    settled: dict[int, tuple[int, Mark]] = field(default_factory=dict)
    """Settled beyond `base`, in runs that are apart: first number to the one after the last, and the last record."""
    ends: dict[int, int] = field(default_factory=dict)
    """Of these runs: the number after the last to the first."""
    last: Mark | None = None
    """The record before `base`."""
    read: Mark | None = None
    """The last record that was handed out, or settled before."""

    def front(self) -> int:
        """The offset before which everything is settled, as far as records tell."""
        if self.offsets:
            return self.offsets[0]
        return max(self.begun.offset, self.last.offset + 1 if self.last else 0)

    def ahead(self) -> list[Stretch]:
        """What was settled here beyond `base`."""
        return [Stretch(self.offsets[first - self.base], last) for first, (_, last) in self.settled.items()]


class Offsets:
    """Follows every record from the moment it is handed out until it is settled: delivered, or a dead letter.

    Belongs to one assignment of partitions: after a rebalance begin with a new one.
    """

    def __init__(self) -> None:
        self._partitions: dict[TopicPartition, _Partition] = {}

    def begin(self, partition: TopicPartition, progress: Progress) -> None:
        """Reading begins at `progress.offset`; to be called once, before any record of the partition is handed out."""
        self._partitions[partition] = _Partition(progress, last=progress.last, read=progress.last)

    def hand_out(
        self, partition: TopicPartition, records: Sequence[Record]
    ) -> list[tuple[Span, Sequence[Record]]]:
        """Take note of records that were read, in the order of their offsets. Returns those that are not settled already."""
        state = self._partitions[partition]
        if records and records[0].offset < state.begun.offset:
            records = [record for record in records if record.offset >= state.begun.offset]
        if not records:
            return []
        state.read = Mark.of(records[-1])
        first = state.base + len(state.offsets)
        offsets = [record.offset for record in records]
        state.offsets.extend(offsets)
        open_, at = [], 0
        for start, stop in _within(offsets, state.begun.beyond):
            if at < start:
                open_.append((Span(partition, first + at, first + start), records[at:start]))
            self._settle(state, Span(partition, first + start, first + stop), Mark.of(records[stop - 1]))
            at = stop
        if at < len(records):
            open_.append((Span(partition, first + at, first + len(records)), records[at:]))
        if state.begun.beyond:
            state.begun = state.begun.after(offsets[-1])
        return open_

    def settle(self, spans: Iterable[Span], records: Sequence[Record]) -> None:
        """These records, of these spans, are delivered or dead letters; each record is settled once."""
        at = 0
        for span in spans:
            if len(span):
                at += len(span)
                self._settle(self._partitions[span.partition], span, Mark.of(records[at - 1]))

    def _settle(self, state: _Partition, span: Span, last: Mark) -> None:
        first = state.ends.pop(span.first, span.first)
        stop, last = state.settled.pop(span.stop, (span.stop, last))
        if first > state.base:
            state.settled[first], state.ends[stop] = (stop, last), first
            return
        state.ends.pop(stop, None)
        del state.offsets[: stop - state.base]
        state.base, state.last = stop, last

    def read(self, partition: TopicPartition) -> Mark | None:
        """The last record before where reading stands, if one is known."""
        return self._partitions[partition].read

    def skip(self, partition: TopicPartition, start: int, stop: int) -> int:
        """What stood from offset `start`, where reading stands, to before `stop` is gone. Returns how much of it was not settled."""
        begun = self._partitions[partition].begun
        _, lost = replace(begun, offset=max(start, begun.offset)).grown(()).without(stop)
        return lost

    def settled(self) -> int:
        """How many records were settled so far."""
        ahead = (
            end - first for state in self._partitions.values() for first, (end, _) in state.settled.items()
        )
        return self.settled_without_gap() + sum(ahead)

    def settled_without_gap(self) -> int:
        """How many of them have nothing unsettled before them."""
        return sum(state.base for state in self._partitions.values())

    def progress(
        self, positions: Mapping[TopicPartition, int] | None = None
    ) -> dict[TopicPartition, Progress]:
        """How far each partition has got; where `positions` are given, of these partitions.

        They are where reading stands, looked up before this call: with nothing outstanding they count, since the end of a
        transaction takes an offset too.
        """
        asked = self._partitions if positions is None else positions
        return {
            each: self._progress(self._partitions[each], (positions or {}).get(each, 0)) for each in asked
        }

    def _progress(self, state: _Partition, position: int) -> Progress:
        front = state.front()
        offset = front if state.offsets else max(front, position)
        progress = Progress(state.begun.line, offset, state.last)
        return progress.grown((*state.begun.beyond, *state.ahead()))


def _within(offsets: Sequence[int], stretches: Iterable[Stretch]) -> Iterator[tuple[int, int]]:
    """From which place to before which one the offsets lie in one of the stretches."""
    for stretch in stretches:
        start = bisect_left(offsets, stretch.first)
        stop = bisect_left(offsets, stretch.stop)
        if start < stop:
            yield start, stop
