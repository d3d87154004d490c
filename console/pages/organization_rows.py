"""The organizations as rows of a table: searched, filtered, sorted, and cut into pages. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from management.organizations.view import OrganizationView
from management.overview import day_total, last_day
from relay.status.model import HourCount

PAGE_ROWS = 200
DEFAULT_SORT = "state"
_LAST = 1 << 62


@dataclass(frozen=True)
class OrganizationRow:
    """What the table shows of one organization. Instants are ms UTC."""

    view: OrganizationView

    @property
    def name(self) -> str:
        return self.view.organization.name

    @property
    def last_event(self) -> int | None:
        return None if self.view.status is None else self.view.status.last_event

    @property
    def complete_up_to(self) -> int | None:
        return None if self.view.status is None else self.view.status.complete_up_to

    @property
    def waiting_until(self) -> int | None:
        status = self.view.status
        return status.waiting_until if status is not None and self.view.state_word == "waiting" else None

    @cached_property
    def hours(self) -> Sequence[HourCount]:
        return last_day(self.view.counts, self.view.now_ms)

    @cached_property
    def _total(self) -> HourCount:
        return day_total(self.view.counts, self.view.now_ms)

    @property
    def events(self) -> int:
        return self._total.events

    @property
    def late(self) -> int:
        return self._total.late

    @property
    def dead_letters(self) -> int:
        return self._total.dead_letters


_SORT_KEYS: Mapping[str, Callable[[OrganizationRow], Any]] = {
    "state": lambda row: row.view.urgency[0],
    "name": lambda row: row.name,
    "since": lambda row: _LAST if row.view.since is None else row.view.since,
    "last_event": lambda row: -(row.last_event or 0),
    "complete": lambda row: row.complete_up_to or 0,
    "events": lambda row: -row.events,
    "late": lambda row: -row.late,
    "dead": lambda row: -row.dead_letters,
    "expiry": lambda row: row.view.organization.credential_expires or _LAST,
}
"""Each column in the order in which it is useful first: the worst, the newest, the most."""


@dataclass(frozen=True, slots=True)
class RowQuery:
    """What a reader asked the table for. An unknown sort is that by state; `page` begins at 1."""

    text: str = ""
    state: str = ""
    sort: str = DEFAULT_SORT
    reverse: bool = False
    page: int = 1

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> "RowQuery":
        page = parameters.get("page", "1")
        sort = parameters.get("sort", DEFAULT_SORT)
        return cls(
            parameters.get("q", "").strip()[:200],
            parameters.get("state", "")[:40],
            sort if sort in _SORT_KEYS else DEFAULT_SORT,
            parameters.get("reverse") == "1",
            int(page) if page.isascii() and page.isdigit() and 0 < len(page) < 7 and int(page) else 1,
        )

    def bulk_link(self, **changes: Any) -> str:
        """Return the address of the page that changes several of these organizations at once."""
        return self.link(**changes).replace("/organizations", "/organizations/bulk", 1)

    def link(self, **changes: Any) -> str:
        """Return the address of the table with these changes; a change starts at the first page unless it names one."""
        values = {"q": self.text, "state": self.state, "sort": self.sort, "reverse": int(self.reverse)}
        values |= {"page": 1} | changes
        defaults = {"sort": DEFAULT_SORT, "page": 1}
        kept = {name: value for name, value in values.items() if value and value != defaults.get(name)}
        return f"/organizations?{urlencode(kept)}" if kept else "/organizations"

    def sort_link(self, column: str) -> str:
        """Return the address that sorts by a column; by the present one, in the other direction."""
        return self.link(sort=column, reverse=int(column == self.sort and not self.reverse))


@dataclass(frozen=True, slots=True)
class RowPage:
    """The rows of one page. `found`: how many match; `pages`: at least 1."""

    rows: Sequence[OrganizationRow]
    found: int
    page: int
    pages: int


def select(views: Sequence[OrganizationView], query: RowQuery, page_rows: int = PAGE_ROWS) -> RowPage:
    """Return the rows that match, sorted, of the page that the query names; of the last page if it names a later one."""
    found = [OrganizationRow(view) for view in views if _matches(view, query)]
    # Sorted twice, so that equal rows are by name in both directions.
    found.sort(key=lambda row: row.name)
    found.sort(key=_SORT_KEYS[query.sort], reverse=query.reverse)
    pages = max(1, -(-len(found) // page_rows))
    page = min(query.page, pages)
    return RowPage(found[(page - 1) * page_rows : page * page_rows], len(found), page, pages)


def _matches(view: OrganizationView, query: RowQuery) -> bool:
    if query.state and view.state_word != query.state:
        return False
    organization = view.organization
    wanted = query.text.casefold()
    return any(
        wanted in each.casefold()
        for each in (organization.name, organization.url, organization.user, view.reason)
    )
