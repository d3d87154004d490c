"""Paging through a window of Jira's audit log, as a state machine that knows no HTTP."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from producer.events import Event, UnreadableRecord
from producer.sources.window_result import WindowResult
from producer.state.intervals import TimeRange, split_in_half

PAGE_SIZE = 1000  # jira-api: the largest page Jira gives
MOST_RECORDS = 10_000  # Jira 6 cut every query there; whether Cloud does is not known
MOST_PAGES = 100
MOST_BYTES = 64 * 1024 * 1024
MOST_PAGES_OF_ONE_MS = 1_000
MOST_BYTES_OF_ONE_MS = 256 * 1024 * 1024
MOST_PAGES_WITHOUT_NEWS = 5
MOST_RESTARTS = 5


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The next request; both instants are inclusive."""

    from_ms: int
    until_ms: int
    offset: int
    limit: int


class Pager:
    """Reads windows, ascending, each to its end: `next_request` says what to request, `add` takes the answer.

    The end of a window is an empty page, whatever Jira's `total` or a short page suggest. Rows that move while it is
    read are tolerated: one met twice counts once; after a full page the next request begins with the last row seen,
    and where that is gone, rows have moved up unseen, or the page is empty for another reason than that it is the end, and
    the window is read again. A window with 10,000 rows or more is read in halves, the older first.
    """

    def __init__(self, windows: Iterable[TimeRange], *, limit: int = PAGE_SIZE) -> None:
        self._unread = [_WindowReader(window) for window in windows if window.width][::-1]
        self._limit = limit
        self._first_date_ms: int | None = None

    @property
    def next_request(self) -> PageRequest | None:
        """What to request now; the same until an answer was added. None: all windows are read."""
        if not self._unread:
            return None
        reading = self._unread[-1]
        return PageRequest(reading.requested.start, reading.requested.end - 1, reading.offset, self._limit)

    def add(
        self, items: Sequence[Event | UnreadableRecord], size: int, date_ms: int | None = None
    ) -> WindowResult | None:
        """Take the page that answers `next_request`: its records in Jira's order, its bytes, and Jira's clock.

        Returns the window's result when this page ends it.
        """
        if self._first_date_ms is None:
            self._first_date_ms = date_ms
        reading = self._unread[-1]
        if items:
            reading.add(items, size, self._limit)
        elif reading.must_restart():
            return None
        if not items or reading.exhausted(self._limit):
            self._unread.pop()
            return reading.result(self._first_date_ms, proven=not items)
        if reading.must_split():
            self._unread[-1:] = [
                _WindowReader(half, known_nonempty=reading.has_seen(half))
                for half in split_in_half(reading.window)[::-1]
            ]
        return None

    def shrink_page(self) -> bool:
        """Ask for half as many records from now on, because a page was too large; False: it was one already."""
        if self._limit == 1:
            return False
        self._limit //= 2
        return True


class _WindowReader:
    """One window and what has been seen of it. `known_nonempty`: it has rows, which were shown when it was part of another."""

    def __init__(self, window: TimeRange, *, known_nonempty: bool = False) -> None:
        self.window = window
        self._known_nonempty = known_nonempty
        self.requested = window if window.width > 1 else TimeRange(window.start - 1, window.end)
        """Where `from` equals `to`, Jira shows nothing; the millisecond before is asked for too."""
        self.offset = 0
        self._repeats_last_row = False
        self._largest_page = 0
        """Rows of the fullest page: a Jira may give fewer than it is asked for."""
        self._seen: set[int | bytes] = set()
        self._events: list[Event] = []
        self._unreadable: list[UnreadableRecord] = []
        self._pages = self._bytes = self._pages_without_news = self._restarts = self._outside_window = 0

    def add(self, items: Sequence[Event | UnreadableRecord], size: int, limit: int) -> None:
        self._pages += 1
        self._bytes += size
        rows = len(
            {_row_key(item) for item in items}
        )  # what a page shows twice may count once in its offsets
        moved_up = self._repeats_last_row and _row_key(items[0]) not in self._seen
        has_new_rows = self._add_new(items)
        self._pages_without_news = 0 if has_new_rows else self._pages_without_news + 1
        if not (moved_up and self._restart()):
            self._repeats_last_row = len(items) >= min(limit, self._largest_page or limit) > 1
            self._largest_page = max(self._largest_page, len(items))
            self.offset += max(1, rows - self._repeats_last_row)

    def must_restart(self) -> bool:
        """Whether an empty page cannot be the end, since it had to begin with the last row seen, or to show at least what was seen
        before; it is read again then.
        """
        return (self._repeats_last_row or (self._known_nonempty and not self._seen)) and self._restart()

    def has_seen(self, part: TimeRange) -> bool:
        """Whether rows of this part of the window have been seen."""
        return any(event["created"] in part for event in self._events)

    def _restart(self) -> bool:
        if self._restarts == MOST_RESTARTS:
            return False
        self._restarts += 1
        self.offset, self._repeats_last_row = 0, False
        return True

    def must_split(self) -> bool:
        """Whether halves of the window are to be read instead."""
        if self.window.width == 1:
            return False
        return (
            len(self._seen) >= MOST_RECORDS
            or self._pages >= MOST_PAGES
            or self._bytes >= MOST_BYTES
            or self._pages_without_news >= MOST_PAGES_WITHOUT_NEWS
        )

    def exhausted(self, limit: int) -> bool:
        """Whether more of the same would show nothing more, or too much for one millisecond."""
        if self._pages_without_news >= MOST_PAGES_WITHOUT_NEWS and (
            len(self._seen) < limit or self.window.width == 1
        ):
            return True
        return self.window.width == 1 and (
            self._pages >= MOST_PAGES_OF_ONE_MS or self._bytes >= MOST_BYTES_OF_ONE_MS
        )

    def result(self, first_date_ms: int | None, *, proven: bool) -> WindowResult:
        end = self.window.end if first_date_ms is None else min(self.window.end, first_date_ms)
        return WindowResult(
            window=self.window,
            covered=TimeRange(self.window.start, end),
            events=tuple(sorted(self._events, key=lambda event: (event["created"], event["id"]))),
            unreadable=tuple(self._unreadable),
            record_count=len(self._seen),
            outside_window=self._outside_window,
            proven=proven and len(self._seen) < MOST_RECORDS,
        )

    def _add_new(self, items: Sequence[Event | UnreadableRecord]) -> bool:
        before = len(self._seen)
        for item in items:
            if (key := _row_key(item)) in self._seen:
                continue
            self._seen.add(key)
            if isinstance(item, UnreadableRecord):
                self._unreadable.append(item)
            elif item["created"] in self.window:
                self._events.append(item)
            elif item["created"] not in self.requested:
                self._outside_window += 1
        return len(self._seen) > before


def _row_key(item: Event | UnreadableRecord) -> int | bytes:
    return item.raw if isinstance(item, UnreadableRecord) else int(item["id"])
