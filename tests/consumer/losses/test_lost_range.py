"""Lost ranges, and what brings their events back."""

from dataclasses import replace

import pytest

from consumer.losses.lost_range import MAX_RANGES, LostRange, losses_text, merged, remedy
from relay.timestamps import DAY_MS

NOW = 1_795_000_000_000
LOST = LostRange("soc", "audit.events", 3, 100, 150, 40, NOW - 5_000, NOW - 1_000, NOW)


def test_a_loss_that_is_found_again_keeps_its_key_and_its_first_time():
    """A kill between its record and the commit leaves the old offset; the log may have lost more meanwhile."""
    again = replace(LOST, stop=180, lost=70, collected_until=None, at=NOW + 60_000)
    widened = merged([LOST], again)
    assert (widened.key, widened.stop, widened.lost, widened.at) == (LOST.key, 180, 70, NOW)
    assert widened.collected_until is None
    assert merged([LOST], replace(LOST, collected_until=None)) == LOST


def test_losses_of_other_partitions_and_later_ones_are_ranges_of_their_own():
    for other in (
        replace(LOST, partition=4),
        replace(LOST, topic="audit.backfill"),
        replace(LOST, start=200, stop=220),
    ):
        assert merged([LOST], other) == other


def test_a_partition_has_a_bounded_number_of_ranges_and_none_is_forgotten():
    """A destination that retention overtakes each hour does not fill the topic: its last range grows."""
    known = [replace(LOST, start=100 * n, stop=100 * n + 50, lost=50) for n in range(MAX_RANGES)]
    last = known[-1]
    found = replace(LOST, start=5_000, stop=5_100, lost=100, collected_from=NOW)
    written = merged(known, found)
    assert (written.key, written.stop, written.lost) == (last.key, 5_100, 150)
    assert written.collected_from == last.collected_from


@pytest.mark.parametrize(
    ("archives", "age", "part"),
    [
        ((), DAY_MS, "--destination soc --lost events/3/100`"),
        (("lake",), DAY_MS, "--destination soc --lost events/3/100 --archive lake`"),
        (("lake",), 400 * DAY_MS, "--archive lake`"),
        ((), 181 * DAY_MS, "so they are gone"),
    ],
)
def test_the_message_names_the_command_that_repairs_the_loss(archives, age, part):
    assert part in remedy(LOST, archives, LOST.collected_before + age)


def test_the_status_shows_the_latest_loss_and_their_number():
    later = replace(LOST, partition=5, at=NOW + 1, collected_from=None, collected_until=None)
    text = losses_text([later, LOST], (), NOW)
    assert text.startswith(
        "Kafka deleted events before they were accepted: offsets 100 to 149 of audit.events, partition 5."
    )
    assert "They had been collected before " in text
    assert "lists all 2 lost ranges" in text
    assert losses_text([], (), NOW) is None
    assert "lists all" not in losses_text([LOST], (), NOW)


def test_a_time_that_is_no_instant_is_still_told():
    assert f"{10**18} ms since 1970" in losses_text([replace(LOST, collected_until=10**18)], (), NOW)
