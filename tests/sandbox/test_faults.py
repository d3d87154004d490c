import itertools

import pytest

from sandbox.faults import plan_faults


@pytest.mark.parametrize("duration", [1, 10, 20, 60, 3600])
def test_within_a_duration_each_fault_is_played_once_and_can_heal(duration):
    """Faults follow one another, and each ends before the next one and before the end of the duration."""
    planned = list(plan_faults(duration))
    assert [fault.kind for fault in planned] == [
        "Jira answers 429",
        "destination refuses",
        "producer killed",
    ]
    for fault, following in itertools.pairwise([*planned, None]):
        end = following.at if following else duration
        assert 0 < fault.at < fault.at + fault.seconds < end


def test_without_a_duration_faults_repeat_in_rounds():
    """The first round begins within 20 s, and each round has the same order."""
    planned = list(itertools.islice(plan_faults(None), 7))
    assert planned[0].at < 20
    assert planned[6].kind == planned[0].kind
    assert all(later.at - earlier.at >= 20 for earlier, later in itertools.pairwise(planned))
