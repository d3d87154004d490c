import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from producer.metrics import Metrics
from producer.polling import poller as pollers
from producer.polling import window
from producer.polling.poller import Poller
from producer.polling.window import Rules
from producer.sources.jira_cloud import source as sites
from producer.state.checkpoint import Position, begin
from producer.status_reporter import Report, status_key
from relay.status.writer import StatusWriter
from relay.timestamps import DAY, now_ms, to_text
from simulators import faults
from simulators.jira_cloud import faults as jira_faults
from simulators.jira_cloud.world import JiraWorld
from tests.support.jira import asking
from tests.support.publisher import TOPICS, paper_desk

RULES = Rules(settle=200, overlap=60_000, day_every=2_000, week_every=DAY, late=7 * DAY)


class Following:
    """A poller of one simulated site, and all that it writes to."""

    def __init__(self, site, asked, **fields):
        self.site = site
        self.organization = asked.organization(site, **fields)
        self.asked = asked
        self.metrics = Metrics(CollectorRegistry())
        self.board = StatusWriter(None, "status")
        self.desk, self.publisher = paper_desk(now_ms, metrics=self.metrics)
        self.rules = RULES

    @property
    def status(self):
        return self.board.last_put(status_key(self.organization.name))

    @asynccontextmanager
    async def running(self, interval=0.2):
        report = Report(self.organization, self.board, self.metrics, now_ms, interval, self.status)
        poller = Poller(
            self.organization,
            self.desk,
            self.asked.sites.of(self.organization),
            report,
            self.metrics,
            self.rules,
            interval,
            now_ms,
        )
        task = asyncio.create_task(poller.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait({task}, timeout=5)
            assert task.done()

    def published(self, topic=TOPICS.events):
        return sorted(self.publisher.ids(topic))

    async def until(self, condition, seconds=15):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, (self.status, self.published())
            await asyncio.sleep(0.05)


def ids(records):
    return sorted(record["id"] for record in records)


@pytest.fixture
async def jira():
    async with JiraWorld(seed=9) as world:
        yield world


@pytest.fixture
async def acme(jira):
    return await jira.add_site("acme")


@pytest.fixture
async def asked(jira, monkeypatch):
    monkeypatch.setattr(sites, "FIRST_SECONDS", dict.fromkeys(sites.FIRST_SECONDS, 0.4))
    monkeypatch.setattr(sites, "REFUSED_LOGIN_SECONDS", 0.4)
    monkeypatch.setattr(pollers, "REFUSED_SECONDS", 0.1)
    monkeypatch.setattr(pollers, "DEFECT_SECONDS", 0.4)
    monkeypatch.setattr(pollers, "REREAD_LOOK_SECONDS", 0.3)
    monkeypatch.setattr(pollers, "BACKFILL_LOOK_SECONDS", 0.3)
    async with asking(jira) as found:
        yield found


async def test_what_happens_after_adding_is_live_however_late_we_come(acme, asked):
    """Between the adding of an organization and the first contact nothing is skipped, and what was before is history."""
    added = now_ms() - 60_000
    acme.happen(created=added - 1_000)
    since = [acme.happen(created=added), acme.happen(created=added + 30_000)]
    following = Following(acme, asked, added=added)
    async with following.running():
        since.append(acme.happen())
        await following.until(lambda: len(following.published()) >= 3)

    assert following.published() == ids(since)
    assert {event["mode"] for event in following.publisher.events()} == {"live"}


async def test_a_clock_ahead_of_jiras_skips_nothing(acme, asked):
    """Ten minutes ahead at the first contact: what happens next is live, what was before is history, and the skew has a name."""
    acme.manners.clock_skew_seconds = -600
    acme.happen(created=now_ms() - 900_000)
    following = Following(acme, asked, added=now_ms() - 600_000)
    happened = [acme.happen()]
    async with following.running():
        await following.until(lambda: following.status.last_poll)
        for _ in range(5):
            happened += acme.happen_many(2)
            await asyncio.sleep(0.3)
        await following.until(lambda: len(following.published()) >= len(happened))
        reason = following.status.reason

    assert following.published() == ids(happened)
    assert {event["mode"] for event in following.publisher.events()} == {"live"}
    assert "10 min ahead of Jira's" in reason


async def test_a_clock_behind_jiras_is_told(acme, asked):
    """It makes events late, and loses none; the state says why, and history is not taken for live."""
    acme.manners.clock_skew_seconds = 600
    added = now_ms() + 600_000
    following = Following(acme, asked, added=added)
    async with following.running():
        await following.until(lambda: following.status.last_poll)

    assert "10 min behind Jira's" in following.status.reason
    assert following.desk.checkpoint("acme").live_since > added - 2_000


async def test_a_clock_that_leaps_ahead_and_back_skips_nothing(acme, asked, monkeypatch):
    """A checkpoint from the future is set back; what happened meanwhile is published once."""
    leap = [0]
    monkeypatch.setattr(f"{__name__}.now_ms", lambda: int(time.time() * 1000) + leap[0])
    following = Following(acme, asked)
    happened = []
    async with following.running():
        for milliseconds in (0, 3_600_000, 7_200_000, 0, -3_600_000, 0):
            leap[0] = milliseconds
            happened += acme.happen_many(2)
            await asyncio.sleep(0.5)
        await following.until(lambda: len(following.published()) >= len(happened))

    assert following.published() == ids(happened)


async def test_a_clock_before_all_that_may_be_asked_for_is_told(acme, asked, monkeypatch):
    """As of a machine that was restored from an old snapshot: there is no window, but Jira is asked, and a key that it refuses is
    not called active.
    """
    known = begin("acme", now_ms(), now=now_ms(), cloud_id=acme.cloud_id)
    monkeypatch.setattr(f"{__name__}.now_ms", lambda: int(time.time() * 1000) - 2 * DAY)
    asked.sites._now_ms = now_ms
    following = Following(acme, asked)
    following.rules = replace(RULES, day_every=DAY)
    await following.desk.write("acme", lambda _: known)
    async with following.running():
        await following.until(lambda: following.status.last_poll)
        reason = following.status.reason
        asked.keys.keys["acme"] = "wrong"
        await following.until(lambda: following.status.state == "failing")

    assert "2880 min behind Jira's" in reason


async def test_a_refused_key_is_tried_less_and_less_often(acme, asked):
    """Also while re-reads and history look at the clock and find nothing to ask: that is no answer of Jira's."""
    following = Following(acme, asked)
    following.rules = replace(RULES, day_every=DAY)
    async with following.running():
        await following.until(lambda: following.status.last_poll)
        asked.keys.keys["acme"] = "wrong"
        await following.until(lambda: following.status.state == "failing")
        before = len(acme.requests())
        await asyncio.sleep(4)

    assert len(acme.requests()) - before <= 4


async def test_a_defect_in_one_of_the_three_ends_none_of_the_others(acme, asked, monkeypatch):
    """It is told on the board, with a name, and live polling goes on."""

    def broken(*_arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(window, "deep", broken)
    following = Following(acme, asked)
    states = set()
    async with following.running():
        await following.until(lambda: following.status.last_poll)
        happened = acme.happen_many(3)
        await following.until(lambda: states.add(following.status.reason) or following.published())
        await following.until(lambda: states.add(following.status.reason) or len(states) > 1)

    assert following.published() == ids(happened)
    assert any(reason and "defect of the relay (ZeroDivisionError)" in reason for reason in states)


async def test_a_cancellation_from_inside_ends_no_loop(acme, asked, monkeypatch):
    """A library that cancels what it should have answered does not end live polling without a word."""
    once = [asyncio.CancelledError()]
    live = window.live

    def interrupted(*arguments):
        if once:
            raise once.pop()
        return live(*arguments)

    monkeypatch.setattr(window, "live", interrupted)
    following = Following(acme, asked)
    async with following.running():
        await following.until(lambda: not once)
        happened = [acme.happen()]
        await following.until(following.published)

    assert following.published() == ids(happened)


async def test_a_broken_desk_ends_all_of_it_at_once(acme, asked):
    """The poller of a shard that is opened anew ends by itself, and says why."""
    following = Following(acme, asked)
    async with following.running() as task:
        await following.until(lambda: following.status.last_poll)
        following.desk.broken.set()
        acme.happen()
        await asyncio.wait({task}, timeout=5)

    assert type(task.exception()).__name__ == "DeskClosedError"


async def test_an_empty_log_is_not_called_active_before_it_is_proven(acme, asked):
    """A dead token that is answered with 200 and nothing stays a failure, round after round, and no cursor moves."""
    following = Following(acme, asked)
    async with following.running():
        await following.until(lambda: following.status.last_poll)
    before = following.desk.checkpoint("acme")
    _dead_token(acme)
    following.rules = replace(RULES, day_every=DAY)
    async with following.running():
        await following.until(lambda: following.status.state == "failing")
        states = set()
        for _ in range(30):
            states.add(following.status.state)
            await asyncio.sleep(0.05)

    assert states == {"failing"}
    assert following.desk.checkpoint("acme").window_end == before.window_end


def _dead_token(site):
    """Every window is empty, without a word; only the probe is told that nobody knows us."""
    empty = faults.answer(200, '{"offset":0,"limit":1000,"total":0,"records":[]}')
    return [
        site.script.add(empty, rate=1.0, only=lambda request: "from" in request.query),
        site.script.add(jira_faults.anonymous(), rate=1.0, only=lambda request: "offset" in request.query),
    ]


async def test_history_is_covered_by_proven_answers_alone(acme, asked):
    """Empty days count as read only after Jira has shown that it answers; what comes to light later is published."""
    now = now_ms()
    acme.fill(20, now - 5 * DAY, now - 2 * DAY)
    wanted = ids(acme.truth())
    following = Following(acme, asked, backfill_from=now - 6 * DAY)
    await following.desk.write("acme", lambda _: begin("acme", now, now=now))
    hidden = _dead_token(acme)
    async with following.running():
        await asyncio.sleep(2)
        assert following.desk.checkpoint("acme").backfilled == ()
        for line in hidden:
            line.cancel()
        await following.until(lambda: len(following.published(TOPICS.backfill)) >= 20)
        await following.until(lambda: following.status.backfilled_to is None)

    assert following.published(TOPICS.backfill) == wanted
    assert following.published() == []


async def test_deleting_and_adding_again_repeats_nothing(acme, asked):
    """Progress is kept: what was published is known, what happened meanwhile is found, a longer history adds the rest."""
    now = now_ms()
    acme.fill(30, now - 6 * DAY, now - DAY)
    following = Following(acme, asked, backfill_from=now - 3 * DAY)
    async with following.running():
        await following.until(lambda: following.status.last_poll)
        acme.happen_many(3)
        await following.until(lambda: len(following.published()) == 3)
        await following.until(
            lambda: following.status.backfilled_to is None and following.published(TOPICS.backfill)
        )
    acme.happen_many(4)
    following.organization = replace(following.organization, backfill_from=now - 10 * DAY, added=now_ms())
    async with following.running():
        await following.until(lambda: len(following.published()) == 7)
        await following.until(lambda: len(following.published(TOPICS.backfill)) >= 30)
        await asyncio.sleep(0.5)

    assert sorted(following.published() + following.published(TOPICS.backfill)) == ids(acme.truth())


async def test_a_quiet_organization_moves_on(acme, asked, monkeypatch):
    """Where all rows in the overlap are known, or there are none, the checkpoint still moves every five minutes."""
    monkeypatch.setattr(window, "PROBE_EVERY", 500)
    following = Following(acme, asked)
    async with following.running():
        acme.happen()
        await following.until(following.published)
        known = following.desk.checkpoint("acme").window_end
        await following.until(lambda: following.desk.checkpoint("acme").window_end > known + 500)
        acme.expire(1)
        empty = following.desk.checkpoint("acme").window_end
        acme.happen(created=now_ms() - 30 * DAY)
        await following.until(lambda: following.desk.checkpoint("acme").window_end > empty + 500)

    assert len(following.published()) == 1


@pytest.mark.parametrize("kept_days", [1, 5], ids=["a gap", "no gap"])
async def test_what_jira_no_longer_keeps_after_an_outage_is_named_once(acme, asked, monkeypatch, kept_days):
    """A relay that was away for four days, or one that ran with a refused key: from when to when, however often the round after
    it fails.
    """
    now, log = now_ms(), []
    monkeypatch.setattr(Metrics, "gap", lambda _self, *named: log.append(named))
    oldest = acme.happen(created=now - kept_days * DAY)
    known = replace(begin("acme", now - 4 * DAY, now=now), last_event=Position(0, 1))
    following = Following(acme, asked)
    await following.desk.write("acme", lambda _: known)
    acme.script.add(faults.answer(403), times=2, only=lambda request: "from" in request.query)
    async with following.running():
        await following.until(lambda: following.status.last_poll)
        asked.keys.keys["acme"] = "wrong"
        await following.until(lambda: following.status.state == "failing")
        await following.desk.write("acme", lambda _: known)
        asked.keys.keys["acme"] = acme.token
        polled = following.status.last_poll
        await following.until(lambda: following.status.last_poll > polled)
        await asyncio.sleep(0.5)

    gap = ("acme", to_text(known.window_end), oldest["created"].replace("+0000", "Z"))
    assert log == ([gap] * 2 if kept_days == 1 else [])


async def test_an_organization_without_a_cloud_id_is_bound_when_it_tells(acme, asked):
    """A checkpoint that was begun before the site told who it is learns it later."""
    following = Following(acme, asked)
    await following.desk.write("acme", lambda _: begin("acme", now_ms(), now=now_ms()))
    async with following.running():
        await following.until(lambda: following.status.last_poll)

    assert following.desk.checkpoint("acme").cloud_id == acme.cloud_id


async def test_a_walk_of_many_pages_goes_on_where_it_failed(acme, asked):
    """Where every other answer is broken, a window of ten pages is read all the same."""
    acme.manners.page_cap = 10
    happened = acme.happen_many(100, created=now_ms() - 30_000)
    asks = [0]

    def every_other(request):
        asks[0] += "from" in request.query
        return "from" in request.query and asks[0] % 2 == 0

    acme.script.add(jira_faults.unavailable(), rate=1.0, only=every_other)
    following = Following(acme, asked, added=now_ms() - 60_000)
    async with following.running():
        await following.until(lambda: len(following.published()) >= 100, 60)

    assert following.published() == ids(happened)


async def test_an_answer_that_is_too_large_even_alone_is_no_tight_loop(acme, asked, monkeypatch):
    """One record above all bounds is a failure that waits like others."""
    monkeypatch.setattr("producer.sources.jira_cloud.client.MOST_BYTES", 1_000)
    acme.happen(fields={"summary": "x" * 2_000})
    following = Following(acme, asked, added=now_ms() - 60_000)
    async with following.running():
        await following.until(lambda: following.status.state == "failing")
        before = len(acme.requests())
        await asyncio.sleep(1)

    assert len(acme.requests()) - before < 40
