"""The tracker of read and delivered records of one assignment."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from consumer.offsets.counts import DeliveredCounts
from consumer.offsets.delivered import DeliveredRange, DeliveryProgress, RecordFingerprint
from relay.kafka import Record, TopicPartition, join_records, offsets_of, select_records


@dataclass(frozen=True, slots=True)
class SequenceRange:
    """Records of one partition that were tracked one after the other: numbers `first` to before `stop`.

    Numbers count tracked records and have no gaps. Offsets have gaps, at transaction markers and compacted records.
    """

    partition: TopicPartition
    first: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.first


def slice_sequences(sequences: Iterable[SequenceRange], start: int, stop: int) -> tuple[SequenceRange, ...]:
    """Return the sequences of positions `start` to before `stop`; `sequences` cover all positions in order."""
    sliced, position = [], 0
    for sequence in sequences:
        first, last = max(start - position, 0), min(stop - position, len(sequence))
        if first < last:
            sliced.append(SequenceRange(sequence.partition, sequence.first + first, sequence.first + last))
        position += len(sequence)
    return tuple(sliced)


@dataclass(frozen=True, slots=True)
class TrackedRecords:
    """Records with their sequences, in one order: what delivery reports back to the tracker."""

    records: Sequence[Record] = ()
    sequences: tuple[SequenceRange, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, part: slice) -> "TrackedRecords":
        start, stop, _ = part.indices(len(self))
        return TrackedRecords(self.records[start:stop], slice_sequences(self.sequences, start, stop))

    @property
    def partitions(self) -> set[TopicPartition]:
        return {sequence.partition for sequence in self.sequences}

    def partition_of_each(self) -> Iterator[TopicPartition]:
        return (partition for partition, _ in self._places())

    def of_partition(self, partition: TopicPartition) -> "TrackedRecords":
        """Return the records of one partition."""
        return self.without(self.partitions - {partition})

    def without(self, partitions: Collection[TopicPartition]) -> "TrackedRecords":
        """Return the records of the other partitions."""
        if not self.partitions.intersection(partitions):
            return self
        return self.select(
            [index for index, each in enumerate(self.partition_of_each()) if each not in partitions]
        )

    def followed_by(self, later: "TrackedRecords") -> "TrackedRecords":
        records = join_records([self.records, later.records])
        return TrackedRecords(records, (*self.sequences, *later.sequences))

    def select(self, indices: Sequence[int]) -> "TrackedRecords":
        """Return the records at `indices`, which ascend, in one pass."""
        if len(indices) == len(self.records):
            return self
        places = list(self._places())
        sequences: list[SequenceRange] = []
        for partition, number in (places[index] for index in indices):
            if sequences and (sequences[-1].partition, sequences[-1].stop) == (partition, number):
                sequences[-1] = replace(sequences[-1], stop=number + 1)
            else:
                sequences.append(SequenceRange(partition, number, number + 1))
        return TrackedRecords(select_records(self.records, indices), tuple(sequences))

    def singles(self) -> Iterator["TrackedRecords"]:
        """Return each record by itself."""
        for record, (partition, number) in zip(self.records, self._places(), strict=True):
            yield TrackedRecords([record], (SequenceRange(partition, number, number + 1),))

    def _places(self) -> Iterator[tuple[TopicPartition, int]]:
        return (
            (sequence.partition, number)
            for sequence in self.sequences
            for number in range(sequence.first, sequence.stop)
        )


@dataclass(slots=True)
class _PartitionState:
    start: DeliveryProgress
    """Its ranges are dropped as reading passes them."""
    pending_offsets: list[int] = field(default_factory=list)
    """Offsets of tracked records from the first undelivered one on; the first has number `first_pending`."""
    first_pending: int = 0
    delivered_runs: dict[int, tuple[int, RecordFingerprint]] = field(default_factory=dict)
    """Runs delivered after `first_pending`, which do not touch: first number to the number after the last, and the last record."""
    run_starts: dict[int, int] = field(default_factory=dict)
    """The same runs: number after the last to first number."""
    last_delivered: RecordFingerprint | None = None
    """The record before `first_pending`."""
    last_read: RecordFingerprint | None = None
    """The last tracked record, or the last one delivered before the assignment."""

    def committable(self) -> int:
        """Return the offset before which every record is delivered; transaction markers after the last record do not count."""
        if self.pending_offsets:
            return self.pending_offsets[0]
        return max(self.start.offset, self.last_delivered.offset + 1 if self.last_delivered else 0)

    def run_lengths(self) -> list[int]:
        """Return the numbers of records in the runs delivered after `first_pending`, in their order."""
        return [stop - first for first, (stop, _) in sorted(self.delivered_runs.items())]

    def delivered_ahead(self) -> list[DeliveredRange]:
        """Return the ranges delivered after `first_pending` in this assignment."""
        return [
            DeliveredRange(self.pending_offsets[first - self.first_pending], last)
            for first, (_, last) in self.delivered_runs.items()
        ]


class OffsetTracker:
    """Follows every record from its reading until it is delivered: accepted, skipped by a filter, or a dead letter.

    Belongs to one assignment of partitions; a rebalance needs a new one.
    """

    def __init__(self) -> None:
        self._partitions: dict[TopicPartition, _PartitionState] = {}

    def start(self, partition: TopicPartition, progress: DeliveryProgress) -> None:
        """Begin a partition at `progress.offset`. Called once, before any record of the partition is tracked."""
        self._partitions[partition] = _PartitionState(
            progress, last_delivered=progress.last, last_read=progress.last
        )

    def track(
        self, partition: TopicPartition, records: Sequence[Record]
    ) -> list[tuple[SequenceRange, Sequence[Record]]]:
        """Track records that were read, in the order of their offsets. Return those that are not delivered already."""
        state = self._partitions[partition]
        if records and records[0].offset < state.start.offset:
            records = [record for record in records if record.offset >= state.start.offset]
        if not records:
            return []
        state.last_read = RecordFingerprint.of(records[-1])
        first = state.first_pending + len(state.pending_offsets)
        offsets = offsets_of(records)
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

    def tracked_count(self) -> int:
        """Return how many records were tracked."""
        return sum(state.first_pending + len(state.pending_offsets) for state in self._partitions.values())

    def mark_delivered(self, tracked: TrackedRecords) -> None:
        """Mark records as delivered; each record once."""
        position = 0
        for sequence in tracked.sequences:
            if len(sequence):
                position += len(sequence)
                self._mark_delivered(
                    self._partitions[sequence.partition],
                    sequence,
                    RecordFingerprint.of(tracked.records[position - 1]),
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

    def start_offset(self, partition: TopicPartition) -> int:
        """Return the offset at which delivery of the partition began; it was committed then."""
        return self._partitions[partition].start.offset

    def live_from(self, partition: TopicPartition) -> int | None:
        """Return where live delivery of the partition began; None: it was not divided."""
        return self._partitions[partition].start.live_from

    def first_undelivered(self, partition: TopicPartition) -> int | None:
        """Return the number of the first undelivered record; None: all that were read are delivered."""
        state = self._partitions[partition]
        return state.first_pending if state.pending_offsets else None

    def last_read(self, partition: TopicPartition) -> RecordFingerprint | None:
        """Return the last record that was read; None: no record is known."""
        return self._partitions[partition].last_read

    def skip(self, partition: TopicPartition, start: int, stop: int) -> int:
        """Skip offsets [start, stop), which Kafka has deleted; `start` is the position. Return how many had not been delivered."""
        start_progress = self._partitions[partition].start
        _, undelivered = (
            replace(start_progress, offset=max(start, start_progress.offset))
            .with_ranges(())
            .without_deleted(stop)
        )
        return undelivered

    def hold_back_delivered(self, sequences: Iterable[SequenceRange]) -> bool:
        """Return whether one of these undelivered records holds back the offset of its partition, in front of delivered ones."""
        return any(
            each.first == state.first_pending and state.delivered_runs
            for each in sequences
            for state in (self._partitions[each.partition],)
        )

    def blocks(self, partition: TopicPartition, sequences: Iterable[SequenceRange]) -> bool:
        """Return whether these records hold the first undelivered one of the partition, while others behind it are delivered."""
        state = self._partitions[partition]
        return bool(state.delivered_runs) and any(
            each.partition == partition and each.first <= state.first_pending < each.stop
            for each in sequences
        )

    def uncommittable_count(self, partition: TopicPartition, max_ranges: int) -> int:
        """Return how many delivered records of the partition lie behind the `max_ranges` ranges that its offset holds."""
        state = self._partitions.get(partition)
        if state is None or len(state.delivered_runs) <= max_ranges:
            return 0
        return sum(state.run_lengths()[max_ranges:])

    def delivered_counts(self) -> DeliveredCounts:
        states = self._partitions.values()
        return DeliveredCounts(self.contiguous_count(), [state.run_lengths() for state in states])

    def delivered_count(self) -> int:
        """Return how many tracked records are delivered."""
        return self.contiguous_count() + sum(sum(each.run_lengths()) for each in self._partitions.values())

    def contiguous_count(self) -> int:
        """Return how many tracked records are delivered with no undelivered record before them."""
        return sum(state.first_pending for state in self._partitions.values())

    def progress(
        self, positions: Mapping[TopicPartition, int] | None = None
    ) -> dict[TopicPartition, DeliveryProgress]:
        """Return the progress of each partition; with `positions`, of the partitions that they name.

        `positions` are the next offsets to read, looked up before this call. With no undelivered record they count, since a
        transaction marker takes an offset too.
        """
        partitions = self._partitions if positions is None else positions
        return {
            each: self._progress(self._partitions[each], (positions or {}).get(each, 0))
            for each in partitions
        }

    def _progress(self, state: _PartitionState, position: int) -> DeliveryProgress:
        committable = state.committable()
        offset = committable if state.pending_offsets else max(committable, position)
        progress = replace(state.start, offset=offset, last=state.last_delivered, delivered_ahead=())
        return progress.with_ranges((*state.start.delivered_ahead, *state.delivered_ahead()))


def _indices_in_ranges(offsets: Sequence[int], ranges: Iterable[DeliveredRange]) -> Iterator[tuple[int, int]]:
    """Return (first index, index after the last) of the offsets within each range."""
    for delivered_range in ranges:
        start = bisect_left(offsets, delivered_range.first)
        stop = bisect_left(offsets, delivered_range.stop)
        if start < stop:
            yield start, stop
