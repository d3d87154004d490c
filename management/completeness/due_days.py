"""Which days are counted and sealed now. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from consumer.losses.lost_range import SOURCE_DAYS
from management.completeness.progress import ProgressSummary, end_of_lateness
from management.completeness.proof import DayState
from management.completeness.seal_index import OrganizationSeals
from management.completeness.sealed_days import DayMark
from relay.timestamps import DAY_MS, day_of, day_start

MAX_DAYS = 31
"""Days of one organization that are sealed together."""
HOUR_MS = 3_600_000
ATTENTION_DAYS = 30
"""The last days that the state of an organization is made of: an older difference stays in the calendar alone."""
_OPEN: Sequence[DayState] = ("differing", "unproven", "provisional")
PASS_MS = 5 * HOUR_MS + HOUR_MS // 2
"""Between two passes through the days that can wait: each reads the event topics of the last nine days."""
PATIENCE = 4
"""A day that is not settled is counted again after a fourth of the time for which it was not, so that no old one costs as a new one."""
PATIENCE_MS, LONG_PATIENCE_MS = 45 * HOUR_MS // 60, 3 * HOUR_MS
"""At most: within an hour, with the rounds, while it is new; less often once its alert has fired for a day."""
RECOUNT_MS = 20 * HOUR_MS
"""A day without a seal is counted again in the first pass after this time, though the ledger shows no change: the fourth, within a day."""


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
    """When a day was last counted (ms UTC), how many ids its ledger had, and whether nothing was to be done.

    `since`: when its first count in a row of that kind was.
    """

    at: int
    ids: int
    settled: bool
    since: int


def sealing_days(
    progress: ProgressSummary, seals: OrganizationSeals, now_ms: int, late_days: int
) -> list[str]:
    """Return the days that are over and have no seal, in their order, 31 at most."""
    found = list[str]()
    for day in _unsealed_days(progress, seals, now_ms):
        if not _is_over(progress, day, now_ms, late_days) or len(found) == MAX_DAYS:
            break
        found.append(day)
    return found


def due_days(
    progress: ProgressSummary,
    seals: OrganizationSeals,
    counts: Mapping[str, LastCount],
    now_ms: int,
    late_days: int,
    *,
    is_pass: bool = True,
    paused: bool = False,
) -> DueDays:
    """Return what is due for an organization. `counts`: the last count of each day. `is_pass`: what can wait is due, too.

    A day without a seal is counted once it has ended and polling has passed it, or an hour later; again when its ledger has
    changed, now and then while something is to be done about it, and daily. Of a paused organization only days that polling has
    passed are counted, and what was complete stays so without asking the site. A sealed day is compared when its ledger has other ids than then, and
    daily while its seal is not complete: what was to be done about it may have been done. Seals and what is daily can wait.
    A day without a seal that is older than the last 30, as where polling has stopped, waits for its seal: no count of it is kept.
    """
    sealing = sealing_days(progress, seals, now_ms, late_days) if is_pass else []
    last = sealing[-1] if sealing else ""
    if len(sealing) == MAX_DAYS:
        return DueDays(sealing)
    counting = [
        day
        for day in _unsealed_days(progress, seals, now_ms)
        if day > last
        and day >= first_day(now_ms)
        and _has_ended(progress, day, now_ms, paused=paused)
        and not (paused and day not in counts and _is_complete(seals, day))
        and _is_due(progress, day, counts.get(day), now_ms, is_pass=is_pass and not paused)
    ]
    open_days = seals.sealed.days_in(_OPEN, first_day(now_ms)) if is_pass and not paused else []
    early = [day for day in seals.early if is_pass and _is_over(progress, day, now_ms, late_days)]
    again = {day for day in (*open_days, *early) if _is_old(counts.get(day), now_ms)}
    again |= {
        day
        for day, ids in progress.counts.items()
        if (mark := seals.sealed.get(day)) is not None and _has_other_ids(ids, mark, counts.get(day))
    }
    return DueDays(sealing, counting[-MAX_DAYS:], sorted(again))


def _is_over(progress: ProgressSummary, day: str, now_ms: int, late_days: int) -> bool:
    marks = progress.marks
    ended = end_of_lateness(day, late_days) <= now_ms
    return ended and marks is not None and marks.is_past_late_records(day, late_days)


def pass_number(now_ms: int) -> int:
    """Return which pass an instant is in: all organizations go through theirs in the first round of it, so a partition is read once."""
    return now_ms // PASS_MS


def overdue_ms(
    progress: ProgressSummary, seals: OrganizationSeals, now_ms: int, late_days: int, *, paused: bool = False
) -> int:
    """Return for how long the oldest day without a seal could have had one; 0: records of it may come late still, or an operator
    has paused the organization, so that no day of it can get one.
    """
    if paused:
        return 0
    first = next(_unsealed_days(progress, seals, now_ms), None)
    return 0 if first is None else max(0, now_ms - end_of_lateness(first, late_days))


def first_day(now_ms: int) -> str:
    """Return the oldest day that the state of an organization is made of."""
    return day_of(now_ms - ATTENTION_DAYS * DAY_MS)


def _has_other_ids(ids: int, mark: DayMark, last: LastCount | None) -> bool:
    return ids != (mark.events if last is None else last.ids)


def _is_old(last: LastCount | None, now_ms: int) -> bool:
    """Return whether a day must be counted again: also where its last count is of a clock that was ahead."""
    return last is None or not last.at <= now_ms < last.at + RECOUNT_MS


def _is_due(
    progress: ProgressSummary, day: str, last: LastCount | None, now_ms: int, *, is_pass: bool
) -> bool:
    if last is None or progress.counts.get(day, 0) != last.ids:
        return True
    if not last.settled:
        age = last.at - last.since
        pause = min(age // PATIENCE, PATIENCE_MS if age < DAY_MS else LONG_PATIENCE_MS)
        return not last.at <= now_ms < last.at + pause
    return is_pass and _is_old(last, now_ms)


def _is_complete(seals: OrganizationSeals, day: str) -> bool:
    mark = seals.accounts.get(day)
    return mark is not None and mark.state == "complete"


def _has_ended(progress: ProgressSummary, day: str, now_ms: int, *, paused: bool) -> bool:
    end = day_start(day) + DAY_MS
    polled = progress.marks is not None and progress.marks.window_end >= end
    return (end + HOUR_MS <= now_ms and not paused) or (polled and end <= now_ms)


def _unsealed_days(progress: ProgressSummary, seals: OrganizationSeals, now_ms: int) -> Iterator[str]:
    """Yield the days behind the chain, up to today; a new chain begins when the organization was added."""
    if progress.marks is None:
        return
    last = seals.chain.day_before(_date(now_ms + DAY_MS))
    first = _date(progress.marks.live_since) if last is None else last + timedelta(days=1)
    day = max(first, _date(now_ms - (SOURCE_DAYS - 1) * DAY_MS))
    while day <= _date(now_ms):
        yield day.isoformat()
        day += timedelta(days=1)


def _date(ms: int) -> date:
    return date.fromisoformat(day_of(ms))
