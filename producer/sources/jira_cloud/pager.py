"""Paging through a window of Jira's audit log, as a state machine that knows no HTTP."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from producer.events import Event, Unreadable
from producer.sources.window_result import Piece
from producer.state.intervals import Range, halves

PAGE = 1000  # jira-api: the largest page Jira gives
MOST_RECORDS = 10_000  # Jira 6 cut every query there; whether Cloud does is not known
MOST_PAGES = 100
MOST_BYTES = 64 * 1024 * 1024
MOST_PAGES_OF_ONE_MS = 1_000
MOST_BYTES_OF_ONE_MS = 256 * 1024 * 1024
MOST_BARREN = 5
MOST_RESTARTS = 5


@dataclass(frozen=True, slots=True)
class Ask:
    """The next request; both instants are inclusive."""

    from_ms: int
    until_ms: int
    offset: int
    limit: int


class Walk:
    """Reads windows, ascending, each to its end: `ask` says what to request, `add` takes the answer.

    The end of a window is an empty page, whatever Jira's `total` or a short page suggest. Rows that move while it is
    read are tolerated: one met twice counts once; after a full page the next request begins with the last row seen,
    and where that is gone, rows have moved up unseen, or the page is empty for another reason than that it is the end, and
    the window is read again. A window with 10,000 rows or more is read in halves, the older first.
    """

    def __init__(self, windows: Iterable[Range], *, limit: int = PAGE) -> None:
        self._todo = [_Reading(window) for window in windows if window.width][::-1]
        self._limit = limit
        self._horizon: int | None = None

    @property
    def ask(self) -> Ask | None:
        """What to request now; the same until an answer was added. None: all windows are read."""
        if not self._todo:
            return None
        reading = self._todo[-1]
        return Ask(reading.asked.start, reading.asked.end - 1, reading.offset, self._limit)

    def add(self, items: Sequence[Event | Unreadable], size: int, date_ms: int | None = None) -> Piece | None:
        """Take the page that answers `ask`: its records in Jira's order, its bytes, and Jira's clock.

        Returns the window's piece when this page ends it.
        """
        if self._horizon is None:
            self._horizon = date_ms
        reading = self._todo[-1]
        if items:
            reading.add(items, size, self._limit)
        elif reading.contradicted():
            return None
        if not items or reading.hopeless(self._limit):
            self._todo.pop()
            return reading.piece(self._horizon, proven=not items)
        if reading.too_much():
            self._todo[-1:] = [
                _Reading(half, known=reading.shown(half)) for half in halves(reading.window)[::-1]
            ]
        return None

    def smaller(self) -> bool:
        """Ask for half as many records from now on, because a page was too large; False: it was one already."""
        if self._limit == 1:
            return False
        self._limit //= 2
        return True


class _Reading:
    """One window and what has been seen of it. `known`: it has rows, which were shown when it was part of another."""

    def __init__(self, window: Range, *, known: bool = False) -> None:
        self.window = window
        self._known = known
        self.asked = window if window.width > 1 else Range(window.start - 1, window.end)
        """Where `from` equals `to`, Jira shows nothing; the millisecond before is asked for too."""
        self.offset = 0
        self._overlapping = False
        self._fullest = 0
        """Rows of the fullest page: a Jira may give fewer than it is asked for."""
        self._seen: set[int | bytes] = set()
        self._events: list[Event] = []
        self._unreadable: list[Unreadable] = []
        self._pages = self._bytes = self._barren = self._restarts = self._outside = 0

    def add(self, items: Sequence[Event | Unreadable], size: int, limit: int) -> None:
        self._pages += 1
        self._bytes += size
        rows = len({_key(item) for item in items})  # what a page shows twice may count once in its offsets
        moved_up = self._overlapping and _key(items[0]) not in self._seen
        fresh = self._keep(items)
        self._barren = 0 if fresh else self._barren + 1
        if not (moved_up and self._again()):
            self._overlapping = len(items) >= min(limit, self._fullest or limit) > 1
            self._fullest = max(self._fullest, len(items))
            self.offset += max(1, rows - self._overlapping)

    def contradicted(self) -> bool:
        """Whether an empty page cannot be the end, since it had to begin with the last row seen, or to show at least what was seen
        before; it is read again then.
        """
        return (self._overlapping or (self._known and not self._seen)) and self._again()

    def shown(self, part: Range) -> bool:
        """Whether rows of this part of the window have been seen."""
        return any(event["created"] in part for event in self._events)

    def _again(self) -> bool:
        if self._restarts == MOST_RESTARTS:
            return False
        self._restarts += 1
        self.offset, self._overlapping = 0, False
        return True

    def too_much(self) -> bool:
        """Whether halves of the window are to be read instead."""
        if self.window.width == 1:
            return False
        return (
            len(self._seen) >= MOST_RECORDS
            or self._pages >= MOST_PAGES
            or self._bytes >= MOST_BYTES
            or self._barren >= MOST_BARREN
        )

    def hopeless(self, limit: int) -> bool:
        """Whether more of the same would show nothing more, or too much for one millisecond."""
        if self._barren >= MOST_BARREN and (len(self._seen) < limit or self.window.width == 1):
            return True
        return self.window.width == 1 and (
            self._pages >= MOST_PAGES_OF_ONE_MS or self._bytes >= MOST_BYTES_OF_ONE_MS
        )

    def piece(self, horizon: int | None, *, proven: bool) -> Piece:
        end = self.window.end if horizon is None else min(self.window.end, horizon)
        return Piece(
            window=self.window,
            covered=Range(self.window.start, end),
            events=tuple(sorted(self._events, key=lambda event: (event["created"], event["id"]))),
            unreadable=tuple(self._unreadable),
            rows=len(self._seen),
            outside=self._outside,
            proven=proven and len(self._seen) < MOST_RECORDS,
        )

    def _keep(self, items: Sequence[Event | Unreadable]) -> bool:
        before = len(self._seen)
        for item in items:
            if (key := _key(item)) in self._seen:
                continue
            self._seen.add(key)
            if isinstance(item, Unreadable):
                self._unreadable.append(item)
            elif item["created"] in self.window:
                self._events.append(item)
            elif item["created"] not in self.asked:
                self._outside += 1
        return len(self._seen) > before


def _key(item: Event | Unreadable) -> int | bytes:
    return item.raw if isinstance(item, Unreadable) else int(item["id"])
