import pytest

from consumer.delivery.flow_state import FlowState
from consumer.destinations.outcome import Paused
from relay.kafka import TopicPartition

A, B = TopicPartition("events", 0), TopicPartition("events", 1)


@pytest.mark.parametrize(
    ("found", "cleared"),
    [
        (FlowState.defect_found, FlowState.defect_cleared),
        (FlowState.dead_letters_failing, FlowState.dead_letters_written),
    ],
)
def test_a_problem_lasts_until_the_delivery_that_found_it_clears_it(found, cleared):
    state = FlowState()
    found(state, 1, "first")
    found(state, 2, "second")
    assert state.problem == Paused("first")
    cleared(state, 1)
    assert state.problem == Paused("second")
    cleared(state, 2)
    cleared(state, 2)
    assert state.problem is None


def test_corrupt_batches_are_no_problem_of_the_destination():
    """The other events arrive; the status names them while it is active."""
    state = FlowState()
    state.batch_corrupt(A, "corrupt")
    state.batch_corrupt(B, "corrupt too")
    state.rejections_open(1, 2, 1_000, "400")
    state.rejections_open(2, 3, 2_000, "413")
    assert state.problem is None
    assert "5, since 1970-01-01T00:00:01Z (400)" in state.open_rejections[0]
    state.rejections_closed(1)
    assert "3, since 1970-01-01T00:00:02Z (413)" in state.open_rejections[0]
    state.rejections_closed(2)
    assert state.open_rejections == ()
    assert state.corrupt_batches == ("corrupt", "corrupt too")
    state.batch_readable(A)
    state.batch_readable(A)
    assert state.corrupt_batches == ("corrupt too",)


def test_the_last_drop_is_kept_as_a_notice_and_is_no_problem():
    """The other rows of the body were accepted, and an operator can do nothing that would store the dropped ones."""
    state = FlowState()
    state.rows_dropped("first")
    state.rows_dropped("second")
    assert (state.problem, state.accepted, state.drops) == (None, 0, ("second",))
