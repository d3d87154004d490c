"""A site, or a proxy before it, that understands another time than it was asked for."""

import pytest

from producer.sources.errors import ErrorKind
from producer.state.intervals import TimeRange
from relay.timestamps import DAY_MS, now_ms, parse_iso
from simulators.jira_cloud import faults
from tests.support.jira import error_kinds
from tests.support.poller import PollerHarness, ids

HOUR = 3_600_000


async def test_records_of_another_time_are_no_sign_that_the_window_was_read(acme, jira_fixture):
    """The organization fails with the cause, no cursor moves, and after the fault nothing is missing."""
    added = now_ms()
    for number in range(-100, 300):
        acme.add_record(created=added - 2 * HOUR + number * 100)
    acme.quirks.query_shift_seconds = -7_200
    harness = PollerHarness(acme, jira_fixture, added=added)
    async with harness.running():
        happened = acme.add_records(3)
        await harness.until(lambda: harness.status.state == "failing")
        assert "outside the asked window" in harness.status.reason
        assert "time zone" in harness.status.reason
        checkpoint = harness.publisher.checkpoint("acme")
        assert checkpoint.window_end == checkpoint.live_since
        assert (harness.status.complete_up_to or 0) <= checkpoint.live_since
        acme.quirks.query_shift_seconds = 0
        await harness.until(lambda: harness.status.state == "active" and harness.published())

    assert harness.published() == ids(happened)


async def test_history_is_not_covered_by_records_of_another_time(acme, jira_fixture):
    """A range of history counts as covered for ever, so each of its records must have been published.

    Today's range is short after midnight, and then it holds no record: it may count as covered.
    """
    now = now_ms()
    for created in range(now - 5 * DAY_MS, now - HOUR, 10 * 60_000):
        acme.add_record(created=created)
    acme.quirks.query_shift_seconds = -7_200
    harness = PollerHarness(acme, jira_fixture, backfill_from=now - 3 * DAY_MS)
    async with harness.running():
        await harness.until(lambda: "outside the asked window" in (harness.status.reason or ""))
        await harness.until(lambda: len(acme.requests()) > 6)

    covered = harness.publisher.checkpoint("acme").backfilled
    published = harness.published()
    missing = [
        parse_iso(record["created"]).ms for record in acme.all_records() if record["id"] not in published
    ]
    assert missing
    assert not [ms for ms in missing if any(ms in each for each in covered)]


async def test_records_of_the_window_are_published_beside_others(acme, jira_fixture):
    """The result holds them and covers nothing; the error follows."""
    now = now_ms()
    inside, _ = (acme.add_record(created=now - minutes * 60_000) for minutes in (90, 150))
    acme.quirks.query_shift_seconds = -3_600
    results = jira_fixture.source_for(acme).read(TimeRange(now - 2 * HOUR, now))
    result = await anext(results)

    assert await error_kinds(anext(results)) == [ErrorKind.OUTSIDE_WINDOW]
    assert ids(result.events) == [inside["id"]]
    assert not result.covered.width


@pytest.mark.parametrize(("ago", "contradicted"), [(5_000, True), (HOUR, False)])
async def test_a_newer_record_does_not_hide_one_of_the_empty_window(ago, contradicted, acme, jira_fixture):
    """On a busy site the newest record is always newer than the window."""
    end = now_ms() - 60_000
    acme.add_record(created=end - ago)
    acme.add_record(created=end + 1_000)
    verified = jira_fixture.source_for(acme).verify_empty(TimeRange(end - 60_000, end))

    assert await error_kinds(verified) == ([ErrorKind.BROKEN_ANSWER] if contradicted else [None])


async def test_an_unreadable_newest_record_proves_nothing(acme, jira_fixture):
    """Its time is not known, so the records before it are looked at."""
    end = now_ms() - 60_000
    acme.add_record(created=end - 5_000)
    acme.add_record(created=end + 1_000, fields={"created": "yesterday"})
    source = jira_fixture.source_for(acme)

    assert await error_kinds(source.verify_empty(TimeRange(end - 60_000, end))) == [ErrorKind.BROKEN_ANSWER]


@pytest.mark.parametrize(("key_works", "kind"), [(True, None), (False, ErrorKind.KEY_REFUSED)])
async def test_a_log_of_unreadable_records_is_proven_by_the_login(key_works, kind, acme, jira_fixture):
    """Such a log shows no time, as an empty one does."""
    acme.add_record(fields={"created": "yesterday"})
    source = jira_fixture.source_for(acme)
    if not key_works:
        acme.fault(faults.wrong_credentials(), rate=1.0, path="/rest/api/3/myself")

    assert await error_kinds(source.verify_empty(TimeRange(0, now_ms()))) == [kind]


async def test_an_unreadable_oldest_record_hides_no_gap(acme, jira_fixture):
    """The oldest record whose time can be read tells how far back the site keeps records."""
    end = now_ms()
    acme.add_record(created=end - HOUR, fields={"created": "yesterday"})
    oldest = acme.add_record(created=end - HOUR + 1_000)
    acme.add_records(20, created=end - 1_000)

    assert await jira_fixture.source_for(acme).oldest() == parse_iso(oldest["created"]).ms
