"""Moves of offsets: which records are delivered before and after, by a model of sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.offsets.delivered import DeliveredRange, DeliveryProgress, RecordFingerprint
from management.offset_moves import is_delivered, plan_move
from relay.kafka import TopicPartition

TP = TopicPartition("t", 0)
END = 40


def progress(offset, ranges=(), live_from=None):
    found = DeliveryProgress(7, offset, None, (), live_from, None)
    return found.with_ranges(
        DeliveredRange(first, RecordFingerprint(stop - 1, 0, 0)) for first, stop in ranges
    )


def delivered(found):
    return {offset for offset in range(END) if is_delivered(found, offset)}


progresses = st.builds(
    progress,
    st.integers(0, 20),
    st.lists(
        st.tuples(st.integers(0, 38), st.integers(1, 5)).map(lambda pair: (pair[0], pair[0] + pair[1])),
        max_size=4,
    ),
)


@given(progresses, st.integers(0, END))
def test_a_rewind_delivers_all_from_its_target_on_and_nothing_that_was_undelivered_is_skipped(before, target):
    """A range across the target is delivered again as a whole."""
    move = plan_move("rewind", TP, before, target)
    after = before if move is None else move.after
    assert not {offset for offset in delivered(after) if offset >= target}
    assert delivered(after) <= delivered(before)
    kept = {
        offset
        for each in before.delivered_ahead
        if each.stop <= target
        for offset in range(each.first, each.stop)
    }
    assert delivered(after) == set(range(min(before.offset, target))) | kept


@given(progresses, st.integers(0, END))
def test_a_skip_leaves_out_all_before_its_target_and_keeps_what_was_delivered(before, target):
    move = plan_move("skip", TP, before, target)
    after = before if move is None else move.after
    assert delivered(after) == delivered(before) | set(range(target))


@given(st.sampled_from(["rewind", "skip"]), progresses, st.integers(0, END))
def test_what_a_move_changes_lies_within_its_range(direction, before, target):
    """So counting the records of the range counts all of them."""
    move = plan_move(direction, TP, before, target)
    if move is None:
        return
    changed = delivered(move.before) ^ delivered(move.after)
    assert changed == {offset for offset in range(END) if move.changes(offset)}
    assert changed <= set(range(move.first, move.stop))
    assert move.after.lineage != before.lineage


@pytest.mark.parametrize(("direction", "target"), [("rewind", 10), ("rewind", 12), ("skip", 10), ("skip", 3)])
def test_a_move_to_where_it_is_changes_nothing(direction, target):
    assert plan_move(direction, TP, progress(10), target) is None


def test_a_move_keeps_the_split_offset_of_the_first_start():
    """Older events end there, whatever the live group delivers again."""
    move = plan_move("rewind", TP, progress(10, live_from=5), 2)
    assert (move.after.offset, move.after.live_from) == (2, 5)
