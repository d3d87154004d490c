"""Polling while the local clock and Jira's differ."""

import asyncio
from dataclasses import replace

from producer.state.checkpoint import new_checkpoint
from relay.timestamps import DAY_MS, now_ms
from tests.support.poller import CONFIG, PollerHarness, ids


async def test_a_clock_ahead_of_jiras_skips_nothing(acme, jira_fixture):
    """At ten minutes ahead, new records are live, older ones are backfill, and the status reports the skew."""
    acme.quirks.clock_skew_seconds = -600
    acme.add_record(created=now_ms() - 900_000)
    harness = PollerHarness(acme, jira_fixture, added=now_ms() - 600_000)
    happened = [acme.add_record()]
    async with harness.running():
        await harness.until(lambda: harness.status.last_poll)
        for _ in range(5):
            happened += acme.add_records(2)
            await asyncio.sleep(0.3)
        await harness.until(lambda: len(harness.published()) >= len(happened))
        reason = harness.status.reason

    assert harness.published() == ids(happened)
    assert {event["mode"] for event in harness.transactions.events()} == {"live"}
    assert "10 min ahead of the source's" in reason


async def test_a_clock_behind_jiras_is_reported(acme, jira_fixture):
    """Events become late and none is lost; the status gives the reason, and backfill does not become live."""
    acme.quirks.clock_skew_seconds = 600
    added = now_ms() + 600_000
    harness = PollerHarness(acme, jira_fixture, added=added)
    async with harness.running():
        await harness.until(lambda: harness.status.last_poll)

    assert "10 min behind the source's" in harness.status.reason
    assert harness.publisher.checkpoint("acme").live_since > added - 2_000


async def test_a_clock_that_leaps_ahead_and_back_skips_nothing(acme, jira_fixture):
    """The poller sets back a checkpoint from the future and publishes the records since then once."""
    leap = [0]
    harness = PollerHarness(acme, jira_fixture)
    harness.clock = lambda: now_ms() + leap[0]
    happened = []
    async with harness.running():
        for milliseconds in (0, 3_600_000, 7_200_000, 0, -3_600_000, 0):
            leap[0] = milliseconds
            happened += acme.add_records(2)
            await asyncio.sleep(0.5)
        await harness.until(lambda: len(harness.published()) >= len(happened))

    assert harness.published() == ids(happened)


async def test_a_clock_before_the_earliest_window_is_reported(acme, jira_fixture):
    """The poller has no window, yet it asks Jira and reports a refused key."""
    known = new_checkpoint("acme", now_ms(), now=now_ms(), cloud_id=acme.cloud_id)
    harness = PollerHarness(acme, jira_fixture)
    harness.clock = jira_fixture.clock = lambda: now_ms() - 2 * DAY_MS
    harness.config = replace(CONFIG, reread_day_every_ms=DAY_MS)
    await harness.publisher.write_checkpoint("acme", lambda _: known)
    async with harness.running():
        await harness.until(lambda: harness.status.last_poll)
        reason = harness.status.reason
        jira_fixture.credentials.keys["acme"] = "wrong"
        await harness.until(lambda: harness.status.state == "failing")

    assert "2880 min behind the source's" in reason
