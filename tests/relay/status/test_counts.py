"""What a status keeps of each hour and quarter."""

import pytest

from relay.status.model import HOUR_MS, HOURS_KEPT, HourCount, take_over
from relay.status.slots import SLOT_MS, SLOTS_KEPT, DeliverySlot
from relay.timestamps import DAY_MS

NOW = 1_790_000_000_000
HOUR, QUARTER = NOW - NOW % HOUR_MS, NOW - NOW % SLOT_MS


def test_an_hour_in_which_nothing_happened_is_known_all_the_same():
    """Zeros say that somebody looked; an hour without an entry is not known."""
    started = take_over("active", NOW)
    assert started.with_counts(NOW).counts == (HourCount(HOUR, 0, 0, 0),)
    counted = started.with_counts(NOW, events=2, retries=1).with_counts(NOW + 1, events=3, dead_letters=1)
    assert counted.counts == (HourCount(HOUR, 5, 0, 1, 0, 1),)
    assert counted.with_counts(NOW) is counted


@pytest.mark.parametrize("jump_days", [400, -400])
def test_a_clock_that_jumps_and_comes_back_costs_no_other_hour(jump_days):
    """The hours before the jump stay, those after it find their place, and those of the jump go first."""
    found = take_over("active", NOW)
    for ago in range(HOURS_KEPT - 1, 23, -1):
        found = found.with_counts(NOW - ago * HOUR_MS, events=1)
    for minute in range(120):  # two hours of a wrong clock
        found = found.with_counts(NOW + jump_days * DAY_MS + minute * 60_000, events=1)
    for ago in range(23, -1, -1):
        found = found.with_counts(NOW - ago * HOUR_MS, events=1)
    assert len(found.counts) == HOURS_KEPT
    assert [each.hour for each in found.counts] == [
        HOUR - ago * HOUR_MS for ago in range(HOURS_KEPT - 1, -1, -1)
    ]


def test_a_quarter_has_the_most_that_was_known_in_it_and_a_day_of_them_is_kept():
    """What is not known leaves what was; a quarter of which nothing is known says so."""
    found = take_over("active", NOW).with_slot(NOW)
    assert found.slots == (DeliverySlot(QUARTER),)
    for lag, age in ((3, None), (None, 9), (2, 0)):
        found = found.with_slot(NOW, lag, age)
    assert found.slots == (DeliverySlot(QUARTER, 3, 9),)
    assert found.with_slot(NOW, 1) is found
    for number in range(1, 200):
        found = found.with_slot(NOW + number * SLOT_MS, number)
    assert [each.lag for each in found.slots] == list(range(200 - SLOTS_KEPT, 200))
