"""The walk against a log in memory that pages as Jira does: newest first, by offset, moving under the reader."""

import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from producer.events import Unreadable
from producer.sources.jira_cloud import pager as walks
from producer.sources.jira_cloud.pager import Ask, Walk
from producer.state.intervals import Range


def event(created, number):
    return {"id": number, "created": created}


class Log:
    """Rows by id, descending; `cap` rows are all that one query shows, `page` all that one page does."""

    def __init__(self, rows, *, page=1000, cap=10**9):
        self.rows = {row["id"]: row for row in rows}
        self.page = page
        self.cap = cap
        self.asked = 0

    def answer(self, ask):
        self.asked += 1
        chosen = [
            row
            for _, row in sorted(self.rows.items(), reverse=True)
            if ask.from_ms <= row["created"] <= ask.until_ms and ask.from_ms < ask.until_ms
        ]
        return chosen[: self.cap][ask.offset : ask.offset + min(ask.limit, self.page)]


def drain(walk, log, between=lambda: None):
    found = []
    while (ask := walk.ask) is not None:
        assert log.asked < 20_000
        if (piece := walk.add(log.answer(ask), 100)) is not None:
            found.append(piece)
        between()
    return found


def ids(found):
    return [one["id"] for piece in found for one in piece.events]


LOGS = st.lists(st.integers(0, 60), max_size=80).map(
    lambda times: [event(created, number) for number, created in enumerate(times)]
)


@given(LOGS, st.integers(1, 7), st.integers(1, 9), st.integers(0, 60), st.integers(0, 61))
def test_every_row_of_the_window_comes_once_oldest_first(rows, page, limit, start, end):
    """Whatever the sizes of pages, short ones in the middle included, the window's rows are all found."""
    found = drain(
        Walk([Range(start, (start + end) // 2), Range((start + end) // 2, end)], limit=limit),
        Log(rows, page=page),
    )
    expected = sorted(
        (row for row in rows if start <= row["created"] < end), key=lambda row: (row["created"], row["id"])
    )
    assert ids(found) == [row["id"] for row in expected]
    assert all(piece.proven and piece.outside == 0 for piece in found)


@given(LOGS, st.integers(4, 9), st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_rows_that_come_late_or_age_out_hide_no_other(rows, limit, chance):
    """Rows appearing anywhere and rows vanishing at the old end, between any two pages, cost none that stays."""
    log = Log(rows)
    staying = set(log.rows)

    def move():
        if chance.random() < 0.4:
            late = chance.choice([2000 + log.asked, chance.randrange(80) + 0.5])
            log.rows[late] = event(chance.randrange(61), 1000 + log.asked)
        if log.rows and chance.random() < 0.3:
            staying.discard(log.rows.pop(min(log.rows))["id"])

    pieces_found = drain(Walk([Range(0, 61)], limit=limit), log, move)
    assume(all(piece.proven for piece in pieces_found))
    found = ids(pieces_found)
    assert staying <= set(found)
    assert len(found) == len(set(found))


@given(LOGS, st.integers(2, 9), st.randoms(use_true_random=False))
def test_a_row_that_vanishes_in_front_is_noticed_on_full_pages(rows, limit, chance):
    """Where a row of an earlier page is deleted, the rows that move up over the border are read all the same."""
    log = Log(rows)
    gone = set()

    def move():
        if len(log.rows) > 3 and len(gone) < walks.MOST_RESTARTS and chance.random() < 0.3:
            gone.add(log.rows.pop(sorted(log.rows)[-chance.randrange(1, 4)])["id"])

    found = ids(drain(Walk([Range(0, 61)], limit=limit), log, move))
    assert set(log.rows) <= set(found)


@given(LOGS, st.integers(3, 7), st.integers(3, 9), st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_a_row_that_a_page_shows_twice_hides_no_other(rows, page, limit, grows, chance):
    """Whether the page grows by the second showing or another row is left for the next page."""

    class Stammering(Log):
        def answer(self, ask):
            shown = super().answer(ask)
            if shown and chance.random() < 0.4:
                at = chance.randrange(len(shown))
                shown.insert(at, shown[at])
            return shown if grows else shown[: min(ask.limit, self.page)]

    found = ids(drain(Walk([Range(0, 61)], limit=limit), Stammering(rows, page=page)))
    assert sorted(found) == [row["id"] for row in rows]


@pytest.mark.parametrize("page", [7, 9])
@given(st.integers(0, 60), st.integers(1, walks.MOST_RESTARTS))
def test_an_empty_page_in_place_of_rows_is_not_the_end(page, at, times):
    """After a full page the last row has to come again, and an answer without it ends no window; where Jira gives less than it
    is asked for, the first page shows how much that is.
    """

    class Forgetful(Log):
        left = times

        def answer(self, ask):
            shown = super().answer(ask)
            if self.left and len(shown) == page and ask.offset > max(at, 7):
                self.left -= 1
                return []
            return shown

    rows = [event(number, number) for number in range(61)]
    assert ids(drain(Walk([Range(0, 61)], limit=9), Forgetful(rows, page=page))) == list(range(61))


def test_a_jira_that_never_shows_the_rest_is_asked_a_bounded_number_of_times():
    """Where every page after the first stays empty while records go on happening, the window ends after the last restart."""

    class Withholding(Log):
        def answer(self, ask):
            if ask.offset:
                return []
            self.rows[len(self.rows)] = event(5, len(self.rows))
            return super().answer(ask)

    log = Withholding([event(5, number) for number in range(20)], page=9)
    (piece,) = drain(Walk([Range(0, 20)], limit=9), log)
    assert log.asked == 1 + walks.MOST_RESTARTS  # from the start of the window
    assert piece.rows == 9 + walks.MOST_RESTARTS


def test_a_quiet_window_costs_one_request_and_a_small_one_two():
    """An empty page ends a window; a short one is followed by one more question."""
    for rows, cost in (([], 1), ([event(1, 1)], 2)):
        log = Log(rows)
        (piece,) = drain(Walk([Range(0, 10)]), log)
        assert (log.asked, piece.rows) == (cost, len(rows))


def test_instants_are_asked_inclusive_and_pages_overlap_by_one_row():
    """The end is asked as the last millisecond inside; after a full page the last row is asked for again."""
    walk = Walk([Range(100, 200)], limit=2)
    assert walk.ask == Ask(100, 199, 0, 2)
    walk.add([event(150, 9), event(140, 8)], 10)
    assert walk.ask == Ask(100, 199, 1, 2)
    walk.add([event(140, 8)], 10)
    assert walk.ask == Ask(100, 199, 2, 2)
    assert ids([walk.add([], 10)]) == [8, 9]
    assert walk.ask is None


def test_no_window_is_asked_with_equal_bounds():
    """Jira's word is that `from` must be before `to`: one millisecond is asked for with the one before it."""
    log = Log([event(4, 1), event(5, 2), event(6, 3)])
    walk = Walk([Range(5, 6)])
    assert walk.ask == Ask(4, 5, 0, 1000)
    (piece,) = drain(walk, log)
    assert (ids([piece]), piece.outside) == ([2], 0)


def test_ten_thousand_rows_are_read_in_halves_the_older_first():
    """A query that may be cut is never believed: its window is halved until each part is surely whole."""
    rows = [event(number // 3, number) for number in range(25_000)]
    found = drain(Walk([Range(0, 10_000)]), Log(rows, cap=10_000))
    assert ids(found) == list(range(25_000))
    assert all(piece.proven for piece in found)
    windows = [piece.window for piece in found]
    assert [window.start for window in windows] == [0, *(window.end for window in windows[:-1])]
    assert windows[-1].end == 10_000


@given(st.lists(st.integers(0, 60), unique=True, max_size=walks.MOST_RESTARTS))
def test_a_half_in_which_rows_were_seen_is_not_empty(at):
    """History is read once: an answer without rows that the whole window had shown would leave them out for good."""

    class Forgetful(Log):
        def answer(self, ask):
            shown = super().answer(ask)
            return [] if ask.offset == 0 and ask.from_ms > 0 and self.asked in at else shown

    rows = [event(number, number) for number in range(60)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walks, "MOST_RECORDS", 20)
        assert ids(drain(Walk([Range(0, 60)], limit=9), Forgetful(rows))) == list(range(60))


def test_one_millisecond_with_too_many_rows_is_published_and_reported():
    """What cannot be halved is given as far as it was shown, as unproven, and so is the next, asked for with it."""
    rows = [event(5, number) for number in range(12_000)] + [event(6, 20_000), event(4, 20_001)]
    found = drain(Walk([Range(0, 10)]), Log(rows, cap=10_000))
    assert {piece.window for piece in found if not piece.proven} == {Range(5, 6), Range(6, 7)}
    assert len(ids(found)) == 10_001
    assert {20_000, 20_001} <= set(ids(found))


def test_a_server_that_ignores_the_offset_does_not_hold_the_walk_for_ever():
    """The same page again and again ends in smaller windows, or in a piece that says it is unproven."""

    class Deaf(Log):
        def answer(self, ask):
            return super().answer(Ask(ask.from_ms, ask.until_ms, 0, ask.limit))

    for count in (5, 50):
        log = Deaf([event(number, number) for number in range(count)])
        found = drain(Walk([Range(0, 64)], limit=10), log)
        assert ids(found) == list(range(count))
        assert not any(piece.proven for piece in found if piece.rows)


@pytest.mark.parametrize("bound", ["MOST_PAGES", "MOST_BYTES"])
def test_pages_and_bytes_are_bounded(monkeypatch, bound):
    """A window of too many pages or bytes is halved like one of too many rows."""
    monkeypatch.setattr(walks, bound, 3 if bound == "MOST_PAGES" else 300)
    rows = [event(number % 60, number) for number in range(60)]
    found = drain(Walk([Range(0, 60)], limit=10), Log(rows))
    assert sorted(ids(found)) == list(range(60))
    assert len(found) > 1


@pytest.mark.parametrize("bound", ["MOST_PAGES_OF_ONE_MS", "MOST_BYTES_OF_ONE_MS"])
def test_one_millisecond_has_bounds_too(monkeypatch, bound):
    """A millisecond without end is left, as unproven."""
    monkeypatch.setattr(walks, bound, 5 if bound == "MOST_PAGES_OF_ONE_MS" else 500)
    (piece,) = drain(Walk([Range(0, 1)], limit=10), Log([event(0, number) for number in range(90)]))
    assert not piece.proven
    assert 40 <= len(piece.events) < 60


def test_rows_outside_the_window_are_left_and_counted():
    """What Jira sends beyond what was asked for waits for its own window, but not in silence."""
    walk = Walk([Range(10, 20)])
    walk.add([event(25, 3), event(20, 2), event(10, 1), event(9, 0)], 10)
    piece = walk.add([], 10)
    assert (ids([piece]), piece.rows, piece.outside) == ([1], 4, 3)


def test_unreadable_records_are_kept_once():
    """A record that is no event is handed on beside the events, once though two pages had it."""
    bad = Unreadable("no id", b"{}")
    walk = Walk([Range(10, 20)])
    walk.add([event(15, 3), bad], 10)
    walk.add([Unreadable("no id", b"{}")], 10)
    piece = walk.add([], 10)
    assert (piece.unreadable, ids([piece]), piece.outside) == ((bad,), [3], 0)


def test_a_window_is_covered_no_further_than_jiras_clock():
    """A window that ends in Jira's future is covered up to Jira's present only, as of the first answer."""
    walk = Walk([Range(0, 1000), Range(1000, 2000), Range(2000, 3000)])
    assert walk.add([], 10, date_ms=1500).covered == Range(0, 1000)
    assert walk.add([], 10, date_ms=2500).covered == Range(1000, 1500)
    assert not walk.add([], 10, date_ms=2500).covered.width


def test_a_page_too_large_is_asked_for_in_smaller_ones():
    """The limit is halved until it is one."""
    walk = Walk([Range(0, 10)], limit=4)
    assert walk.smaller()
    assert walk.ask.limit == 2
    assert walk.smaller()
    assert not walk.smaller()
    log = Log([event(random.Random(n).randrange(10), n) for n in range(20)])
    assert sorted(ids(drain(walk, log))) == list(range(20))
