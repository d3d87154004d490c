"""Reading around the records of one millisecond that Jira fails to serve, as a state machine without HTTP.

A page that holds such a record fails as a whole. So after a failure one record is requested; after each success twice as
many as before. A page of one record that fails is that record: it is skipped, and the result says that it is missing.
Rows that move meanwhile harm nothing: a millisecond with a missing record stays an unread range, and is read again.
Rows of another time count in no offset, as in the pager, and a page that shows nothing but such rows again, twice in a
row, is the end.
"""

from collections.abc import Sequence

from producer.events import Event, UnreadableRecord
from producer.sources.errors import SourceFailure
from producer.sources.jira_cloud.pager import PageRequest
from producer.sources.jira_cloud.seen_rows import SeenRows, distinct_rows
from producer.sources.jira_cloud.window_proof import is_far_outside
from producer.sources.window_result import WindowResult
from producer.state.intervals import TimeRange

MAX_PAGES_WITHOUT_NEWS = 5
"""More pages in a row without a new row mean that the site repeats a page for ever."""
MAX_FAILURES_IN_A_ROW = 3
"""More failures of single records in a row mean that the site serves nothing."""


class MillisecondReader:
    """Reads one millisecond: `next_request` is the page to fetch; `add` takes its answer, `fail` its failure."""

    def __init__(self, window: TimeRange, page_records: int) -> None:
        self._window = window
        self._requested = TimeRange(window.start - 1, window.start + 1)
        self._page_records = page_records
        self._offset = 0
        self._limit = 1
        self._failures_in_a_row = 0
        self._failure: SourceFailure | None = None
        self._rows = SeenRows()
        self._seen: list[Event | UnreadableRecord] = []
        self._pages_without_news = 0
        self._ended = False
        self._proven = True

    @property
    def next_request(self) -> PageRequest | None:
        """The request to send now. None: the millisecond is read. It is requested with the one before, as in the pager."""
        if self._ended:
            return None
        return PageRequest(self._requested.start, self._requested.end - 1, self._offset, self._limit)

    def add(self, items: Sequence[Event | UnreadableRecord]) -> None:
        """Take the records of a page."""
        if not items:
            self._ended = True
            return
        own = [item for item in items if not is_far_outside(self._requested, item)]
        new = self._rows.add_page(distinct_rows(items), repeats_last_row=False, one_row=self._limit == 1)
        self._seen += new
        self._pages_without_news = 0 if new else self._pages_without_news + 1
        self._proven = self._pages_without_news < MAX_PAGES_WITHOUT_NEWS
        self._ended = not self._proven or (not own and self._pages_without_news > 1)
        self._failures_in_a_row = 0
        self._offset += len(own or items)
        self._limit = min(2 * self._limit, self._page_records)

    def fail(self, failure: SourceFailure) -> bool:
        """Take a failure. False: too many in a row, so single records are not the cause."""
        if self._limit > 1:
            self._limit = 1
            return True
        self._failures_in_a_row += 1
        self._failure = failure
        self._offset += 1
        return self._failures_in_a_row <= MAX_FAILURES_IN_A_ROW

    def result(self) -> WindowResult:
        """Return the records that were served; `failure` is set if some were not."""
        events = [item for item in self._seen if not isinstance(item, UnreadableRecord)]
        inside = [event for event in events if event["created"] in self._window]
        far_outside = tuple(event for event in events if is_far_outside(self._requested, event))
        return WindowResult(
            window=self._window,
            covered=self._window,
            events=tuple(sorted(inside, key=lambda event: int(event["id"]))),
            unreadable=tuple(item for item in self._seen if isinstance(item, UnreadableRecord)),
            record_count=len(self._seen),
            outside_window=len(far_outside),
            proven=self._proven,
            far_outside_window=far_outside,
            failure=self._failure,
        )
