"""Records that a site shows in answers about another time than they bear, for ever."""

from dataclasses import replace

import pytest
import structlog

from producer.sources.errors import ErrorKind
from producer.state.intervals import TimeRange
from relay.timestamps import DAY_MS, now_ms, parse_iso, to_iso
from simulators import faults
from tests.support.jira import error_kinds
from tests.support.poller import PollerHarness, ids

HOUR = 3_600_000


@pytest.mark.parametrize("ago", [30 * DAY_MS, 3 * DAY_MS, 5 * HOUR])
async def test_a_record_in_each_answer_holds_up_nothing(acme, jira_fixture, ago):
    """All others are published, the checkpoint moves, and the status names the record."""
    added = now_ms()
    misplaced = acme.add_record(created=added - ago)
    acme.quirks.misplaced_records.add(misplaced["id"])
    harness = PollerHarness(acme, jira_fixture, added=added)
    async with harness.running():
        happened = acme.add_records(3)
        await harness.until(lambda: len(harness.published()) == 3)
        await harness.until(lambda: harness.publisher.checkpoint("acme").window_end > added)
        happened += acme.add_records(2)
        await harness.until(lambda: len(harness.published()) == 5)
        await harness.until(lambda: harness.status.state == "active")
        assert f"shows record {misplaced['id']} of " in harness.status.reason

    assert harness.published() == ids(happened)


async def test_a_record_that_bears_another_time_than_the_site_finds_it_at_holds_up_nothing(
    acme, jira_fixture
):
    """The checkpoint passes it, since its window shows others that prove the times right."""
    added = now_ms()
    harness = PollerHarness(acme, jira_fixture, added=added)
    async with harness.running():
        happened = acme.add_records(2)
        misplaced = acme.add_record()
        old = to_iso(added - 30 * DAY_MS)
        acme.quirks.broken_records[misplaced["id"]] = lambda raw: raw.replace(
            misplaced["created"].encode(), old.encode()
        )
        happened += acme.add_records(2)
        await harness.until(lambda: len(harness.published()) == 4)
        await harness.until(lambda: harness.status.state == "active" and harness.status.reason)
        assert f"shows record {misplaced['id']} of " in harness.status.reason
        await harness.until(
            lambda: harness.publisher.checkpoint("acme").window_end > parse_iso(misplaced["created"]).ms
        )

    assert harness.published() == ids(happened)


async def test_a_record_in_each_answer_is_no_sign_of_life(acme, jira_fixture):
    """A window with it alone counts as empty, so that it is verified."""
    now = now_ms()
    misplaced = acme.add_record(created=now - 30 * DAY_MS)
    acme.quirks.misplaced_records.add(misplaced["id"])
    results = [
        result async for result in jira_fixture.source_for(acme).read(TimeRange(now - HOUR, now - HOUR // 2))
    ]

    assert [(result.record_count, ids(result.misplaced)) for result in results] == [(0, [misplaced["id"]])]


async def test_a_zone_fault_beside_a_misplaced_record_is_still_one(acme, jira_fixture):
    """The records of the other time are not in two windows that are days apart."""
    now = now_ms()
    misplaced = acme.add_record(created=now - 30 * DAY_MS)
    acme.quirks.misplaced_records.add(misplaced["id"])
    acme.add_record(created=now - 150 * 60_000)
    acme.quirks.query_shift_seconds = -3_600
    results = jira_fixture.source_for(acme).read(TimeRange(now - 2 * HOUR, now))
    result = await anext(results)

    assert await error_kinds(anext(results)) == [ErrorKind.OUTSIDE_WINDOW]
    assert not result.covered.width


async def test_many_records_of_another_time_are_a_fault_of_the_site(acme, jira_fixture):
    """A site that shows all records in each answer is not believed."""
    now = now_ms()
    for number in range(101):
        acme.quirks.misplaced_records.add(acme.add_record(created=now - 30 * DAY_MS + number)["id"])
    results = jira_fixture.source_for(acme).read(TimeRange(now - 2 * HOUR, now))
    await anext(results)

    assert await error_kinds(anext(results)) == [ErrorKind.OUTSIDE_WINDOW]


async def test_a_question_that_fails_keeps_no_record_back(acme, jira_fixture):
    """The records of the window are published, the window does not count as read, and a later question decides."""
    now = now_ms()
    inside = acme.add_record(created=now - HOUR)
    misplaced = acme.add_record(created=now - 30 * DAY_MS)
    acme.quirks.misplaced_records.add(misplaced["id"])
    source = jira_fixture.source_for(acme)
    acme.fault(faults.respond_with(500), skip=2, times=1)  # after a page and the empty one
    results = source.read(TimeRange(now - 2 * HOUR, now))
    result = await anext(results)

    assert await error_kinds(anext(results)) == [ErrorKind.OUTSIDE_WINDOW]
    assert (ids(result.events), result.covered.width) == ([inside["id"]], 0)
    (result,) = [each async for each in source.read(TimeRange(now - 2 * HOUR, now))]
    assert ids(result.misplaced) == [misplaced["id"]]


async def test_the_notice_ends_when_the_site_is_mended(acme, jira_fixture):
    """It names a record no longer than two re-reads of the day do not show it."""
    added = now_ms()
    misplaced = acme.add_record(created=added - 30 * DAY_MS)
    acme.quirks.misplaced_records.add(misplaced["id"])
    harness = PollerHarness(acme, jira_fixture, added=added)
    async with harness.running():
        acme.add_records(3)
        await harness.until(lambda: harness.status.reason and "shows record" in harness.status.reason)
        acme.quirks.misplaced_records.clear()
        await harness.until(lambda: not harness.status.reason)


async def test_mended_records_count_no_more(acme, jira_fixture):
    """In a year more than a hundred records are misplaced and mended; the present ones hold up nothing."""
    now = now_ms()
    source = jira_fixture.source_for(acme)
    acme.add_record(created=now - HOUR)
    for start in range(0, 120, 40):
        acme.quirks.misplaced_records = {
            acme.add_record(created=now - 30 * DAY_MS + start + number)["id"] for number in range(40)
        }
        (result,) = [each async for each in source.read(TimeRange(now - 2 * HOUR, now))]
        assert len(result.misplaced) == 40


async def test_a_zone_fault_of_one_node_is_no_misplaced_record(acme, jira_fixture):
    """The window comes from the node with the fault, the answer to the question from another."""
    now = now_ms()
    source = jira_fixture.source_for(acme)
    for hour in range(1, 26):
        acme.add_record(created=now - hour * HOUR + 60_000)
    acme.add_record(created=now - HOUR // 4)
    fetch = source.fetch_page

    async def from_one_node(request, purpose):
        acme.quirks.query_shift_seconds = 0 if request.until_ms - request.from_ms <= 1 else -3_600
        return await fetch(request, purpose)

    source.fetch_page = from_one_node
    results = source.read(TimeRange(now - 24 * HOUR, now))
    result = await anext(results)

    assert await error_kinds(anext(results)) == [ErrorKind.OUTSIDE_WINDOW]
    assert not result.covered.width


async def test_a_record_in_each_page_holds_up_nothing(acme, jira_fixture):
    """It comes whatever the offset, so that no window ends with an empty page; nothing says that records may be missing."""
    added = now_ms()
    row = acme.add_record(created=added - 30 * DAY_MS)
    harness = PollerHarness(acme, jira_fixture, added=added)
    source = jira_fixture.sources.source_for(harness.organization)
    fetch = source.fetch_page

    async def with_row(request, purpose):
        page = await fetch(request, purpose)
        return replace(page, records=(*page.records, dict(row)))

    source.fetch_page = with_row
    with structlog.testing.capture_logs() as lines:
        async with harness.running():
            happened = acme.add_records(3)
            await harness.until(lambda: len(harness.published()) == 3)
            await harness.until(lambda: harness.publisher.checkpoint("acme").window_end > added)
            happened += acme.add_records(2)
            await harness.until(lambda: len(harness.published()) == 5)

    assert harness.published() == ids(happened)
    assert not [line for line in lines if line["log_level"] == "error"]
