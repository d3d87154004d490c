"""Paging through a window of Jira's audit log, as a state machine without HTTP.

Why paging is not simply "offset += 1000 until a short page":

1. Jira sorts newest first, and a record can become visible while the window is read. Rows then move down: the next page
   shows the last row of the page before again. A row met twice counts once, so that is harmless (seen_rows.py).
2. Rows can also move up, when retention deletes or a row becomes hidden. Then the next page would begin behind rows that
   nobody has seen. So after a full page the next request begins with the last row seen; where that row is missing, rows
   moved up unseen, and the window is read again from its start. A page is full if no page of the window had more rows. So
   where a server gives fewer rows than asked for, the first page shows it only when another one follows: rows may have
   moved between the two, and the window is read again once, with the size of its pages known. Where so many rows vanish
   between the two that the second page is empty, it looks like the end, and the next re-read finds the rest.
3. `total` counts all records that Jira keeps, and a server may give fewer rows than asked for. The only end is an empty
   page; and if that page should have begun with the last row seen, it is a fault rather than the end.
   A site may add rows of another time to each page. They count in no offset, and a page that shows nothing but such rows
   again counts as empty, unless it is full: then the next one must show nothing else either.
4. Old Jira cut every query at 10,000 rows without a word. A window that shows so many is read in halves. A millisecond
   cannot be halved: it is given as far as it was shown, and reported as unproven.
5. A server that repeats a page for ever must not hold the pager: pages without a new row, pages, bytes and restarts are
   bounded, each by a halved window or, in the end, by an unproven result.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from producer.events import Event, UnreadableRecord
from producer.sources.jira_cloud.seen_rows import DistinctRows, SeenRows, distinct_rows
from producer.sources.jira_cloud.window_proof import is_far_outside
from producer.sources.window_result import WindowResult
from producer.state.intervals import TimeRange, split_in_half


@dataclass(frozen=True, slots=True)
class PagingLimits:
    """Bounds of reading one window; a window that reaches one is read in halves, a millisecond is given up as unproven."""

    page_records: int = 1_000
    """Jira Cloud REST API, "Get audit records": the largest `limit`."""
    max_records: int = 10_000
    """Jira 6 cut every query there; whether Cloud does is not known."""
    max_pages: int = 100
    max_bytes: int = 64 * 1024 * 1024
    max_pages_of_one_ms: int = 1_000
    max_bytes_of_one_ms: int = 256 * 1024 * 1024
    max_pages_without_news: int = 5
    max_restarts: int = 5


LIMITS = PagingLimits()


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request for one page; both instants are inclusive."""

    from_ms: int
    until_ms: int
    offset: int
    limit: int


class Pager:
    """Reads windows, ascending, each to its end: `next_request` is the page to fetch, `add` takes its answer."""

    def __init__(self, windows: Iterable[TimeRange], limits: PagingLimits = LIMITS) -> None:
        self._unread = [_WindowReader(window, limits) for window in windows if window.width][::-1]
        self._limits = limits
        self._page_records = limits.page_records
        self._first_date_ms: int | None = None

    @property
    def next_request(self) -> PageRequest | None:
        """The request to send now; the same until an answer was added. None: all windows are read."""
        if not self._unread:
            return None
        reader = self._unread[-1]
        start, end = reader.requested.start, reader.requested.end - 1
        return PageRequest(start, end, reader.offset, self._page_records)

    def add(
        self, items: Sequence[Event | UnreadableRecord], size: int, date_ms: int | None = None
    ) -> WindowResult | None:
        """Take the answer to `next_request`: its records in Jira's order, its bytes, and Jira's clock.

        Return the window's result when this page ends it.
        """
        if self._first_date_ms is None:
            self._first_date_ms = date_ms
        reader = self._unread[-1]
        if items:
            reader.add(items, size, self._page_records)
        ended = not items or reader.shows_nothing_of_the_window
        if ended and reader.must_restart():
            return None
        if ended or reader.exhausted(self._page_records):
            self._unread.pop()
            return reader.result(self._first_date_ms, proven=ended)
        if reader.must_split():
            self._unread[-1:] = [
                _WindowReader(half, self._limits, known_nonempty=reader.has_seen(half))
                for half in split_in_half(reader.window)[::-1]
            ]
        return None

    def shrink_page(self) -> bool:
        """Request half as many records from now on, because a page was too large. False: it was one already."""
        if self._page_records == 1:
            return False
        self._page_records //= 2
        return True


class _WindowReader:
    """One window and the rows seen of it. `known_nonempty`: rows of it were shown when it was part of a larger window."""

    def __init__(self, window: TimeRange, limits: PagingLimits, *, known_nonempty: bool = False) -> None:
        self.window = window
        self._limits = limits
        self._known_nonempty = known_nonempty
        self.requested = window if window.width > 1 else TimeRange(window.start - 1, window.end)
        """Jira answers nothing where `from` equals `to`, so one millisecond is requested with the one before."""
        self.offset = 0
        self.shows_nothing_of_the_window = False
        """Whether the last page counts as empty (point 3)."""
        self._repeats_last_row = False
        self._stepped_over = False
        """Whether the next page begins behind a row that it could have repeated."""
        self._page_size_known = False
        self._largest_page = 0
        """Rows of the fullest page: a server may give fewer than requested."""
        self._seen = SeenRows()
        self._events: list[Event] = []
        self._unreadable: list[UnreadableRecord] = []
        self._pages = self._bytes = self._pages_without_news = self._restarts = 0
        self._outside_window = 0
        self._far_outside_window: list[Event] = []

    def add(self, items: Sequence[Event | UnreadableRecord], size: int, page_records: int) -> None:
        """Take a page with rows, and set the offset of the next."""
        self._pages += 1
        self._bytes += size
        own = [item for item in items if not is_far_outside(self.requested, item)]
        # A row that one page shows twice may count once in the server's offsets: count distinct ones.
        distinct = distinct_rows(own or items)
        rows = sum(map(len, distinct.values()))
        moved_up = self._repeats_last_row and (not own or own[0] not in self._seen)
        was_not_last = self._stepped_over and any(row not in self._seen for row in own)
        far_outside = (
            [] if len(own) == len(items) else [item for item in items if is_far_outside(self.requested, item)]
        )
        if own and far_outside:
            distinct |= distinct_rows(far_outside)
        has_new_rows = self._add_new(distinct, page_records)
        self._pages_without_news = 0 if has_new_rows else self._pages_without_news + 1
        if moved_up and self._restart():
            return
        if was_not_last and not self._page_size_known:
            self._page_size_known = True
            self._rewind()
            return
        # A full page is followed by one that begins with its last row (point 2). A short one is likely the last, and
        # stepping back would show its last row for ever. With pages of one row there is nothing to step back over.
        fullest = min(page_records, self._largest_page or page_records)
        is_full = len(items) >= fullest
        self._repeats_last_row = is_full and len(own) > 1 and fullest > 1
        self._stepped_over = not is_full and len(own) > 1
        self.shows_nothing_of_the_window = not (own or has_new_rows) and (
            not is_full or self._pages_without_news > 1
        )
        self._largest_page = max(self._largest_page, len(items))
        self.offset += max(1, rows - self._repeats_last_row)

    def must_restart(self) -> bool:
        """Return whether an empty page cannot be the end: it had to repeat the last row, or to show rows seen before the split."""
        return (self._repeats_last_row or (self._known_nonempty and not self._events)) and self._restart()

    def has_seen(self, part: TimeRange) -> bool:
        """Return whether rows of this part of the window have been seen."""
        return any(event["created"] in part for event in self._events)

    def _restart(self) -> bool:
        if self._restarts == self._limits.max_restarts:
            return False
        self._restarts += 1
        self._rewind()
        return True

    def _rewind(self) -> None:
        self.offset, self._repeats_last_row, self._stepped_over = 0, False, False
        self.shows_nothing_of_the_window = False

    def must_split(self) -> bool:
        """Return whether the window is to be read in halves instead."""
        if self.window.width == 1:
            return False
        limits = self._limits
        return (
            len(self._seen) >= limits.max_records
            or self._pages >= limits.max_pages
            or self._bytes >= limits.max_bytes
            or self._pages_without_news >= limits.max_pages_without_news
        )

    def exhausted(self, page_records: int) -> bool:
        """Return whether more pages would show nothing new, or too much for one millisecond."""
        limits = self._limits
        if self._pages_without_news >= limits.max_pages_without_news and (
            len(self._seen) < page_records or self.window.width == 1
        ):
            return True
        return self.window.width == 1 and (
            self._pages >= limits.max_pages_of_one_ms or self._bytes >= limits.max_bytes_of_one_ms
        )

    def result(self, first_date_ms: int | None, *, proven: bool) -> WindowResult:
        """Return the result of the window, covered no further than Jira's clock was at the first answer."""
        end = self.window.end if first_date_ms is None else min(self.window.end, first_date_ms)
        return WindowResult(
            window=self.window,
            covered=TimeRange(self.window.start, end),
            events=tuple(sorted(self._events, key=itemgetter("created", "id"))),
            unreadable=tuple(self._unreadable),
            record_count=len(self._seen),
            outside_window=self._outside_window,
            proven=proven and len(self._seen) < self._limits.max_records,
            far_outside_window=tuple(self._far_outside_window),
        )

    def _add_new(self, page: DistinctRows, page_records: int) -> bool:
        """Keep the rows that no earlier page showed, and return whether there are any."""
        new = self._seen.add_page(page, repeats_last_row=self._repeats_last_row, one_row=page_records == 1)
        for item in new:
            if isinstance(item, UnreadableRecord):
                self._unreadable.append(item)
            elif item["created"] in self.window:
                self._events.append(item)
            elif item["created"] not in self.requested:
                self._outside_window += 1
                if is_far_outside(self.requested, item):
                    self._far_outside_window.append(item)
        return bool(new)
