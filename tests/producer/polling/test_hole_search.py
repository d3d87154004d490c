"""Which part of a hole is asked for next."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.polling import hole_search
from producer.polling.hole_search import MOST_HOLES, HoleSearch, HoleTiming
from producer.state.checkpoint import CompletenessPair, new_checkpoint, with_completeness_pair
from producer.state.intervals import TimeRange, missing_ranges

NOW = 1_790_000_000_000
START = new_checkpoint("acme", NOW, now=NOW)


@given(st.integers(1, 5_000), st.sets(st.integers(0, 4_999), max_size=5))
def test_a_hole_shrinks_to_the_milliseconds_to_blame(width, bad):
    """All other time is read, in few requests, and each bad millisecond waits alone."""
    checkpoint = hole_search.open_hole(START, TimeRange(NOW, NOW + width))
    bad = {NOW + one for one in bad if one < width}
    search, requests = HoleSearch(), 0
    search.follow(checkpoint.holes)
    while (part := search.due(0.0)) is not None:
        requests += 1
        if any(one in part for one in bad):
            search.failed(part, 0.0, 0.5)
        else:
            checkpoint = hole_search.close_range(checkpoint, part)
        search.follow(checkpoint.holes)

    assert [one for hole in checkpoint.holes for one in range(hole.start, hole.end)] == sorted(bad)
    assert requests <= 1 + 2 * 13 * len(bad)


def test_a_single_millisecond_is_asked_for_ever_more_seldom():
    """Its waits grow to the longest; a range that is read meanwhile is not asked for again."""
    search, part = HoleSearch(HoleTiming(10.0, 60.0)), TimeRange(NOW, NOW + 1)
    search.follow([part])
    now, waits = 0.0, []
    for _ in range(6):
        assert search.due(now) == part
        search.failed(part, now, 1.0)
        before = now
        while search.due(now) is None:
            now += 1.0
        waits.append(now - before)
    search.follow([])

    assert waits == sorted(waits)
    assert 10.0 <= waits[0] < waits[-1] <= 61.0
    assert search.due(1e9) is None


def test_a_hole_that_grows_is_asked_for_in_its_new_part():
    """The parts that wait stay as they are."""
    search = HoleSearch()
    search.follow([TimeRange(0, 1)])
    search.failed(TimeRange(0, 1), 0.0, 0.5)
    search.follow([TimeRange(0, 10)])

    assert search.due(0.0) == TimeRange(1, 10)
    assert search.isolated(TimeRange(0, 1))


def test_holes_are_bounded():
    """Too many become fewer by joining near ones, and none is taken apart any more; nothing unread is left out."""
    checkpoint = START
    for number in range(MOST_HOLES + 50):
        checkpoint = hole_search.open_hole(checkpoint, TimeRange(10 * number, 10 * number + 1))
    whole = checkpoint.holes

    assert len(whole) == MOST_HOLES
    assert all(not missing_ranges(whole, TimeRange(10 * n, 10 * n + 1)) for n in range(MOST_HOLES + 50))
    middle = next(hole for hole in whole if hole.width > 2)
    inside = TimeRange(middle.start + 1, middle.start + 2)
    assert hole_search.close_range(checkpoint, inside) == checkpoint
    assert len(hole_search.close_range(checkpoint, middle).holes) == MOST_HOLES - 1


def test_nothing_claims_a_hole():
    """Completeness ends at the first hole of live time; a hole of history concerns it not."""
    behind = replace(START, window_end=NOW + 100, pairs=(CompletenessPair(NOW + 50, 3),))
    history = hole_search.open_hole(behind, TimeRange(NOW - 50, NOW - 40))
    live = hole_search.open_hole(history, TimeRange(NOW + 20, NOW + 30))

    assert (history.complete_up_to, live.complete_up_to) == (NOW + 100, NOW + 20)
    assert with_completeness_pair(live, 9).pairs == (CompletenessPair(NOW + 20, 9),)
    assert with_completeness_pair(history, 9).pairs[-1] == CompletenessPair(NOW + 100, 9)


@pytest.mark.parametrize("unread", [TimeRange(NOW - 10, NOW + 10), TimeRange(NOW + 5, NOW + 6)])
def test_a_witness_is_another_window(unread):
    """No window that is unread, wholly or in part, is asked as a witness."""
    checkpoint = hole_search.open_hole(START, TimeRange(unread.end, unread.end + 1))
    windows = hole_search.witness_windows(checkpoint, unread)

    assert windows
    assert all(missing_ranges((unread, *checkpoint.holes), one) == (one,) for one in windows)
