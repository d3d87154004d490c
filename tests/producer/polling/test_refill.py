"""A poller that reads the window of a replay again, beside live polling."""

from types import SimpleNamespace

import pytest

from producer.polling.refill_reader import RefillReader
from producer.replays.jobs import RefillJobs
from producer.sources.purpose import Purpose
from producer.sources.window_result import WindowResult
from producer.state.intervals import TimeRange
from relay.replays.job import KnownReplay
from relay.replays.refill import replay_of
from relay.timestamps import DAY_MS, now_ms
from tests.support.poller import PollerHarness, ids
from tests.support.publisher import TOPICS
from tests.support.replays import replay_job


class Refilled(PollerHarness):
    """A poller with the jobs and the reports of refills."""

    def __init__(self, site, jira_fixture):
        super().__init__(site, jira_fixture)
        self.reports = []
        self.refills = RefillJobs(self._report)

    async def _report(self, progress):
        self.reports.append(progress)

    def ask(self, since, until, **changes):
        job = replay_job(
            content="refill",
            by="created",
            from_ms=since,
            to_ms=until,
            organizations=(self.organization.name,),
            **changes,
        )
        self.refills.take_over(SimpleNamespace(jobs={job.id: KnownReplay(job)}, unreadable={}))
        return job

    def is_done(self):
        return bool(self.reports) and self.reports[-1].state == "done"


async def test_each_record_of_the_window_is_published_again_and_no_other(acme, jira_fixture):
    """Of several days and pages; those that live polling published too. The report has their number."""
    acme.quirks.page_cap = 3
    now = now_ms()
    acme.add_record(created=now - 4 * DAY_MS)
    wanted = [acme.add_record(created=now - 3 * DAY_MS + n) for n in range(7)]
    wanted += [acme.add_record(created=now - DAY_MS)]
    harness = Refilled(acme, jira_fixture)
    async with harness.running():
        await harness.until(lambda: harness.status and harness.status.last_poll)
        live = [acme.add_record(), acme.add_record()]
        await harness.until(lambda: len(harness.published()) == 2)
        job = harness.ask(now - 3 * DAY_MS, now_ms())
        await harness.until(harness.is_done)
        later = acme.add_record()
        await harness.until(lambda: len(harness.published()) == 3)

    assert harness.published(TOPICS.backfill) == ids([*wanted, *live])
    assert {replay_of(one.headers) for one in harness.transactions.topics[TOPICS.backfill]} == {job.id}
    assert harness.published() == ids([*live, later])
    assert (harness.reports[-1].events, harness.reports[-1].reason) == (10, None)


async def test_a_refused_key_is_a_reason_of_the_replay_and_ends_no_refill(acme, jira_fixture):
    now = now_ms()
    wanted = [acme.add_record(created=now - 2_000)]
    harness = Refilled(acme, jira_fixture)
    async with harness.running():
        await harness.until(lambda: harness.status and harness.status.last_poll)
        jira_fixture.credentials.keys["acme"] = "wrong"
        harness.ask(now - 10_000, now)
        await harness.until(lambda: harness.reports and harness.reports[-1].reason)
        assert "acme cannot be read" in harness.reports[-1].reason
        jira_fixture.credentials.keys["acme"] = acme.token
        await harness.until(harness.is_done)
    assert harness.published(TOPICS.backfill) == ids(wanted)


async def test_cursors_of_ended_replays_are_forgotten_when_the_next_one_begins(acme, jira_fixture):
    now = now_ms()
    acme.add_record(created=now - 2_000)
    harness = Refilled(acme, jira_fixture)
    async with harness.running():
        await harness.until(lambda: harness.status and harness.status.last_poll)
        harness.ask(now - 10_000, now)
        await harness.until(harness.is_done)
        harness.reports.clear()
        second = harness.ask(now - 10_000, now, id="20261130-071500-0002")
        await harness.until(harness.is_done)
        checkpoint = harness.publisher.checkpoint("acme")
    assert [one.id for one in checkpoint.refills] == [second.id]
    assert len(harness.published(TOPICS.backfill)) == 2


@pytest.mark.parametrize(
    ("covered_end", "published"),
    [(200, [([150, 199], 200)]), (160, [([150], 160)]), (100, []), (40, [])],
    ids=["whole", "in part", "an answer about another time", "a clock before the window"],
)
async def test_a_part_is_published_as_far_as_it_was_read(covered_end, published):
    """No ledger knows events of a refill, so those behind that end would be published again by the next round."""
    found = []

    async def publish_refill(_name, part):
        found.append(([one["created"] for one in part.events], part.end))

    async def report(_reason):
        raise AssertionError("nothing was read to its end")

    context = SimpleNamespace(name="acme", publisher=SimpleNamespace(publish_refill=publish_refill))
    events = tuple({"created": created, "id": created} for created in (150, 199))
    window = TimeRange(100, 200)
    result = WindowResult(window, TimeRange(100, covered_end), events, (), 2, 0, proven=True)
    reader = RefillReader(context, replay_job(content="refill", from_ms=0, to_ms=300), report)
    await reader._take(result, Purpose.REFILL)
    assert found == published
