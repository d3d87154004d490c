from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from consumer.offsets.delivered import DeliveredRange, DeliveryProgress, RecordFingerprint
from consumer.offsets.tracker import OffsetTracker, SequenceRange, TrackedRecords, slice_sequences
from relay.kafka import TopicPartition
from tests.support.messages import records_at

PARTITIONS = [TopicPartition("events", number) for number in range(3)]
A = PARTITIONS[0]


def delivered_range(first, last):
    return DeliveredRange(first, RecordFingerprint.of(*records_at([last])))


class EveryRecordIsTracked(RuleBasedStateMachine):
    """Against a model that keeps each record by itself; in some ranges records were delivered before."""

    def __init__(self):
        super().__init__()
        self.tracker = OffsetTracker()
        self.positions = dict.fromkeys(PARTITIONS, 0)
        self.records = {partition: {} for partition in PARTITIONS}  # offset: delivered
        self.before = {partition: set() for partition in PARTITIONS}
        self.outstanding = []  # sequences not yet delivered, with their offsets

    @initialize(data=st.data())
    def start(self, data):
        for partition in PARTITIONS:
            bounds = sorted(data.draw(st.sets(st.integers(1, 25), max_size=4)))
            beyond = [
                delivered_range(first, last - 1)
                for first, last in zip(bounds[::2], bounds[1::2], strict=False)
            ]
            self.before[partition] = {at for each in beyond for at in range(each.first, each.stop)}
            self.tracker.start(partition, DeliveryProgress(7, 0, None, tuple(beyond)))

    @rule(partition=st.sampled_from(PARTITIONS), holes=st.lists(st.integers(0, 3), max_size=6))
    def track(self, partition, holes):
        offsets = []
        for hole in holes:
            offsets.append(self.positions[partition] + hole)
            self.positions[partition] = offsets[-1] + 1
        known = self.before[partition]
        self.records[partition] |= {offset: offset in known for offset in offsets}
        tracked = self.tracker.track(partition, records_at(offsets))
        given = [record.offset for sequence, records in tracked for record in records]
        assert given == [offset for offset in offsets if offset not in known]
        for sequence, records in tracked:
            assert len(sequence) == len(records)
            self.outstanding.append((sequence, [record.offset for record in records]))

    @rule(partition=st.sampled_from(PARTITIONS), markers=st.integers(1, 4))
    def read_markers(self, partition, markers):
        self.positions[partition] += markers

    @precondition(lambda self: self.outstanding)
    @rule(data=st.data())
    def mark_delivered(self, data):
        sequence, offsets = self.outstanding.pop(data.draw(st.integers(0, len(self.outstanding) - 1)))
        start = data.draw(st.integers(0, len(offsets) - 1))
        stop = data.draw(st.integers(start + 1, len(offsets)))
        delivered = TrackedRecords(records_at(offsets), (sequence,))[start:stop]
        self.tracker.mark_delivered(delivered)
        for offset in offsets[start:stop]:
            self.records[sequence.partition][offset] = True
        for first, last in ((0, start), (stop, len(offsets))):
            if first < last:
                (rest,) = slice_sequences([sequence], first, last)
                self.outstanding.append((rest, offsets[first:last]))

    @invariant()
    def what_is_delivered_is_reported_and_nothing_else(self):
        for partition, progress in self.tracker.progress(self.positions).items():
            records, position = self.records[partition], self.positions[partition]
            undelivered = [offset for offset, delivered in records.items() if not delivered]
            assert not [offset for offset in undelivered if is_delivered(progress, offset)]
            delivered = [offset for offset, delivered in records.items() if delivered]
            delivered += [offset for offset in self.before[partition] if offset >= position]
            assert all(is_delivered(progress, offset) for offset in delivered)
            if not undelivered:
                assert progress.offset >= position
            assert not is_delivered(progress, max(delivered, default=-1) + 100)

    @invariant()
    def the_last_delivered_records_are_known(self):
        for partition, progress in self.tracker.progress(self.positions).items():
            for fingerprint in (progress.last, *(each.last for each in progress.delivered_ahead)):
                if fingerprint is not None:
                    assert fingerprint == RecordFingerprint.of(*records_at([fingerprint.offset]))
                    seen = self.records[partition].get(
                        fingerprint.offset, fingerprint.offset in self.before[partition]
                    )
                    assert seen

    @invariant()
    def what_is_delivered_is_counted(self):
        delivered = [each for records in self.records.values() for each in records.values()]
        assert self.tracker.delivered_count() == delivered.count(True)
        assert self.tracker.contiguous_count() <= self.tracker.delivered_count()


def is_delivered(progress, offset):
    return offset < progress.offset or any(
        each.first <= offset < each.stop for each in progress.delivered_ahead
    )


EveryRecordIsTracked.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
test_every_record_is_tracked = EveryRecordIsTracked.TestCase


def test_sequences_are_sliced_by_position():
    sequences = (SequenceRange(A, 10, 12), SequenceRange(PARTITIONS[1], 5, 8))
    assert slice_sequences(sequences, 1, 4) == (SequenceRange(A, 11, 12), SequenceRange(PARTITIONS[1], 5, 7))
    assert slice_sequences(sequences, 0, 5) == sequences
    assert slice_sequences(sequences, 2, 2) == ()


def tracker_at(offset=0, *delivered_ahead):
    tracker = OffsetTracker()
    tracker.start(A, DeliveryProgress(7, offset, None, delivered_ahead))
    return tracker


def test_a_partition_without_records_is_committed_at_its_position():
    """A group that starts at the end of a silent partition must leave a committed offset behind."""
    assert tracker_at(42).progress({A: 42}) == {A: DeliveryProgress(7, 42)}


def test_a_delivered_range_is_not_forgotten_while_it_is_not_yet_read():
    """A crash right after the start must not cost what the owner before had delivered."""
    tracker = tracker_at(10, delivered_range(15, 17))
    assert tracker.progress({A: 10}) == {A: DeliveryProgress(7, 10, None, (delivered_range(15, 17),))}
    ((sequence, records),) = tracker.track(A, records_at(range(10, 17)))
    assert len(records) == 5
    assert tracker.progress({A: 17}) == {A: DeliveryProgress(7, 10, None, (delivered_range(15, 17),))}
    tracker.mark_delivered(TrackedRecords(records, (sequence,)))
    assert tracker.progress({A: 17}) == {A: DeliveryProgress(7, 18, RecordFingerprint.of(*records_at([17])))}


def test_a_record_gone_from_the_middle_of_a_delivered_range_is_counted_once():
    """Reading had come to 15 when Kafka deleted everything before 30: 15 to 19 were delivered before, and 20 to 29 by nobody."""
    tracker = tracker_at(10, delivered_range(11, 19))
    tracker.track(A, records_at(range(10, 15)))
    assert tracker.skip(A, 15, 30) == 10
    assert tracker.skip(A, 15, 18) == 0


def test_delivered_records_are_forgotten():
    """Memory holds what is outstanding, however much has passed."""
    tracker = tracker_at(0, *(delivered_range(at, at) for at in range(50, 100, 2)))
    for first in range(0, 10_000, 100):
        for sequence, records in tracker.track(A, records_at(range(first, first + 100))):
            tracker.mark_delivered(TrackedRecords(records, (sequence,)))
    assert not tracker._partitions[A].pending_offsets
    assert not tracker._partitions[A].delivered_runs
    assert not tracker._partitions[A].start.delivered_ahead


def test_a_record_delivered_before_the_start_may_be_read_again_and_is_not_tracked():
    tracker = OffsetTracker()
    delivered = RecordFingerprint.of(*records_at([6]))
    tracker.start(A, DeliveryProgress(7, 9, delivered))
    assert tracker.last_read(A) == delivered
    assert tracker.track(A, records_at([6])) == []
    assert tracker.last_read(A) == delivered
    ((sequence, records),) = tracker.track(A, records_at([8, 9, 10]))
    assert [record.offset for record in records] == [9, 10]
    assert len(sequence) == 2
    assert tracker.last_read(A) == RecordFingerprint.of(*records_at([10]))


def test_records_that_overtake_a_waiting_one_are_one_range_of_any_number_of_bodies():
    """One may wait for days; what is reported of the others meanwhile, five times a second, must not take longer and longer."""
    tracker = tracker_at()
    ((waiting, records),) = tracker.track(A, records_at([0]))
    tracked = [each for at in range(1, 1001) for each in tracker.track(A, records_at([at]))]
    for sequence, delivered in tracked[::2] + tracked[1::2]:
        tracker.mark_delivered(TrackedRecords(delivered, (sequence,)))
    assert len(tracker._partitions[A].delivered_runs) == len(tracker._partitions[A].run_starts) == 1
    assert tracker.progress({A: 1001}) == {A: DeliveryProgress(7, 0, None, (delivered_range(1, 1000),))}
    tracker.mark_delivered(TrackedRecords(records, (waiting,)))
    assert tracker.progress({A: 1001}) == {
        A: DeliveryProgress(7, 1001, RecordFingerprint.of(*records_at([1000])))
    }
    assert not tracker._partitions[A].run_starts


def test_a_sequence_without_records_is_passed_over():
    """It takes no record from the sequence after it."""
    tracker = tracker_at()
    ((sequence, records),) = tracker.track(A, records_at([0, 1]))
    empty = SequenceRange(A, sequence.first, sequence.first)
    tracker.mark_delivered(TrackedRecords(records, (empty, sequence)))
    assert tracker.progress({A: 2}) == {A: DeliveryProgress(7, 2, RecordFingerprint.of(*records_at([1])))}
