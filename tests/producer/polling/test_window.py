"""The next window to read, rule by rule."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.polling import window
from producer.polling.window import PollingConfig
from producer.sources.jira_cloud.window_proof import contradicts
from producer.state.checkpoint import CompletenessPair, EventPosition, new_checkpoint
from producer.state.intervals import TimeRange, missing_ranges
from relay.timestamps import DAY_MS, day_start

NOW = day_start("2026-11-23") + 9 * 3_600_000
MINUTE = 60_000
CONFIG = PollingConfig()
START = new_checkpoint("acme", NOW, now=NOW)


def test_a_live_window_overlaps_the_last_one():
    """A live window begins one overlap before the checkpoint and ends one settle before now."""
    point = replace(START, window_end=NOW + 60 * MINUTE)
    assert window.live(point, NOW + 61 * MINUTE, CONFIG.overlap_ms, None) == TimeRange(
        NOW + 45 * MINUTE, NOW + 61 * MINUTE
    )


def test_no_window_begins_before_the_first_wanted_instant():
    """The first contact is the lower bound without backfill, the start of backfill with it."""
    for backfill_from, lowest in ((None, NOW), (NOW - 5 * MINUTE, NOW - 5 * MINUTE), (NOW + 1, NOW)):
        assert window.live(START, NOW + MINUTE, CONFIG.overlap_ms, backfill_from).start == lowest
        assert window.reread(START, NOW + DAY_MS, CONFIG, backfill_from).start == lowest


@pytest.mark.parametrize(
    ("after", "start"),
    [
        (59 * MINUTE, None),
        (60 * MINUTE, -DAY_MS),
        (DAY_MS - 1, -DAY_MS),
        (DAY_MS, -7 * DAY_MS),
        (10 * DAY_MS, -7 * DAY_MS),
    ],
)
def test_re_reads_are_due_by_their_marks(after, start):
    """A re-read of the day is due hourly, of the week daily, and begins at its mark."""
    expected = None if start is None else TimeRange(NOW + start, NOW + after)
    assert window.reread(START, NOW + after, CONFIG, NOW - 30 * DAY_MS) == expected


def test_a_read_moves_every_cursor_that_it_covers():
    """A deep re-read moves shallower marks; a live round moves none; one that leaves an unread range moves none."""
    point = replace(START, window_end=NOW + DAY_MS, day_mark=NOW + DAY_MS, week_mark=NOW)
    end = NOW + DAY_MS + MINUTE
    far = NOW - 30 * DAY_MS

    def cursors(start):
        moved = window.advance(point, TimeRange(start, end), CONFIG, far)
        return [cursor == end for cursor in (moved.window_end, moved.day_mark, moved.week_mark)]

    assert cursors(NOW + DAY_MS + 1) == [False, False, False]
    assert cursors(NOW + DAY_MS) == [True, False, False]
    assert cursors(NOW) == [True, True, False]
    assert cursors(NOW - 7 * DAY_MS) == [True, True, True]


def test_a_re_read_in_several_results_moves_its_mark_with_each():
    """An interrupted re-read continues after its last result beyond the mark."""
    point = START
    week = window.reread(point, NOW + 10 * DAY_MS, CONFIG, 0)
    for days in range(1, 11):
        point = window.advance(point, TimeRange(week.start, week.start + days * DAY_MS), CONFIG, 0)
    assert point.week_mark == point.day_mark == point.window_end == NOW + 3 * DAY_MS
    assert window.reread(point, NOW + 10 * DAY_MS, CONFIG, 0).start == NOW - 4 * DAY_MS


def test_an_empty_coverage_moves_no_cursor_back():
    """The cursors stay when Jira's clock has not reached the window."""
    assert window.advance(START, TimeRange(NOW - MINUTE, NOW - MINUTE), CONFIG, None) == replace(
        START, ledgers_from=window.advance(START, TimeRange(NOW, NOW), CONFIG, None).ledgers_from
    )


def test_a_cursor_from_the_future_is_set_back():
    """A rewind sets cursors to now, not below the ledgers, and drops pairs from the future."""
    pairs = (CompletenessPair(NOW - 1, 3), CompletenessPair(NOW + DAY_MS, 4))
    point = replace(
        START, window_end=NOW + DAY_MS, day_mark=NOW + 2 * DAY_MS, ledgers_from=NOW - 8 * DAY_MS, pairs=pairs
    )
    back = window.rewind(point, NOW)
    assert (back.window_end, back.day_mark, back.week_mark) == (NOW, NOW, NOW)
    assert back.pairs == pairs[:1]
    assert window.rewind(point, NOW - 300 * DAY_MS).window_end == NOW - 8 * DAY_MS
    assert window.rewind(START, NOW + 5) == START


def test_the_overlap_fits_one_page():
    """The overlap of a busy organization is shorter, but at least one minute."""
    assert window.next_overlap(range(NOW - 100, NOW), NOW, CONFIG, 1_000) == CONFIG.overlap_ms
    every_second = range(NOW - 1_200_000, NOW + 5_000, 1_000)
    assert window.next_overlap(every_second, NOW, CONFIG, 1_000) == 900_000
    assert window.next_overlap(range(NOW - 1_200_000, NOW, 100), NOW, CONFIG, 1_000) == 90_000
    assert window.next_overlap(range(NOW - 5_000, NOW), NOW, CONFIG, 1_000) == 60_000
    assert (
        window.next_overlap(range(NOW - 5_000, NOW), NOW, PollingConfig(overlap_ms=30_000), 1_000) == 30_000
    )


def test_backfill_reads_missing_days_newest_first():
    """A backfill window is at most one UTC day and leaves out covered ranges."""
    point, asked = START, []
    while (todo := window.backfill(point, NOW - 2 * DAY_MS)) is not None:
        asked.append(todo)
        point = window.mark_backfilled(point, todo)
    midnight = day_start("2026-11-23")
    assert asked == [
        TimeRange(midnight, NOW),
        TimeRange(midnight - DAY_MS, midnight),
        TimeRange(NOW - 2 * DAY_MS, midnight - DAY_MS),
    ]
    assert window.backfill(START, NOW - 9 * DAY_MS, 4) == TimeRange(midnight - 3 * DAY_MS, NOW)
    assert window.backfill(START, NOW - 2 * DAY_MS, 4) == TimeRange(NOW - 2 * DAY_MS, NOW)
    assert window.backfill(point, NOW - 3 * DAY_MS) == TimeRange(midnight - 2 * DAY_MS, NOW - 2 * DAY_MS)
    assert window.backfill(point, None) is None
    assert window.backfill(point, NOW + DAY_MS) is None


@given(st.lists(st.tuples(st.integers(-5000, 0), st.integers(-5000, 0)), max_size=5), st.integers(-5000, 0))
def test_backfill_covers_its_range_exactly(covered, start):
    """The windows are disjoint and leave no gap, whatever was covered before."""
    point = replace(START, live_since=0)
    for one, other in covered:
        point = window.mark_backfilled(point, TimeRange(one * 60 * MINUTE, other * 60 * MINUTE))
    left = missing_ranges(point.backfilled, TimeRange(start * 60 * MINUTE, 0))
    while (todo := window.backfill(point, start * 60 * MINUTE)) is not None:
        assert 0 < todo.width <= DAY_MS
        assert missing_ranges(point.backfilled, todo) == (todo,)
        point = window.mark_backfilled(point, todo)
    assert not missing_ranges(point.backfilled, TimeRange(start * 60 * MINUTE, 0))
    assert all(not missing_ranges(point.backfilled, one) for one in left)


def test_an_empty_answer_needs_a_probe():
    """Probes come at most every five minutes; one that shows a record of the window refutes the empty answer."""
    assert [window.proof_due(probed, NOW, CONFIG) for probed in (None, NOW - 299_999, NOW - 300_000)] == [
        True,
        False,
        True,
    ]
    assert contradicts(TimeRange(NOW, NOW + 5), NOW + 4)
    assert not contradicts(TimeRange(NOW, NOW + 5), NOW + 5)
    assert not contradicts(TimeRange(NOW, NOW + 5), NOW - 1)


def test_a_clock_that_goes_back_makes_a_probe_due():
    """Otherwise a quiet organization would wait for as long as the clock was ahead."""
    assert window.proof_due(NOW + 1, NOW, CONFIG)
    assert not window.proof_due(NOW, NOW, CONFIG)


def test_an_outage_is_noted_after_a_day_without_a_round():
    """It begins at the checkpoint, also if rounds go on failing, and only where events were published before."""
    point = replace(START, last_event=EventPosition(5, 5))
    assert window.note_outage(point, NOW + DAY_MS - 1) == point
    assert window.note_outage(START, NOW + 3 * DAY_MS) == START
    noted = window.note_outage(point, NOW + DAY_MS)
    assert noted.outage == TimeRange(NOW, NOW + DAY_MS)
    later = replace(noted, window_end=NOW + 5)
    assert window.note_outage(later, NOW + 3 * DAY_MS).outage == TimeRange(NOW, NOW + 3 * DAY_MS)


def test_a_gap_reaches_from_the_outage_to_the_oldest_record():
    """Records that the API deleted after the outage had ended were read in time."""
    outage = TimeRange(NOW, NOW + 90 * DAY_MS)
    assert window.find_gap(outage, NOW + 3 * DAY_MS) == TimeRange(NOW, NOW + 3 * DAY_MS)
    assert window.find_gap(outage, NOW + 100 * DAY_MS) == outage
    assert window.find_gap(outage, NOW) is None
