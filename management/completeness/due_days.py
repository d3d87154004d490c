"""Which days are counted and sealed now. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from consumer.losses.lost_range import SOURCE_DAYS
from management.completeness.progress import RecordedProgress, end_of_lateness
from management.completeness.seal_index import DayMark, OrganizationSeals
from relay.timestamps import DAY_MS, day_of, day_start

MAX_DAYS = 31
"""Days of one organization that are sealed together."""
HOUR_MS = 3_600_000
ATTENTION_DAYS = 30
"""The last days that the state of an organization is made of: an older difference stays in the calendar alone."""
RECOUNT_MS = DAY_MS
"""A day without a seal is counted again after this time, though the ledger shows no change."""


@dataclass(frozen=True, slots=True)
class DueDays:
    """Days of one organization. `sealing`: those that get their first seal; `counting`: those without one whose account is made;
    `again`: sealed ones that are compared with their seals.
    """

    sealing: Sequence[str] = ()
    counting: Sequence[str] = ()
    again: Sequence[str] = ()

    @property
    def all(self) -> list[str]:
        return [*self.sealing, *self.counting, *self.again]


@dataclass(frozen=True, slots=True)
class LastCount:
    """When a day was last counted (ms UTC), how many ids its ledger had, and whether nothing was to be done."""

    at: int
    ids: int
    settled: bool


def sealing_days(
    progress: RecordedProgress, seals: OrganizationSeals, now_ms: int, late_days: int
) -> list[str]:
    """Return the days that are over and have no seal, in their order, 31 at most."""
    found = list[str]()
    for day in _unsealed_days(progress, seals, now_ms):
        over = end_of_lateness(day, late_days) <= now_ms and progress.is_past_late_records(day, late_days)
        if not over or len(found) == MAX_DAYS:
            break
        found.append(day)
    return found


def due_days(
    progress: RecordedProgress,
    seals: OrganizationSeals,
    counts: Mapping[str, LastCount],
    now_ms: int,
    late_days: int,
) -> DueDays:
    """Return what is due for an organization. `counts`: the last count of each day.

    A day without a seal is counted once it has ended and polling has passed it, or an hour later; again when its ledger has
    changed, while something is to be done about it, and daily. A sealed day is compared when its ledger has other ids than then, and
    daily while its seal is not complete: what was to be done about it may have been done.
    """
    sealing = sealing_days(progress, seals, now_ms, late_days)
    last = sealing[-1] if sealing else ""
    if len(sealing) == MAX_DAYS:
        return DueDays(sealing)
    counting = [
        day
        for day in _unsealed_days(progress, seals, now_ms)
        if day > last
        and _has_ended(progress, day, now_ms)
        and _is_due(progress, day, counts.get(day), now_ms)
    ]
    again = [
        day
        for day, mark in seals.sealed.items()
        if _has_other_ids(progress.count(day), mark, counts.get(day))
        or (day >= first_day(now_ms) and _is_open(mark, counts.get(day), now_ms))
    ]
    return DueDays(sealing, counting[-MAX_DAYS:], again)


def first_day(now_ms: int) -> str:
    """Return the oldest day that the state of an organization is made of."""
    return day_of(now_ms - ATTENTION_DAYS * DAY_MS)


def _has_other_ids(ids: int | None, mark: DayMark, last: LastCount | None) -> bool:
    return ids is not None and ids != (mark.events if last is None else last.ids)


def _is_open(mark: DayMark, last: LastCount | None, now_ms: int) -> bool:
    if mark.state in {"complete", "not collected"}:
        return False
    return last is None or last.at + RECOUNT_MS <= now_ms


def _is_due(progress: RecordedProgress, day: str, last: LastCount | None, now_ms: int) -> bool:
    if last is None or not last.settled or last.at + RECOUNT_MS <= now_ms:
        return True
    return (progress.count(day) or 0) != last.ids


def _has_ended(progress: RecordedProgress, day: str, now_ms: int) -> bool:
    end = day_start(day) + DAY_MS
    polled = progress.checkpoint is not None and progress.checkpoint.window_end >= end
    return end + HOUR_MS <= now_ms or (polled and end <= now_ms)


def _unsealed_days(progress: RecordedProgress, seals: OrganizationSeals, now_ms: int) -> Iterator[str]:
    """Yield the days behind the chain, up to today; a new chain begins when the organization was added."""
    if progress.checkpoint is None:
        return
    last = seals.chain.last_day
    first = _date(progress.checkpoint.live_since) if last is None else last + timedelta(days=1)
    day = max(first, _date(now_ms - (SOURCE_DAYS - 1) * DAY_MS))
    while day <= _date(now_ms):
        yield day.isoformat()
        day += timedelta(days=1)


def _date(ms: int) -> date:
    return date.fromisoformat(day_of(ms))
