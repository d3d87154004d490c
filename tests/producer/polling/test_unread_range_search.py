"""Which part of an unread range is asked for next."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.polling import unread_range_search
from producer.polling.unread_range_search import MAX_UNREAD_RANGES, UnreadRangeSearch, UnreadRangeTiming
from producer.state.checkpoint import CompletenessPair, new_checkpoint, with_completeness_pair
from producer.state.intervals import TimeRange, missing_ranges

NOW = 1_790_000_000_000
START = new_checkpoint("acme", NOW, now=NOW)


@given(st.integers(1, 5_000), st.sets(st.integers(0, 4_999), max_size=5))
def test_an_unread_range_shrinks_to_the_milliseconds_to_blame(width, bad):
    """All other time is read, in few requests, and each bad millisecond waits alone."""
    checkpoint = unread_range_search.open_unread_range(START, TimeRange(NOW, NOW + width))
    bad = {NOW + one for one in bad if one < width}
    search, requests = UnreadRangeSearch(), 0
    search.follow(checkpoint.unread_ranges)
    while (part := search.due(0.0)) is not None:
        requests += 1
        if any(one in part for one in bad):
            search.failed(part, 0.0, 0.5)
        else:
            checkpoint = unread_range_search.close_unread_range(checkpoint, part)
        search.follow(checkpoint.unread_ranges)

    assert [
        one
        for unread_range in checkpoint.unread_ranges
        for one in range(unread_range.start, unread_range.end)
    ] == sorted(bad)
    assert requests <= 1 + 2 * 13 * len(bad)


def test_a_single_millisecond_is_asked_for_ever_more_seldom():
    """Its waits grow to the longest; a range that is read meanwhile is not asked for again."""
    search, part = UnreadRangeSearch(UnreadRangeTiming(10.0, 60.0)), TimeRange(NOW, NOW + 1)
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


def test_an_unread_range_that_grows_is_asked_for_in_its_new_part():
    """The parts that wait stay as they are."""
    search = UnreadRangeSearch()
    search.follow([TimeRange(0, 1)])
    search.failed(TimeRange(0, 1), 0.0, 0.5)
    search.follow([TimeRange(0, 10)])

    assert search.due(0.0) == TimeRange(1, 10)
    assert search.isolated(TimeRange(0, 1))


def test_unread_ranges_are_bounded():
    """Too many become fewer by joining near ones, and none is taken apart any more; nothing unread is left out."""
    checkpoint = START
    for number in range(MAX_UNREAD_RANGES + 50):
        checkpoint = unread_range_search.open_unread_range(
            checkpoint, TimeRange(10 * number, 10 * number + 1)
        )
    whole = checkpoint.unread_ranges

    assert len(whole) == MAX_UNREAD_RANGES
    assert all(
        not missing_ranges(whole, TimeRange(10 * n, 10 * n + 1)) for n in range(MAX_UNREAD_RANGES + 50)
    )
    middle = next(unread_range for unread_range in whole if unread_range.width > 2)
    inside = TimeRange(middle.start + 1, middle.start + 2)
    assert unread_range_search.close_unread_range(checkpoint, inside) == checkpoint
    assert (
        len(unread_range_search.close_unread_range(checkpoint, middle).unread_ranges) == MAX_UNREAD_RANGES - 1
    )


def test_nothing_claims_an_unread_range():
    """Completeness ends at the first unread range of live time; one of history does not concern it."""
    behind = replace(START, window_end=NOW + 100, pairs=(CompletenessPair(NOW + 50, 3),))
    history = unread_range_search.open_unread_range(behind, TimeRange(NOW - 50, NOW - 40))
    live = unread_range_search.open_unread_range(history, TimeRange(NOW + 20, NOW + 30))

    assert (history.complete_up_to, live.complete_up_to) == (NOW + 100, NOW + 20)
    assert with_completeness_pair(live, 9).pairs == (CompletenessPair(NOW + 20, 9),)
    assert with_completeness_pair(history, 9).pairs[-1] == CompletenessPair(NOW + 100, 9)


@pytest.mark.parametrize("unread", [TimeRange(NOW - 10, NOW + 10), TimeRange(NOW + 5, NOW + 6)])
def test_other_windows_are_read_elsewhere(unread):
    """No window that is unread, wholly or in part, is asked instead of it."""
    checkpoint = unread_range_search.open_unread_range(START, TimeRange(unread.end, unread.end + 1))
    windows = unread_range_search.other_windows(checkpoint, unread)

    assert windows
    assert all(missing_ranges((unread, *checkpoint.unread_ranges), one) == (one,) for one in windows)
