"""Polling a simulated site: what is published, what moves the checkpoint, and what ends a loop."""

import asyncio
from dataclasses import replace

import pytest

from producer.metrics import ProducerMetrics
from producer.polling import window
from producer.sources.jira_cloud.request import RequestLimits
from producer.sources.jira_cloud.window_reader import JiraCloudLimits
from producer.state.checkpoint import EventPosition, new_checkpoint
from relay.timestamps import DAY_MS, now_ms, to_iso
from simulators import faults
from simulators.jira_cloud import faults as jira_faults
from tests.support.jira import jira_clients
from tests.support.poller import BACKOFF, CONFIG, PollerHarness, ids
from tests.support.publisher import TOPICS


async def test_records_created_after_adding_are_live_on_a_late_first_contact(acme, jira_fixture):
    """Live begins when the organization was added; earlier records are backfill."""
    added = now_ms() - 60_000
    acme.add_record(created=added - 1_000)
    since = [acme.add_record(created=added), acme.add_record(created=added + 30_000)]
    harness = PollerHarness(acme, jira_fixture, added=added)
    async with harness.running():
        since.append(acme.add_record())
        await harness.until(lambda: len(harness.published()) >= 3)

    assert harness.published() == ids(since)
    assert {event["mode"] for event in harness.transactions.events()} == {"live"}


async def test_a_refused_key_is_tried_less_and_less_often(acme, jira_fixture):
    """A re-read or backfill that has nothing to ask for does not reset the back-off."""
    harness = PollerHarness(acme, jira_fixture)
    harness.config = replace(CONFIG, reread_day_every_ms=DAY_MS)
    async with harness.running():
        await harness.until(lambda: harness.status.last_poll)
        jira_fixture.credentials.keys["acme"] = "wrong"
        await harness.until(lambda: harness.status.state == "failing")
        before = len(acme.requests())
        await asyncio.sleep(4)

    assert len(acme.requests()) - before <= 4


async def test_a_defect_in_one_loop_ends_no_other_loop(acme, jira_fixture, monkeypatch):
    """The status reports the defect by name, and live polling continues."""

    def fail(*_arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(window, "reread", fail)
    harness = PollerHarness(acme, jira_fixture)
    states = set()
    async with harness.running():
        await harness.until(lambda: harness.status.last_poll)
        happened = acme.add_records(3)
        await harness.until(lambda: states.add(harness.status.reason) or harness.published())
        await harness.until(lambda: states.add(harness.status.reason) or len(states) > 1)

    assert harness.published() == ids(happened)
    assert any(reason and "defect of the relay (ZeroDivisionError)" in reason for reason in states)


async def test_a_cancellation_from_inside_a_library_ends_no_loop(acme, jira_fixture, monkeypatch):
    """Live polling continues after a library cancels its own answer."""
    once = [asyncio.CancelledError()]
    live = window.live

    def interrupted(*arguments):
        if once:
            raise once.pop()
        return live(*arguments)

    monkeypatch.setattr(window, "live", interrupted)
    harness = PollerHarness(acme, jira_fixture)
    async with harness.running():
        await harness.until(lambda: not once)
        happened = [acme.add_record()]
        await harness.until(harness.published)

    assert harness.published() == ids(happened)


async def test_a_failed_publisher_ends_every_loop_at_once(acme, jira_fixture):
    """The poller ends with the publisher's error."""
    harness = PollerHarness(acme, jira_fixture)
    async with harness.running() as task:
        await harness.until(lambda: harness.status.last_poll)
        harness.publisher.failed.set()
        acme.add_record()
        await asyncio.wait({task}, timeout=120)

    assert type(task.exception()).__name__ == "ShardClosedError"


async def test_an_empty_log_is_active_only_with_proof(acme, jira_fixture):
    """An expired token with empty answers stays a failure in each round and moves no cursor."""
    harness = PollerHarness(acme, jira_fixture)
    async with harness.running():
        await harness.until(lambda: harness.status.last_poll)
    before = harness.publisher.checkpoint("acme")
    _dead_token(acme)
    harness.config = replace(CONFIG, reread_day_every_ms=DAY_MS)
    async with harness.running():
        await harness.until(lambda: harness.status.state == "failing")
        states = set()
        for _ in range(30):
            states.add(harness.status.state)
            await asyncio.sleep(0.05)

    assert states == {"failing"}
    assert harness.publisher.checkpoint("acme").window_end == before.window_end


def _dead_token(site):
    """Make every window empty; only the probe shows that Jira does not know the account."""
    empty = faults.respond_with(200, '{"offset":0,"limit":1000,"total":0,"records":[]}')
    return [
        site.script.add(empty, rate=1.0, only=lambda request: "from" in request.query),
        site.script.add(jira_faults.anonymous(), rate=1.0, only=lambda request: "offset" in request.query),
    ]


async def test_backfill_covers_only_proven_answers(acme, jira_fixture):
    """Empty days are covered only with proof; the poller publishes records that appear later."""
    now = now_ms()
    acme.add_history(20, now - 5 * DAY_MS, now - 2 * DAY_MS)
    wanted = ids(acme.all_records())
    harness = PollerHarness(acme, jira_fixture, backfill_from=now - 6 * DAY_MS)
    await harness.publisher.write_checkpoint("acme", lambda _: new_checkpoint("acme", now, now=now))
    hidden = _dead_token(acme)
    async with harness.running():
        await asyncio.sleep(2)
        assert harness.publisher.checkpoint("acme").backfilled == ()
        for fault in hidden:
            fault.cancel()
        await harness.until(lambda: len(harness.published(TOPICS.backfill)) >= 20)
        await harness.until(lambda: harness.status.backfilled_to is None)

    assert harness.published(TOPICS.backfill) == wanted
    assert harness.published() == []


async def test_deleting_and_adding_again_repeats_nothing(acme, jira_fixture):
    """Progress survives: known records stay out, new ones come in, a longer backfill adds the rest."""
    now = now_ms()
    acme.add_history(30, now - 6 * DAY_MS, now - DAY_MS)
    harness = PollerHarness(acme, jira_fixture, backfill_from=now - 3 * DAY_MS)
    async with harness.running():
        await harness.until(lambda: harness.status.last_poll)
        acme.add_records(3)
        await harness.until(lambda: len(harness.published()) == 3)
        await harness.until(
            lambda: harness.status.backfilled_to is None and harness.published(TOPICS.backfill)
        )
    acme.add_records(4)
    harness.organization = replace(harness.organization, backfill_from=now - 10 * DAY_MS, added=now_ms())
    async with harness.running():
        await harness.until(lambda: len(harness.published()) == 7)
        await harness.until(lambda: len(harness.published(TOPICS.backfill)) >= 30)
        await asyncio.sleep(0.5)

    assert sorted(harness.published() + harness.published(TOPICS.backfill)) == ids(acme.all_records())


async def test_the_checkpoint_of_a_quiet_organization_moves(acme, jira_fixture):
    """The checkpoint moves every five minutes when a window holds no new record."""
    harness = PollerHarness(acme, jira_fixture)
    harness.config = replace(CONFIG, proof_every_ms=500)
    async with harness.running():
        acme.add_record()
        await harness.until(harness.published)
        known = harness.publisher.checkpoint("acme").window_end
        await harness.until(lambda: harness.publisher.checkpoint("acme").window_end > known + 500)
        acme.expire_oldest(1)
        empty = harness.publisher.checkpoint("acme").window_end
        acme.add_record(created=now_ms() - 30 * DAY_MS)
        await harness.until(lambda: harness.publisher.checkpoint("acme").window_end > empty + 500)

    assert len(harness.published()) == 1


@pytest.mark.parametrize("kept_days", [1, 5], ids=["a gap", "no gap"])
async def test_a_gap_after_an_outage_is_reported_once(acme, jira_fixture, monkeypatch, kept_days):
    """The poller reports the start and the end of the gap once, however often the next round fails."""
    now, log, reports = now_ms(), [], int(kept_days == 1)
    monkeypatch.setattr(ProducerMetrics, "gap_found", lambda _self, *named: log.append(named))
    oldest = acme.add_record(created=now - kept_days * DAY_MS)
    known = replace(new_checkpoint("acme", now - 4 * DAY_MS, now=now), last_event=EventPosition(0, 1))
    known = replace(known, day_mark=now, week_mark=now)
    harness = PollerHarness(acme, jira_fixture)
    # No re-read is due: one under way while the checkpoint is set back would carry it past the second outage.
    harness.config = replace(CONFIG, reread_day_every_ms=DAY_MS)
    await harness.publisher.write_checkpoint("acme", lambda _: known)
    acme.script.add(faults.respond_with(403), times=2, only=lambda request: "from" in request.query)
    async with harness.running():
        await harness.until(lambda: harness.status.last_poll and len(log) >= reports)
        jira_fixture.credentials.keys["acme"] = "wrong"
        await harness.until(lambda: harness.status.state == "failing")
        await harness.publisher.write_checkpoint("acme", lambda _: known)
        jira_fixture.credentials.keys["acme"] = acme.token
        polled = harness.status.last_poll
        await harness.until(lambda: harness.status.last_poll > polled and len(log) >= 2 * reports)
        await asyncio.sleep(0.5)

    gap = ("acme", to_iso(known.window_end), oldest["created"].replace("+0000", "Z"))
    assert log == [gap] * 2 * reports


async def test_an_organization_without_a_cloud_id_is_bound_when_the_site_reports_it(acme, jira_fixture):
    """A checkpoint without a cloud id receives it later."""
    harness = PollerHarness(acme, jira_fixture)
    await harness.publisher.write_checkpoint("acme", lambda _: new_checkpoint("acme", now_ms(), now=now_ms()))
    async with harness.running():
        await harness.until(lambda: harness.status.last_poll)

    assert harness.publisher.checkpoint("acme").cloud_id == acme.cloud_id


async def test_a_window_of_many_pages_continues_where_it_failed(acme, jira_fixture):
    """The poller reads a window of ten pages though every other answer is broken."""
    acme.quirks.page_cap = 10
    happened = acme.add_records(100, created=now_ms() - 30_000)
    requests = [0]

    def every_other(request):
        requests[0] += "from" in request.query
        return "from" in request.query and requests[0] % 2 == 0

    acme.script.add(jira_faults.unavailable(), rate=1.0, only=every_other)
    harness = PollerHarness(acme, jira_fixture, added=now_ms() - 60_000)
    async with harness.running():
        await harness.until(lambda: len(harness.published()) >= 100, 60)

    assert harness.published() == ids(happened)


async def test_a_single_record_above_the_size_limit_causes_no_tight_loop(jira, acme):
    """The poller backs off after a record above all limits, names its time, and polls on."""
    acme.add_record(fields={"summary": "x" * 2_000})
    limits = JiraCloudLimits(request=RequestLimits(max_bytes=1_000))
    async with jira_clients(jira, backoff=BACKOFF, limits=limits) as found:
        harness = PollerHarness(acme, found, added=now_ms() - 60_000)
        known = new_checkpoint("acme", now_ms() - 60_000, now=now_ms(), cloud_id=acme.cloud_id)
        await harness.publisher.write_checkpoint(
            "acme", lambda _: known
        )  # a checkpoint, so that no probe fails first
        async with harness.running():
            await harness.until(lambda: harness.publisher.checkpoint("acme").unread_ranges, 30)
            before = len(acme.requests())
            await asyncio.sleep(1)

    assert len(acme.requests()) - before < 40


@pytest.mark.parametrize(
    "fault", [faults.respond_with(403), jira_faults.server_error(), faults.reset()], ids=lambda one: one.name
)
async def test_refused_history_holds_up_no_live_event(acme, jira_fixture, fault):
    """Jira refuses each request for history; live events arrive as before, and the status says what is refused."""
    now = now_ms()
    acme.add_history(5, now - 3 * DAY_MS, now - 2 * DAY_MS)
    harness = PollerHarness(acme, jira_fixture, backfill_from=now - 4 * DAY_MS)
    live_from = to_iso(now - 30 * 60_000)
    history = acme.script.add(
        fault, rate=1.0, only=lambda request: request.query.get("from", live_from) < live_from
    )
    async with harness.running():
        await harness.until(lambda: history.played >= 2)
        happened = acme.add_records(3)
        await harness.until(lambda: len(harness.published()) == 3, 30)
        await harness.until(lambda: "History: " in (harness.status.reason or ""))
        state = harness.status.state
        history.cancel()
        await harness.until(lambda: len(harness.published(TOPICS.backfill)) == 5)
        await harness.until(lambda: harness.status.reason is None)

    assert harness.published() == ids(happened)
    assert state == "active"
