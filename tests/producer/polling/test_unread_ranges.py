"""Records that Jira can never serve: all others are published, and these as soon as they are served."""

import asyncio

import pytest

from producer.sources.errors import RetryAction
from producer.state.intervals import TimeRange
from relay.timestamps import DAY_MS, now_ms, parse_iso
from simulators import faults
from tests.support.jira import backoff, jira_clients
from tests.support.poller import BACKOFF, PollerHarness, ids
from tests.support.publisher import TOPICS

pytestmark = pytest.mark.timeout(480)


@pytest.fixture
async def jira_fixture(jira):
    """Sources whose waits do not grow: a search makes dozens of requests that fail, one after the other."""
    timing = backoff(0.05, page_pause_seconds=0.02, cap_seconds=dict.fromkeys(RetryAction, 0.1))
    async with jira_clients(jira, backoff=timing) as found:
        yield found


def at(record):
    return parse_iso(record["created"]).ms


def unread_ranges(harness):
    checkpoint = harness.publisher.checkpoint("acme")
    return () if checkpoint is None else checkpoint.unread_ranges


def dead_letters(harness):
    return [record.value for record in harness.transactions.topics[TOPICS.dead_letters]]


def names_a_hole(status):
    return status.state == "active" and "The source fails to serve the records of " in (status.reason or "")


def isolated(harness, record):
    """Whether the only unread range is the record's millisecond."""
    return unread_ranges(harness) == (TimeRange(at(record), at(record) + 1),)


async def test_a_record_that_fails_each_page_holds_up_nothing(acme, jira_fixture):
    """The records around it, of its own millisecond too, are published; it is named, survives a restart, and comes late."""
    now = now_ms()
    before = acme.add_records(3, created=now - 30_000)
    same_time = acme.add_records(5, created=now - 20_000)
    bad = same_time[2]
    acme.quirks.failing_records.add(bad["id"])
    harness = PollerHarness(acme, jira_fixture, added=now - 60_000)
    async with harness.running():
        await harness.until(lambda: isolated(harness, bad) and len(harness.published()) == 7, 150)
        after = acme.add_records(2)
        await harness.until(lambda: len(harness.published()) == 9)
        await harness.until(lambda: names_a_hole(harness.status) and harness.status.complete_up_to == at(bad))
    async with harness.running():
        acme.add_record()
        await harness.until(lambda: len(harness.published()) == 10)
        assert isolated(harness, bad)
        acme.quirks.failing_records.clear()
        await harness.until(lambda: bad["id"] in harness.published(), 90)
        await harness.until(lambda: not unread_ranges(harness))
        await harness.until(lambda: harness.status.reason is None)
        await harness.until(lambda: harness.status.complete_up_to > at(bad))

    assert harness.published() == ids(acme.all_records())
    assert len(before) + len(after) == 5


async def test_history_with_a_record_that_fails_each_page_is_read(acme, jira_fixture):
    """Backfill ends, and live polling is active; the missing record comes once it is served."""
    now = now_ms()
    history = [acme.add_record(created=now - 3 * DAY_MS + 60_000 * number) for number in range(10)]
    bad = history[4]
    acme.quirks.failing_records.add(bad["id"])
    harness = PollerHarness(acme, jira_fixture, backfill_from=now - 4 * DAY_MS)
    async with harness.running():
        await harness.until(lambda: isolated(harness, bad), 240)
        await harness.until(lambda: len(harness.published(TOPICS.backfill)) == 9, 90)
        await harness.until(lambda: harness.status.backfilled_to is None)
        acme.quirks.failing_records.clear()
        await harness.until(lambda: len(harness.published(TOPICS.backfill)) == 10, 90)

    assert harness.published(TOPICS.backfill) == ids(history)
    assert harness.published() == []


async def test_a_site_that_is_down_altogether_is_not_searched(acme, jira):
    """No unread range is opened, requests stay few, and all is published when it is back."""
    happened = acme.add_records(3, created=now_ms() - 10_000)
    async with jira_clients(jira, backoff=BACKOFF) as growing:
        harness = PollerHarness(acme, growing, added=now_ms() - 60_000)
        async with harness.running():
            await harness.until(lambda: harness.status.last_poll)
            down = acme.fault(faults.respond_with(500), rate=1.0)
            happened += acme.add_records(3)
            await harness.until(lambda: harness.status.state == "failing")
            requests = len(acme.requests())
            await asyncio.sleep(4)
            requests = len(acme.requests()) - requests
            during = unread_ranges(harness)
            down.cancel()
            await harness.until(lambda: len(harness.published()) == 6, 90)

    assert during == unread_ranges(harness) == ()
    assert requests < 40
    assert harness.published() == ids(happened)


SPOILT = {
    "no UTF-8": lambda raw: raw[:-1] + b',"x":"\xff\xfe"}',
    "not a number": lambda raw: raw[:-1] + b',"x":NaN}',
    "no brace": lambda raw: raw[:-1],
    "a quote too many": lambda raw: raw[:-1] + b'"}',
    "two braces": lambda raw: raw + b"}",
}


@pytest.mark.parametrize("name", SPOILT)
async def test_a_record_with_unreadable_bytes_is_a_dead_letter_alone(acme, jira_fixture, name):
    """The rest of its page is published, and its own bytes are kept as they came, once."""
    now = now_ms()
    records = [acme.add_record(created=now - 20_000 + number // 2) for number in range(6)]
    bad = records[3]
    raws = []

    def spoil(raw):
        raws.append(SPOILT[name](raw))
        return raws[-1]

    acme.quirks.broken_records[bad["id"]] = spoil
    harness = PollerHarness(acme, jira_fixture, added=now - 60_000)
    async with harness.running():
        await harness.until(lambda: len(harness.published()) == 5 and dead_letters(harness), 150)
        acme.add_record()
        await harness.until(lambda: len(harness.published()) == 6)
        await harness.until(lambda: not unread_ranges(harness))
        await harness.until(lambda: (harness.status.state, harness.status.reason) == ("active", None), 90)

    assert dead_letters(harness) == [raws[0].strip()]
    assert bad["id"] not in harness.published()
