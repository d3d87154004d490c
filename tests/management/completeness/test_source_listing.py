"""What the audit log lists for a day, against what the relay is to have of it."""

from dataclasses import replace

import pytest

from management.completeness.progress import RecordedProgress
from management.completeness.proof import SourceDay
from management.completeness.source_listing import list_day
from producer.sources.errors import ErrorKind, SourceError, SourceFailure
from producer.state.checkpoint import new_checkpoint
from relay.timestamps import DAY_MS, day_start
from tests.support.proof_world import AuditLog, created_on, some_event

DAY = "2026-11-23"
END = day_start(DAY) + DAY_MS
CHECKPOINT = new_checkpoint("acme.atlassian.net", day_start(DAY) - 9 * DAY_MS, now=0)


async def listed(progress, *numbers, day=DAY, now=END):
    log = AuditLog()
    log.events = {each: some_event(day, each) for each in numbers}
    return await list_day(log.source, day, progress, frozenset(), frozenset(), now)


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
    found = await list_day(log.source, DAY, RecordedProgress(), frozenset(), frozenset(), END)
    assert found == SourceDay(failure="It failed.", is_general=is_general)
