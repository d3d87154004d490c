"""The pager on answers of a faulty site."""

import pytest

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
