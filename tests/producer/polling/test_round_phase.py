"""The times at which rounds begin."""

from hypothesis import example, given
from hypothesis import strategies as st

from producer.polling.round_phase import RoundPhase


@given(st.floats(0.05, 86_400), st.floats(0, 1, exclude_max=True), st.floats(0, 1e9))
@example(60.0, 0.5, 0.5 * 58.8)
def test_the_next_round_begins_within_the_interval_and_not_at_once(interval, phase, began):
    seconds = RoundPhase(interval, phase).seconds_to_next(began)

    assert 0.005 * interval < seconds <= interval


@given(st.floats(1, 3_600), st.floats(0, 1, exclude_max=True), st.floats(0, 1e6), st.floats(-0.005, 0.5))
def test_a_round_off_its_phase_is_followed_by_one_on_it(interval, phase, began, late):
    """Each round begins somewhat late, or earlier than its timer was set for, and the delays do not add up."""
    round_phase = RoundPhase(interval, phase)
    on_phase = began + round_phase.seconds_to_next(began)
    delay = late * interval

    following = on_phase + delay + round_phase.seconds_to_next(on_phase + delay)

    assert abs(following - on_phase - 0.98 * interval) < 1e-5 * interval + 1e-6


def test_rounds_that_began_in_one_moment_are_spread_over_the_interval_at_the_next():
    """After a start or an outage, a tenth of the interval has a tenth of the organizations."""
    paces = [RoundPhase(60.0, number / 1_000) for number in range(1_000)]

    following = [round_phase.seconds_to_next(100.0) for round_phase in paces]

    for tenth in range(9):
        assert 90 <= sum(6 * tenth <= seconds < 6 * (tenth + 1) for seconds in following) <= 110
