"""A refill whose source fails to serve some records: all others are published, and what is left out is named."""

import pytest

from producer.polling.unread_range_search import open_unread_range
from producer.sources.errors import RetryAction
from producer.state.intervals import TimeRange
from relay.timestamps import DAY_MS, now_ms, parse_iso, to_iso
from simulators import faults
from tests.producer.polling.test_refill import Refilled
from tests.support.jira import backoff, jira_clients
from tests.support.poller import ids
from tests.support.publisher import TOPICS

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def jira_fixture(jira):
    """Sources whose waits do not grow: a search makes dozens of requests that fail, one after the other."""
    timing = backoff(0.02, page_pause_seconds=0.01, cap_seconds=dict.fromkeys(RetryAction, 0.02))
    async with jira_clients(jira, backoff=timing) as found:
        yield found


def at(record):
    return parse_iso(record["created"]).ms


async def test_a_record_that_fails_each_page_is_left_out_and_named(acme, jira_fixture):
    """The records of its millisecond too are published, each once. No unread range is opened: no ledger has this time any more."""
    now = now_ms()
    wanted = [acme.add_record(created=now - 100 * DAY_MS + 60_000 * n) for n in range(4)]
    same_time = acme.add_records(3, created=now - 100 * DAY_MS + 3 * 60_000 + 7)
    wanted += [*same_time, acme.add_record(created=now - 99 * DAY_MS)]
    bad = same_time[1]
    acme.quirks.failing_records.add(bad["id"])
    harness = Refilled(acme, jira_fixture)
    async with harness.running():
        await harness.until(lambda: harness.status and harness.status.last_poll)
        job = harness.ask(now - 101 * DAY_MS, now - 98 * DAY_MS)
        await harness.until(harness.is_done)
        checkpoint = harness.publisher.checkpoint("acme")

    assert harness.published(TOPICS.backfill) == sorted(set(ids(wanted)) - {bad["id"]})
    assert harness.published() == []
    report = harness.reports[-1]
    assert (report.events, report.unreadable) == (len(wanted) - 1, 0)
    assert [(one.start, one.end) for one in report.unread] == [(at(bad), at(bad) + 1)]
    command = (
        f"`jira-relay replay start --destination sentinel --refill --organization acme --from {to_iso(at(bad))}"
        f" --to {to_iso(at(bad) + 1)}`"
    )
    assert command in report.reason
    assert any("the producer reads around them" in (one.reason or "") for one in harness.reports)
    assert checkpoint.unread_ranges == ()
    assert checkpoint.refill(job.id).unread == (TimeRange(at(bad), at(bad) + 1),)


async def test_a_site_that_is_down_altogether_is_waited_for(acme, jira_fixture):
    now = now_ms()
    wanted = acme.add_records(3, created=now - 2_000)
    harness = Refilled(acme, jira_fixture)
    async with harness.running():
        await harness.until(lambda: harness.status and harness.status.last_poll)
        down = acme.fault(faults.respond_with(500), rate=1.0)
        harness.ask(now - 10_000, now)
        await harness.until(lambda: down.played >= 30)
        assert not any(one.unread or one.ended for one in harness.reports)
        down.cancel()
        await harness.until(harness.is_done)
    assert harness.published(TOPICS.backfill) == ids(wanted)
    assert (harness.reports[-1].unread, harness.reports[-1].reason) == ((), None)


async def test_a_refill_asks_for_what_other_loops_failed_to_read(acme, jira_fixture):
    """An unread range of the checkpoint is no reason to leave records out: some of them may be served by now."""
    now = now_ms()
    wanted = acme.add_records(2, created=now - 5_000)
    harness = Refilled(acme, jira_fixture)
    async with harness.running():
        await harness.until(lambda: harness.status and harness.status.last_poll)
        unread = TimeRange(now - 6_000, now - 4_000)
        await harness.publisher.write_checkpoint("acme", lambda known: open_unread_range(known, unread))
        harness.ask(now - 10_000, now)
        await harness.until(harness.is_done)
    assert harness.published(TOPICS.backfill) == ids(wanted)
    assert harness.reports[-1].reason is None
