"""Reading around the records of one millisecond that Jira fails to serve, as a state machine without HTTP.

A page that holds such a record fails as a whole. So after a failure one record is requested; after each success twice as
many as before. A page of one record that fails is that record: it is skipped, and the result says that it is missing.
Rows that move meanwhile harm nothing: a millisecond with a missing record stays an unread range, and is read again.
"""

from collections.abc import Sequence

from producer.events import Event, UnreadableRecord
from producer.sources.errors import SourceFailure
from producer.sources.jira_cloud.pager import PageRequest
from producer.sources.window_result import WindowResult
from producer.state.intervals import TimeRange

MAX_FAILURES_IN_A_ROW = 3
"""More failures of single records in a row mean that the site serves nothing."""


class MillisecondReader:
    """Reads one millisecond: `next_request` is the page to fetch; `add` takes its answer, `fail` its failure."""

    def __init__(self, window: TimeRange, page_records: int) -> None:
        self._window = window
        self._page_records = page_records
        self._offset = 0
        self._limit = 1
        self._failures_in_a_row = 0
        self._failure: SourceFailure | None = None
        self._events: list[Event] = []
        self._unreadable: list[UnreadableRecord] = []
        self._record_count = 0
        self._ended = False

    @property
    def next_request(self) -> PageRequest | None:
        """The request to send now. None: the millisecond is read. It is requested with the one before, as in the pager."""
        if self._ended:
            return None
        return PageRequest(self._window.start - 1, self._window.start, self._offset, self._limit)

    def add(self, items: Sequence[Event | UnreadableRecord]) -> None:
        """Take the records of a page."""
        self._ended = not items
        self._failures_in_a_row = 0
        self._record_count += len(items)
        self._offset += len(items)
        self._limit = min(2 * self._limit, self._page_records)
        for item in items:
            if isinstance(item, UnreadableRecord):
                if item not in self._unreadable:
                    self._unreadable.append(item)
            elif item["created"] in self._window and item not in self._events:
                self._events.append(item)

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
        return WindowResult(
            window=self._window,
            covered=self._window,
            events=tuple(sorted(self._events, key=lambda event: int(event["id"]))),
            unreadable=tuple(self._unreadable),
            record_count=self._record_count,
            outside_window=0,
            proven=True,
            failure=self._failure,
        )
