"""What the audit log lists for a day, against what the relay is to have of it."""

import asyncio
from dataclasses import replace

import pytest

from management.completeness.progress import RecordedProgress
from management.completeness.proof import SourceDay
from management.completeness.source_listing import ListingFacts, list_days, runs_of
from producer.sources.errors import ErrorKind, SourceError, SourceFailure
from producer.state.checkpoint import new_checkpoint
from relay.timestamps import DAY_MS, day_start
from tests.support.proof_world import AuditLog, created_on, some_event

DAY, AFTER = "2026-11-23", "2026-11-24"
END = day_start(DAY) + DAY_MS
CHECKPOINT = new_checkpoint("acme.atlassian.net", day_start(DAY) - 9 * DAY_MS, now=0)


async def listed(progress, *numbers, day=DAY, now=END):
    log = AuditLog()
    log.events = {each: some_event(day, each) for each in numbers}
    return (await list_days(log.source, [day], ListingFacts(progress), now))[day]


async def test_events_that_polling_has_not_come_to_are_awaited():
    """A feed that has stood still since before the day is no day that the relay is not to have."""
    stopped = RecordedProgress(replace(CHECKPOINT, window_end=created_on(DAY, 2)))
    found = await listed(stopped, 1, 2, 3)
    assert (len(found.events), found.awaited, found.uncollected) == (1, 2, 0)
    assert (await listed(RecordedProgress(), 1)).awaited == 1
    later = replace(CHECKPOINT, live_since=created_on(DAY, 2), window_end=created_on(DAY, 3))
    found = await listed(RecordedProgress(later), 1, 2, 3)
    assert (len(found.events), found.awaited, found.uncollected) == (1, 1, 1)


async def test_a_day_that_the_audit_log_no_longer_keeps_is_not_listed():
    """An empty answer for it does not say that events were removed."""
    progress = RecordedProgress(replace(CHECKPOINT, window_end=day_start(DAY) + DAY_MS))
    end = day_start(DAY) + 180 * DAY_MS
    assert (await listed(progress, 1, now=end)).failure is None
    assert await listed(progress, 1, now=end + 1) == SourceDay(
        failure="It keeps records for 180 days, and this day is older."
    )


@pytest.mark.parametrize(
    ("kind", "is_general"),
    [(ErrorKind.KEY_REFUSED, True), (ErrorKind.RATE_LIMITED, True), (ErrorKind.BROKEN_ANSWER, False)],
)
async def test_a_failure_that_other_days_share_is_known_as_one(kind, is_general):
    log = AuditLog()
    log.failure = SourceError(SourceFailure(kind, "It failed."))
    found = await list_days(log.source, [DAY, AFTER], ListingFacts(RecordedProgress()), END + DAY_MS)
    assert found[AFTER] == SourceDay(failure="It failed.", is_general=is_general)


class BrokenLog(AuditLog):
    """It fails to serve a window that holds an instant."""

    def __init__(self, broken: int) -> None:
        super().__init__()
        self.broken = broken

    async def read(self, window, purpose):
        if self.broken in window:
            self.listed.append("failed")
            raise SourceError(SourceFailure(ErrorKind.BROKEN_ANSWER, "It is broken."))
        async for each in super().read(window, purpose):
            yield each


async def test_days_in_a_row_cost_one_request_and_each_has_its_own_events():
    log, days = AuditLog(), [DAY, AFTER, "2026-11-26"]
    log.events = {number: some_event(day, number) for number, day in enumerate(days)}
    progress = RecordedProgress(replace(CHECKPOINT, window_end=END + 4 * DAY_MS))
    found = await list_days(log.source, days, ListingFacts(progress), END + 4 * DAY_MS)
    assert log.listed == [DAY, "2026-11-26"]
    assert {day: [each.id for each in one.events] for day, one in found.items()} == {
        day: [number] for number, day in enumerate(days)
    }


def test_a_run_of_days_fits_one_page_and_holds_none_that_is_gone():
    days = [f"2026-11-{number}" for number in range(10, 16)]
    known = {
        "2026-11-10": range(300),
        "2026-11-11": range(600),
        "2026-11-12": range(2),
        "2026-11-13": range(9_000),
    }
    sets = {day: {*ids} for day, ids in known.items()}
    assert [[day[-2:] for day in run] for run in runs_of(days, sets, END)] == [
        ["10", "11"],
        ["12"],
        ["13"],
        ["14", "15"],
    ]
    gone = day_start("2026-11-12") + 180 * DAY_MS
    assert [run[0][-2:] for run in runs_of(days, {}, gone)] == ["10", "11", "12"]


async def test_one_day_that_fails_leaves_the_other_days_of_its_run_known():
    """An answer that breaks off because of one record, or a record of no readable day: each day is listed alone then."""
    log = BrokenLog(created_on(AFTER, 5))
    log.events = {1: some_event(DAY, 1)}
    progress = RecordedProgress(replace(CHECKPOINT, window_end=END + 2 * DAY_MS))
    found = await list_days(log.source, [DAY, AFTER], ListingFacts(progress), END + 2 * DAY_MS)
    assert (len(found[DAY].events), found[DAY].failure, found[AFTER].failure) == (1, None, "It is broken.")
    assert log.listed == ["failed", DAY, "failed"]


class LongLog(AuditLog):
    """A window of more than one day, or one that holds an instant, is never listed to its end."""

    endless = 0

    async def read(self, window, purpose):
        if window.end - window.start > DAY_MS or self.endless in window:
            self.listed.append("too long")
            await asyncio.Event().wait()
        async for each in super().read(window, purpose):
            yield each


async def test_a_run_that_takes_too_long_is_listed_by_days_until_one_of_them_does():
    """As where Kafka has lost the events of many days, so that the run is more than a page."""
    log, days, now = LongLog(), [DAY, AFTER, "2026-11-25"], END + 3 * DAY_MS
    log.events = {number: some_event(day, number) for number, day in enumerate(days)}
    facts = ListingFacts(RecordedProgress(replace(CHECKPOINT, window_end=now)))
    found = await list_days(log.source, days, facts, now, seconds=0.1)
    assert [(len(each.events), each.failure) for each in found.values()] == [(1, None)] * 3
    log.listed, log.endless = [], created_on(AFTER, 2)
    found = await list_days(log.source, days, facts, now, seconds=0.1)
    assert [each.is_general for each in found.values()] == [False, True, True]
    assert log.listed == ["too long", DAY, "too long"]
