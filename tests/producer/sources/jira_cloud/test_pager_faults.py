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
