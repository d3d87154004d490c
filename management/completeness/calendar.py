"""The calendar of an organization: one word for each day, from the seals and accounts alone. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from management.completeness.progress import end_of_lateness
from management.completeness.seal_index import OrganizationSeals
from management.completeness.sealed_days import DayMark
from management.completeness.show import days_between
from relay.organizations import Organization
from relay.timestamps import DAY_MS, day_of

SHOWN_DAYS = 180
"""As long as Jira keeps its audit log."""
DayWord = Literal[
    "complete", "provisional", "differing", "unproven", "not collected", "broken chain", "not sealed"
]
SIGNS: Mapping[DayWord, str] = {
    "complete": "#",
    "provisional": "~",
    "differing": "!",
    "unproven": "?",
    "not collected": "-",
    "broken chain": "x",
    "not sealed": ".",
}
"""How the terminal shows a day, those that need nobody first."""


@dataclass(frozen=True, slots=True)
class CalendarDay:
    """A day as its latest record has it. `edition` 0 and `events` None: there is none."""

    day: str
    word: DayWord
    edition: int = 0
    events: int | None = None

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "day": self.day,
            "state": self.word,
            "edition": self.edition or None,
            "events": self.events,
        }


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days of one organization. `fault`: why its chain of seals is broken; None: it is whole."""

    organization: str
    days: Sequence[CalendarDay]
    fault: str | None
    last_sealed: str | None

    @property
    def counts(self) -> Mapping[str, int]:
        """Return how many days have each word."""
        return Counter(each.word for each in self.days)

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "organization": self.organization,
            "fault": self.fault,
            "last_sealed": self.last_sealed,
            "days": [each.document() for each in self.days],
        }


def calendar_of(
    found: OrganizationSeals,
    organization: Organization | None,
    days: Sequence[str],
    now_ms: int,
    late_days: int,
) -> Calendar:
    """Return the calendar of an organization. `organization` None: it was deleted, and its seals are left."""
    fault = found.verify_end()
    collected_from = None if organization is None else first_collected_day(organization)
    return Calendar(
        found.name,
        [_day(found, day, collected_from, now_ms, late_days) for day in days],
        fault,
        max((day for day in found.sealed if day <= day_of(now_ms)), default=None),
    )


def first_collected_day(organization: Organization) -> str:
    """Return the first day whose events the relay is to have."""
    starts = [each for each in (organization.added, organization.backfill_from) if each is not None]
    return day_of(min(starts))


def _day(
    found: OrganizationSeals, day: str, collected_from: str | None, now_ms: int, late_days: int
) -> CalendarDay:
    mark = found.mark(day)
    if mark is not None:
        return CalendarDay(day, _word(found, mark), mark.edition, mark.events)
    if collected_from is not None and day < collected_from:
        return CalendarDay(day, "not collected")
    is_over = end_of_lateness(day, late_days) <= now_ms or collected_from is None
    return CalendarDay(day, "not sealed" if is_over else "provisional")


def _word(found: OrganizationSeals, mark: DayMark) -> DayWord:
    """Return the word of a day that was counted. Without a seal, no day is complete yet."""
    if mark.edition and found.verify_end() is not None:
        return "broken chain"
    return "provisional" if mark.edition == 0 and mark.state == "complete" else mark.state


def shown_days(now_ms: int, count: int = SHOWN_DAYS) -> list[str]:
    """Return the last days, today included, the oldest first."""
    return days_between(day_of(now_ms - (count - 1) * DAY_MS), day_of(now_ms))
