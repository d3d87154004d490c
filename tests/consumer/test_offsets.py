from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from consumer.offsets import Mark, Offsets, Span, cut
from relay.kafka import TopicPartition
from tests.consumer.messages import stood

PARTITIONS = [TopicPartition("events", number) for number in range(3)]
A = PARTITIONS[0]


class EveryRecordIsFollowed(RuleBasedStateMachine):
    """Against a model that keeps each record by itself."""

    def __init__(self):
        super().__init__()
        self.offsets = Offsets()
        self.positions = dict.fromkeys(PARTITIONS, 0)
        self.records = {partition: {} for partition in PARTITIONS}  # offset: settled
        self.out = []  # spans not yet settled, with their offsets

    @rule(partition=st.sampled_from(PARTITIONS), holes=st.lists(st.integers(0, 3), max_size=6))
    def hand_out(self, partition, holes):
        offsets = []
        for hole in holes:
            offsets.append(self.positions[partition] + hole)
            self.positions[partition] = offsets[-1] + 1
        self.records[partition] |= dict.fromkeys(offsets, False)
        span = self.offsets.hand_out(partition, offsets)
        assert len(span) == len(offsets)
        if offsets:
            self.out.append((span, offsets))

    @rule(partition=st.sampled_from(PARTITIONS), markers=st.integers(1, 4))
    def read_markers(self, partition, markers):
        self.positions[partition] += markers

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def settle(self, data):
        span, offsets = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        start = data.draw(st.integers(0, len(offsets) - 1))
        stop = data.draw(st.integers(start + 1, len(offsets)))
        self.offsets.settle(cut([span], start, stop), stood(offsets[start:stop]))
        for offset in offsets[start:stop]:
            self.records[span.partition][offset] = True
        for first, last in ((0, start), (stop, len(offsets))):
            if first < last:
                (rest,) = cut([span], first, last)
                self.out.append((rest, offsets[first:last]))

    @invariant()
    def only_what_is_settled_may_be_committed(self):
        expected = {
            partition: min(
                (offset for offset, settled in self.records[partition].items() if not settled),
                default=position,
            )
            for partition, position in self.positions.items()
        }
        assert self.offsets.committable(self.positions) == expected

    @invariant()
    def the_last_record_settled_without_a_gap_is_known(self):
        marks = self.offsets.marks()
        for partition, offset in self.offsets.committable(self.positions).items():
            before = [each for each in self.records[partition] if each < offset]
            assert marks.get(partition) == (Mark.of(*stood([max(before)])) if before else None)

    @invariant()
    def what_is_unsettled_is_counted(self):
        settled = [each for records in self.records.values() for each in records.values()]
        assert self.offsets.unsettled() == settled.count(False)
        assert self.offsets.outstanding() >= self.offsets.unsettled()


EveryRecordIsFollowed.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
test_every_record_is_followed = EveryRecordIsFollowed.TestCase


def test_spans_are_cut_by_place():
    spans = (Span(A, 10, 12), Span(PARTITIONS[1], 5, 8))
    assert cut(spans, 1, 4) == (Span(A, 11, 12), Span(PARTITIONS[1], 5, 7))
    assert cut(spans, 0, 5) == spans
    assert cut(spans, 2, 2) == ()


def test_a_partition_without_records_is_committed_where_it_stands():
    """A group that starts at the end of a silent partition must leave a committed offset behind."""
    assert Offsets().committable({A: 42}) == {A: 42}


def test_settled_records_are_forgotten():
    """Memory holds what is outstanding, however much has passed."""
    offsets = Offsets()
    for first in range(0, 10_000, 100):
        handed = range(first, first + 100)
        offsets.settle([offsets.hand_out(A, handed)], stood(handed))
    assert offsets.outstanding() == 0
    assert not offsets._partitions[A].offsets
    assert not offsets._partitions[A].settled
