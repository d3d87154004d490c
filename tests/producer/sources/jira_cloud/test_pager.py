"""The pager on a log in memory with Jira's paging: newest first, by offset, while rows move."""

import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from producer.sources.jira_cloud.pager import LIMITS, Pager, PageRequest, PagingLimits
from producer.state.intervals import TimeRange


def paging(page_records, **limits):
    return PagingLimits(page_records=page_records, **limits)


def event(created, number):
    return {"id": number, "created": created}


class FakeAuditLog:
    """Rows by id, descending. One query shows at most `most_rows` rows, one page at most `page`."""

    def __init__(self, rows, *, page=1000, most_rows=10**9):
        self.rows = {row["id"]: row for row in rows}
        self.page = page
        self.most_rows = most_rows
        self.requests = 0

    def answer(self, request):
        self.requests += 1
        chosen = [
            row
            for _, row in sorted(self.rows.items(), reverse=True)
            if request.from_ms <= row["created"] <= request.until_ms and request.from_ms < request.until_ms
        ]
        return chosen[: self.most_rows][request.offset : request.offset + min(request.limit, self.page)]


def read_all(pager, log, between=lambda: None):
    found = []
    while (request := pager.next_request) is not None:
        assert log.requests < 20_000
        if (result := pager.add(log.answer(request), 100)) is not None:
            found.append(result)
        between()
    return found


def ids(found):
    return [one["id"] for result in found for one in result.events]


LOGS = st.lists(st.integers(0, 60), max_size=80).map(
    lambda times: [event(created, number) for number, created in enumerate(times)]
)


@given(LOGS, st.integers(1, 7), st.integers(1, 9), st.integers(0, 60), st.integers(0, 61))
def test_every_row_of_the_window_comes_once_oldest_first(rows, page, limit, start, end):
    """The pager finds all rows at any page size, also with short pages in the middle."""
    found = read_all(
        Pager([TimeRange(start, (start + end) // 2), TimeRange((start + end) // 2, end)], paging(limit)),
        FakeAuditLog(rows, page=page),
    )
    expected = sorted(
        (row for row in rows if start <= row["created"] < end), key=lambda row: (row["created"], row["id"])
    )
    assert ids(found) == [row["id"] for row in expected]
    assert all(result.proven and result.outside_window == 0 for result in found)


@given(LOGS, st.integers(4, 9), st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_late_and_aged_out_rows_hide_no_other(rows, limit, rng):
    """The pager finds each remaining row while others appear anywhere or vanish at the old end."""
    log = FakeAuditLog(rows)
    staying = set(log.rows)

    def move():
        if rng.random() < 0.4:
            late = rng.choice([2000 + log.requests, rng.randrange(80) + 0.5])
            log.rows[late] = event(rng.randrange(61), 1000 + log.requests)
        if log.rows and rng.random() < 0.3:
            staying.discard(log.rows.pop(min(log.rows))["id"])

    results = read_all(Pager([TimeRange(0, 61)], paging(limit)), log, move)
    assume(all(result.proven for result in results))
    found = ids(results)
    assert staying <= set(found)
    assert len(found) == len(set(found))


@given(LOGS, st.integers(2, 9), st.randoms(use_true_random=False))
def test_a_row_that_vanishes_in_front_is_noticed_on_full_pages(rows, limit, rng):
    """The pager reads rows that move to an earlier page after a deletion."""
    log = FakeAuditLog(rows)
    gone = set()

    def move():
        if len(log.rows) > 3 and len(gone) < LIMITS.max_restarts and rng.random() < 0.3:
            gone.add(log.rows.pop(sorted(log.rows)[-rng.randrange(1, 4)])["id"])

    found = ids(read_all(Pager([TimeRange(0, 61)], paging(limit)), log, move))
    assert set(log.rows) <= set(found)


@given(LOGS, st.integers(2, 9), st.randoms(use_true_random=False))
def test_a_row_that_vanishes_in_front_is_noticed_on_the_pages_of_a_server_that_gives_fewer(rows, page, rng):
    """A server that gives fewer rows than asked for fills no page, and its first two pages may be those between which rows move.

    The next page still has a row: one that is empty after a short page is the end. A result that is not proven is read again.
    """
    log = FakeAuditLog(rows, page=page)
    pager = Pager([TimeRange(0, 61)], paging(1_000))
    gone = set()

    def move():
        request = pager.next_request
        stay = max(3, request.offset + 1 if request else 0)
        if len(log.rows) > stay and len(gone) < LIMITS.max_restarts and rng.random() < 0.3:
            gone.add(log.rows.pop(sorted(log.rows)[-rng.randrange(1, 4)])["id"])

    results = read_all(pager, log, move)
    assume(all(result.proven for result in results))
    assert set(log.rows) <= set(ids(results))


@given(LOGS, st.integers(3, 7), st.integers(3, 9), st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_a_row_that_a_page_shows_twice_hides_no_other(rows, page, limit, grows, rng):
    """The second showing may lengthen the page or move another row to the next page."""

    class RepeatingLog(FakeAuditLog):
        def answer(self, request):
            shown = super().answer(request)
            if shown and rng.random() < 0.4:
                at = rng.randrange(len(shown))
                shown.insert(at, shown[at])
            return shown if grows else shown[: min(request.limit, self.page)]

    found = ids(read_all(Pager([TimeRange(0, 61)], paging(limit)), RepeatingLog(rows, page=page)))
    assert sorted(found) == [row["id"] for row in rows]


@pytest.mark.parametrize("page", [7, 9])
@given(st.integers(0, 60), st.integers(1, LIMITS.max_restarts))
def test_an_empty_page_in_place_of_rows_is_not_the_end(page, at, times):
    """The last row must come again after a full page, so its absence ends no window."""

    class LogWithEmptyPages(FakeAuditLog):
        left = times

        def answer(self, request):
            shown = super().answer(request)
            if self.left and len(shown) == page and request.offset > max(at, 7):
                self.left -= 1
                return []
            return shown

    rows = [event(number, number) for number in range(61)]
    assert ids(read_all(Pager([TimeRange(0, 61)], paging(9)), LogWithEmptyPages(rows, page=page))) == list(
        range(61)
    )


def test_a_jira_that_hides_the_rest_gets_a_bounded_number_of_requests():
    """The window ends after the last restart while later pages stay empty."""

    class WithholdingLog(FakeAuditLog):
        def answer(self, request):
            if request.offset:
                return []
            self.rows[len(self.rows)] = event(5, len(self.rows))
            return super().answer(request)

    log = WithholdingLog([event(5, number) for number in range(20)], page=9)
    (result,) = read_all(Pager([TimeRange(0, 20)], paging(9)), log)
    assert log.requests == 1 + LIMITS.max_restarts  # from the start of the window
    assert result.record_count == 9 + LIMITS.max_restarts


def test_a_quiet_window_costs_one_request_and_a_small_one_two():
    """An empty page ends a window; a short page needs one more request."""
    for rows, cost in (([], 1), ([event(1, 1)], 2)):
        log = FakeAuditLog(rows)
        (result,) = read_all(Pager([TimeRange(0, 10)]), log)
        assert (log.requests, result.record_count) == (cost, len(rows))


def test_instants_are_asked_inclusive_and_pages_overlap_by_one_row():
    """The end is the last millisecond inside; a full page's last row is asked for again."""
    pager = Pager([TimeRange(100, 200)], paging(2))
    assert pager.next_request == PageRequest(100, 199, 0, 2)
    pager.add([event(150, 9), event(140, 8)], 10)
    assert pager.next_request == PageRequest(100, 199, 1, 2)
    pager.add([event(140, 8)], 10)
    assert pager.next_request == PageRequest(100, 199, 2, 2)
    assert ids([pager.add([], 10)]) == [8, 9]
    assert pager.next_request is None


def test_no_window_is_asked_with_equal_bounds():
    """Jira requires `from` before `to`, so one millisecond is asked for with the one before it."""
    log = FakeAuditLog([event(4, 1), event(5, 2), event(6, 3)])
    pager = Pager([TimeRange(5, 6)])
    assert pager.next_request == PageRequest(4, 5, 0, 1000)
    (result,) = read_all(pager, log)
    assert (ids([result]), result.outside_window) == ([2], 0)


def test_ten_thousand_rows_are_read_in_halves_the_older_first():
    """The pager halves a window until no query can be truncated."""
    rows = [event(number // 3, number) for number in range(25_000)]
    found = read_all(Pager([TimeRange(0, 10_000)]), FakeAuditLog(rows, most_rows=10_000))
    assert ids(found) == list(range(25_000))
    assert all(result.proven for result in found)
    windows = [result.window for result in found]
    assert [window.start for window in windows] == [0, *(window.end for window in windows[:-1])]
    assert windows[-1].end == 10_000


@given(st.lists(st.integers(0, 60), unique=True, max_size=LIMITS.max_restarts))
def test_a_half_with_known_rows_is_not_empty(at):
    """Backfill is read once, so an empty answer for rows already seen is not accepted."""

    class LogWithEmptyHalves(FakeAuditLog):
        def answer(self, request):
            shown = super().answer(request)
            return [] if request.offset == 0 and request.from_ms > 0 and self.requests in at else shown

    rows = [event(number, number) for number in range(60)]
    pager = Pager([TimeRange(0, 60)], paging(9, max_records=20))
    assert ids(read_all(pager, LogWithEmptyHalves(rows))) == list(range(60))


def test_one_millisecond_with_too_many_rows_is_published_and_unproven():
    """The next millisecond, asked for with it, is unproven too."""
    rows = [event(5, number) for number in range(12_000)] + [event(6, 20_000), event(4, 20_001)]
    found = read_all(Pager([TimeRange(0, 10)]), FakeAuditLog(rows, most_rows=10_000))
    assert {result.window for result in found if not result.proven} == {TimeRange(5, 6), TimeRange(6, 7)}
    assert len(ids(found)) == 10_001
    assert {20_000, 20_001} <= set(ids(found))


def test_a_server_that_ignores_the_offset_ends_the_pager():
    """Repeated pages end in smaller windows or an unproven result."""

    class OffsetIgnoringLog(FakeAuditLog):
        def answer(self, request):
            return super().answer(PageRequest(request.from_ms, request.until_ms, 0, request.limit))

    for count in (5, 50):
        log = OffsetIgnoringLog([event(number, number) for number in range(count)])
        found = read_all(Pager([TimeRange(0, 64)], paging(10)), log)
        assert ids(found) == list(range(count))
        assert not any(result.proven for result in found if result.record_count)


@pytest.mark.parametrize("bound", [{"max_pages": 3}, {"max_bytes": 300}], ids=str)
def test_pages_and_bytes_are_bounded(bound):
    """The pager halves a window of too many pages or bytes."""
    rows = [event(number % 60, number) for number in range(60)]
    found = read_all(Pager([TimeRange(0, 60)], paging(10, **bound)), FakeAuditLog(rows))
    assert sorted(ids(found)) == list(range(60))
    assert len(found) > 1


@pytest.mark.parametrize("bound", [{"max_pages_of_one_ms": 5}, {"max_bytes_of_one_ms": 500}], ids=str)
def test_one_millisecond_has_limits_too(bound):
    """The pager leaves a millisecond without end as unproven."""
    (result,) = read_all(
        Pager([TimeRange(0, 1)], paging(10, **bound)),
        FakeAuditLog([event(0, number) for number in range(90)]),
    )
    assert not result.proven
    assert 40 <= len(result.events) < 60


def test_a_window_is_covered_up_to_jiras_clock():
    """The first answer's clock limits the coverage of a window that ends in Jira's future."""
    pager = Pager([TimeRange(0, 1000), TimeRange(1000, 2000), TimeRange(2000, 3000)])
    assert pager.add([], 10, date_ms=1500).covered == TimeRange(0, 1000)
    assert pager.add([], 10, date_ms=2500).covered == TimeRange(1000, 1500)
    assert not pager.add([], 10, date_ms=2500).covered.width


def test_a_page_too_large_is_asked_for_in_smaller_ones():
    """The pager halves the limit down to one."""
    pager = Pager([TimeRange(0, 10)], paging(4))
    assert pager.shrink_page()
    assert pager.next_request.limit == 2
    assert pager.shrink_page()
    assert not pager.shrink_page()
    log = FakeAuditLog([event(random.Random(n).randrange(10), n) for n in range(20)])
    assert sorted(ids(read_all(pager, log))) == list(range(20))
