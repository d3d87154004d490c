"""The pager on answers of a faulty site."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.events import UnreadableRecord
from producer.sources.jira_cloud.pager import Pager, PagingLimits
from producer.sources.jira_cloud.window_proof import TOLERANCE_MS
from producer.state.intervals import TimeRange


def event(created, number, **fields):
    return {"id": number, "created": created, **fields}


def ids(result):
    return [one["id"] for one in result.events]


@pytest.mark.parametrize("limit", [1, 2, 3, 1_000])
def test_different_records_with_one_id_are_all_found(limit):
    """A record that is shown twice is one record."""
    rows = [event(5, 7, summary=text) for text in ("a", "b", "b", "c")]
    pager, result = Pager([TimeRange(0, 9)], PagingLimits(page_records=limit)), None
    while (request := pager.next_request) is not None:
        result = pager.add(rows[request.offset : request.offset + request.limit], 10)

    assert sorted(one["summary"] for one in result.events) == ["a", "b", "c"]
    assert result.proven


def read_renamed(rows, limit, *, before_page=None, change=lambda rows: rows):
    """Read a window; before each page, or before `before_page` alone, every row gets another name. Return its result."""
    pager, result, pages = Pager([TimeRange(0, 100)], PagingLimits(page_records=limit)), None, 0
    while (request := pager.next_request) is not None:
        pages += 1
        name = pages if before_page is None else int(pages >= before_page)
        if pages == before_page:
            rows = change(rows)
        shown = [{**row, "category": f"name {name}"} for row in rows]
        result = pager.add(shown[request.offset : request.offset + request.limit], 10)
    return result


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 1_000])
def test_a_rename_between_two_pages_makes_no_second_record(limit):
    """A page begins with the last row of the one before."""
    result = read_renamed([event(50 - number, 9 - number) for number in range(7)], limit)
    assert ids(result) == [3, 4, 5, 6, 7, 8, 9]
    assert result.record_count == 7


@pytest.mark.parametrize("limit", [2, 3, 1_000])
@pytest.mark.parametrize("before_page", [2, 3, 4])
def test_a_rename_together_with_moved_rows_makes_no_second_record(limit, before_page):
    """Rows move down behind a new one, or one in front vanishes and the window is read again from its start."""
    rows = [event(50 - number, 9 - number) for number in range(7)]
    newer = [event(51, 11), event(51, 10)]
    for change in (lambda now: newer + now, lambda now: now[1:]):
        found = ids(read_renamed(rows, limit, before_page=before_page, change=change))
        assert sorted(set(found)) == sorted(found)
        assert {3, 4, 5, 6, 7, 8} <= set(found)


@pytest.mark.parametrize("limit", [3, 4, 1_000])
def test_renamed_records_with_one_id_and_time_are_all_found(limit):
    """One page shows several of them, so they are several records."""
    rows = [event(50, 9), *(event(5, 7, summary=text) for text in ("a", "b", "c")), event(1, 3)]
    found = read_renamed(rows, limit).events
    assert [one["id"] for one in found] == [3, 7, 7, 7, 9]


def test_rows_outside_the_window_are_left_out_and_counted():
    """Each such row waits for its own window."""
    pager = Pager([TimeRange(10, 20)])
    pager.add([event(25, 3), event(20, 2), event(10, 1), event(9, 0)], 10)
    result = pager.add([], 10)
    assert (ids(result), result.record_count, result.outside_window) == ([1], 4, 3)


@pytest.mark.parametrize(
    ("created", "far"),
    [(10_000 - TOLERANCE_MS, 0), (10_000 - TOLERANCE_MS - 1, 1), (20_000 + TOLERANCE_MS, 1)],
)
def test_rows_far_outside_are_counted_apart(created, far):
    """A server that rounds to seconds shows rows that are a little outside; a time zone fault shifts by more."""
    pager = Pager([TimeRange(10_000, 20_000)])
    pager.add([event(created, 1)], 10)
    result = pager.add([], 10)
    assert (result.outside_window, len(result.far_outside_window)) == (1, far)


@given(
    st.integers(0, 40),
    st.integers(0, 3),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from(["first", "last", "in the middle"]),
)
def test_rows_of_another_time_in_each_page_hide_none_and_end(count, foreign, limit, cap, place):
    """They come beyond the limit, whatever the offset: no page is empty, and the walk ends all the same."""
    rows = [event(9_000_000 + number, number) for number in range(count)][::-1]
    others = [event(number, 100 + number) for number in range(foreign)]
    pager = Pager([TimeRange(9_000_000, 9_000_064)], PagingLimits(page_records=limit, max_pages=500))
    results, requests = [], 0
    while (request := pager.next_request) is not None:
        requests += 1
        shown = rows[request.offset : request.offset + min(request.limit, cap)]
        at = {"first": 0, "last": len(shown), "in the middle": len(shown) // 2}[place]
        if (result := pager.add([*shown[:at], *others, *shown[at:]], 10)) is not None:
            results.append(result)

    assert [one for result in results for one in ids(result)] == list(range(count))
    assert all(result.proven for result in results)
    assert requests <= 2 * count + 4


def test_a_half_that_shows_only_a_row_of_another_time_is_not_empty():
    """Rows of it were shown before the window was split."""
    rows = [event(9_000_000 + number, number) for number in range(8)][::-1]
    other = event(5, 100)
    pager, results, requests = Pager([TimeRange(9_000_000, 9_000_008)], PagingLimits(max_records=8)), [], 0
    while (request := pager.next_request) is not None:
        requests += 1
        shown = [row for row in rows if request.from_ms <= row["created"] <= request.until_ms]
        if requests in (2, 3):  # the first answers about the older half
            shown = []
        if (result := pager.add([*shown, other][request.offset :], 10)) is not None:
            results.append(result)

    assert [one for result in results for one in ids(result)] == list(range(8))


def test_unreadable_records_are_kept_once():
    """The pager returns an unreadable record once, though two pages hold it."""
    bad = UnreadableRecord("no id", b"{}")
    pager = Pager([TimeRange(10, 20)])
    pager.add([event(15, 3), bad], 10)
    pager.add([UnreadableRecord("no id", b"{}")], 10)
    result = pager.add([], 10)
    assert (result.unreadable, ids(result), result.outside_window) == ((bad,), [3], 0)
