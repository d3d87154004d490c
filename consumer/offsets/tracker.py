"""What of one assignment is delivered."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from consumer.offsets.delivered import DeliveredRange, DeliveryProgress, RecordFingerprint
from relay.kafka import Record, TopicPartition


@dataclass(frozen=True, slots=True)
class SequenceRange:
    """Records of one partition that were handed out one after the other: numbers `first` to before `stop`.

    Numbers count what was handed out and have no holes; offsets have, where transactions ended or records were compacted.
    """

    partition: TopicPartition
    first: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.first


def slice_sequences(sequences: Iterable[SequenceRange], start: int, stop: int) -> tuple[SequenceRange, ...]:
    """The sequences of the records from position `start` to before `stop`, where `sequences` cover all positions in order."""
    sliced = []
    position = 0
    for sequence in sequences:
        first, last = max(start - position, 0), min(stop - position, len(sequence))
        if first < last:
            sliced.append(SequenceRange(sequence.partition, sequence.first + first, sequence.first + last))
        position += len(sequence)
    return tuple(sliced)


@dataclass(slots=True)
class _PartitionState:
    start: DeliveryProgress
    """Its ranges only so far as they are not yet read."""
    pending_offsets: list[int] = field(default_factory=list)
    """Of the records handed out and not yet delivered without a gap before them; the first has number `first_pending`."""
    first_pending: int = 0
    delivered_runs: dict[int, tuple[int, RecordFingerprint]] = field(default_factory=dict)
    """Delivered beyond `first_pending`, in runs that are apart: first number to the one after the last, and the last record."""
    run_starts: dict[int, int] = field(default_factory=dict)
    """Of these runs: the number after the last to the first."""
    last_delivered: RecordFingerprint | None = None
    """The record before `first_pending`."""
    last_read: RecordFingerprint | None = None
    """The last record that was handed out, or delivered before."""

    def committable(self) -> int:
        """The offset before which everything is delivered, as far as records tell."""
        if self.pending_offsets:
            return self.pending_offsets[0]
        return max(self.start.offset, self.last_delivered.offset + 1 if self.last_delivered else 0)

    def delivered_ahead(self) -> list[DeliveredRange]:
        """What was delivered here beyond `first_pending`."""
        return [
            DeliveredRange(self.pending_offsets[first - self.first_pending], last)
            for first, (_, last) in self.delivered_runs.items()
        ]


class OffsetTracker:
    """Follows every record from the moment it is handed out until it is delivered: accepted, or a dead letter.

    Belongs to one assignment of partitions: after a rebalance begin with a new one.
    """

    def __init__(self) -> None:
        self._partitions: dict[TopicPartition, _PartitionState] = {}

    def start(self, partition: TopicPartition, progress: DeliveryProgress) -> None:
        """Reading begins at `progress.offset`; to be called once, before any record of the partition is handed out."""
        self._partitions[partition] = _PartitionState(
            progress, last_delivered=progress.last, last_read=progress.last
        )

    def track(
        self, partition: TopicPartition, records: Sequence[Record]
    ) -> list[tuple[SequenceRange, Sequence[Record]]]:
        """Take note of records that were read, in the order of their offsets. Returns those that are not delivered already."""
        state = self._partitions[partition]
        if records and records[0].offset < state.start.offset:
            records = [record for record in records if record.offset >= state.start.offset]
        if not records:
            return []
        state.last_read = RecordFingerprint.of(records[-1])
        first = state.first_pending + len(state.pending_offsets)
        offsets = [record.offset for record in records]
        state.pending_offsets.extend(offsets)
        undelivered, position = [], 0
        for start, stop in _indices_in_ranges(offsets, state.start.delivered_ahead):
            if position < start:
                undelivered.append(
                    (SequenceRange(partition, first + position, first + start), records[position:start])
                )
            self._mark_delivered(
                state,
                SequenceRange(partition, first + start, first + stop),
                RecordFingerprint.of(records[stop - 1]),
            )
            position = stop
        if position < len(records):
            undelivered.append(
                (SequenceRange(partition, first + position, first + len(records)), records[position:])
            )
        if state.start.delivered_ahead:
            state.start = state.start.with_ranges_after(offsets[-1])
        return undelivered

    def mark_delivered(self, sequences: Iterable[SequenceRange], records: Sequence[Record]) -> None:
        """These records, of these sequences, are accepted or dead letters; each record is delivered once."""
        position = 0
        for sequence in sequences:
            if len(sequence):
                position += len(sequence)
                self._mark_delivered(
                    self._partitions[sequence.partition],
                    sequence,
                    RecordFingerprint.of(records[position - 1]),
                )

    def _mark_delivered(
        self, state: _PartitionState, sequence: SequenceRange, last: RecordFingerprint
    ) -> None:
        first = state.run_starts.pop(sequence.first, sequence.first)
        stop, last = state.delivered_runs.pop(sequence.stop, (sequence.stop, last))
        if first > state.first_pending:
            state.delivered_runs[first], state.run_starts[stop] = (stop, last), first
            return
        state.run_starts.pop(stop, None)
        del state.pending_offsets[: stop - state.first_pending]
        state.first_pending, state.last_delivered = stop, last

    def last_read(self, partition: TopicPartition) -> RecordFingerprint | None:
        """The last record before where reading stands, if one is known."""
        return self._partitions[partition].last_read

    def skip(self, partition: TopicPartition, start: int, stop: int) -> int:
        """What stood from offset `start`, where reading stands, to before `stop` is gone. Returns how much of it was not delivered."""
        start_progress = self._partitions[partition].start
        _, undelivered = (
            replace(start_progress, offset=max(start, start_progress.offset))
            .with_ranges(())
            .without_deleted(stop)
        )
        return undelivered

    def delivered_count(self) -> int:
        """How many records were delivered so far."""
        ahead_counts = (
            end - first
            for state in self._partitions.values()
            for first, (end, _) in state.delivered_runs.items()
        )
        return self.contiguous_count() + sum(ahead_counts)

    def contiguous_count(self) -> int:
        """How many of them have nothing unsettled before them."""
        return sum(state.first_pending for state in self._partitions.values())

    def progress(
        self, positions: Mapping[TopicPartition, int] | None = None
    ) -> dict[TopicPartition, DeliveryProgress]:
        """How far each partition has got; where `positions` are given, of these partitions.

        They are where reading stands, looked up before this call: with nothing outstanding they count, since the end of a
        transaction takes an offset too.
        """
        partitions = self._partitions if positions is None else positions
        return {
            each: self._progress(self._partitions[each], (positions or {}).get(each, 0))
            for each in partitions
        }

    def _progress(self, state: _PartitionState, position: int) -> DeliveryProgress:
        committable = state.committable()
        offset = committable if state.pending_offsets else max(committable, position)
        progress = DeliveryProgress(state.start.lineage, offset, state.last_delivered)
        return progress.with_ranges((*state.start.delivered_ahead, *state.delivered_ahead()))


def _indices_in_ranges(offsets: Sequence[int], ranges: Iterable[DeliveredRange]) -> Iterator[tuple[int, int]]:
    """From which index to before which one the offsets lie in one of the ranges."""
    for delivered_range in ranges:
        start = bisect_left(offsets, delivered_range.first)
        stop = bisect_left(offsets, delivered_range.stop)
        if start < stop:
            yield start, stop
