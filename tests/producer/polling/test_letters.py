"""A poller that redrives the dead letters of its organization, beside live polling."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from producer.polling.letters import GONE, LetterRedriver
from producer.publishing.letters import CLOCK_MARGIN_MS, EventsUnavailableError, PublishedEvents
from producer.replays.jobs import RefillJobs
from producer.state.checkpoint import EventTime
from relay.replays.job import KnownReplay
from relay.replays.refill import RefillProgress
from relay.replays.unreadable import PUBLISHED_BEFORE, progress_of_reports
from relay.timestamps import DAY_MS, now_ms, to_iso
from tests.support.poller import PollerHarness
from tests.support.replays import replay_job
from tests.support.unreadable_letters import LettersInMemory


class Redriven(PollerHarness):
    """A poller with the letters, the jobs and the reports of redrives."""

    def __init__(self, site, jira_fixture, **fields):
        super().__init__(site, jira_fixture, added=now_ms() - 3_600_000, **fields)
        self.reports = []
        self.jobs = RefillJobs(self._report, content="unreadable")
        self.topic = LettersInMemory(self.transactions)
        self.searches = []
        self.search_failures = 0
        self.on_topics = PublishedEvents(set(), 0, 0)
        self.redriver = LetterRedriver(self.jobs, self.topic.letters, self._search, pause_seconds=0.05)

    async def _report(self, progress):
        self.reports.append(RefillProgress.from_value(progress.to_value()))

    async def _search(self, organization, partition, ids, since):
        self.searches.append((organization, partition, sorted(ids), since))
        if self.search_failures:
            self.search_failures -= 1
            raise EventsUnavailableError("no answer")
        return self.on_topics

    def ask(self, **changes):
        job = replay_job(
            content="unreadable",
            organizations=(self.organization.name,),
            ranges=self.topic.ranges(),
            **changes,
        )
        self.tell(job)
        return job

    def tell(self, job):
        self.jobs.take_over(SimpleNamespace(jobs={job.id: KnownReplay(job)}, unreadable={}))

    def done(self):
        return self.reports and self.reports[-1].ended and self.reports[-1]


def record(number, age_ms=1_000, **fields):
    return json.dumps({"id": number, "created": to_iso(now_ms() - age_ms), **fields}).encode()


async def test_records_that_todays_code_reads_are_published_and_the_rest_is_counted(acme, jira_fixture):
    """Letter by letter: published, known from live polling, still unreadable. Live polling goes on beside it."""
    harness = Redriven(acme, jira_fixture)
    async with harness.running():
        live = acme.add_record()
        await harness.until(lambda: len(harness.published()) == 1)
        harness.topic.put(record(1001), b'{"id":', record(1002), b'{"id": 5}', b"[]")
        job = harness.ask()
        await harness.until(harness.done)
        later = acme.add_record()
        await harness.until(lambda: len(harness.published()) == 4)
    assert set(harness.published()) == {1001, 1002, live["id"], later["id"]}
    assert list(harness.topic.states().values()) == ["redriven", "open", "redriven", "open", "open"]
    report = harness.done()
    assert (report.id, report.events, report.known, report.unreadable) == (job.id, 2, 0, 3)
    assert {each.reason: each.count for each in report.skips} == {
        "the JSON of the record is broken": 1,
        "the record has no readable created": 1,
        "the record is not a JSON object": 1,
    }


async def test_a_second_owner_finds_what_is_done_and_counts_it(acme, jira_fixture):
    """The marks are on the topic, and nothing is published again; a letter that was known stays counted as known."""
    harness = Redriven(acme, jira_fixture)
    letters = [record(1000 + n) for n in range(7)]
    harness.topic.put(*letters, letters[3])  # the very same record: with another time it would be another one
    async with harness.running():
        job = harness.ask()
        await harness.until(harness.done)
    second = LetterRedriver(harness.jobs, harness.topic.letters, harness._search)
    harness.redriver, first = second, harness.done()
    harness.reports.clear()
    harness.jobs = second.jobs = RefillJobs(harness._report, content="unreadable")
    harness.tell(job)
    async with harness.running():
        await harness.until(harness.done)
    again = harness.done()
    assert (again.events, again.known, again.unreadable) == (first.events, first.known, 0) == (7, 1, 0)
    assert harness.published() == list(range(1000, 1007))
    progress = progress_of_reports(job, {"acme": again.to_value()})
    assert (progress.state, progress.sent, progress.skipped) == ("done", 7, 1)
    assert progress.skips[0].reason == PUBLISHED_BEFORE


async def test_old_records_are_looked_for_on_the_topics_first(acme, jira_fixture):
    """A failure of the search is named and tried again; what was found is only marked."""
    harness = Redriven(acme, jira_fixture)
    old = now_ms() - 20 * DAY_MS
    harness.topic.put(record(1), *(json.dumps({"id": n, "created": to_iso(old)}).encode() for n in (2, 3)))
    harness.on_topics = PublishedEvents({EventTime(old, 3)}, 0, 0)
    harness.search_failures = 1
    async with harness.running():
        await harness.until(lambda: harness.status and harness.status.last_poll)
        times = {"live_since": old - DAY_MS, "ledgers_from": now_ms() - 7 * DAY_MS}
        await harness.publisher.write_checkpoint("acme", lambda known: replace(known, **times))
        harness.ask()
        await harness.until(harness.done)
    # A release that could read them may have published them before another one wrote their letters.
    assert harness.searches == [("acme", 0, [2, 3], old - CLOCK_MARGIN_MS)] * 2
    assert set(harness.published()) >= {1, 2}
    assert 3 not in harness.published()
    report = harness.done()
    assert (report.events, report.known, report.unreadable) == (2, 1, 0)
    assert any("no answer" in (each.reason or "") for each in harness.reports)


async def test_a_letter_that_kafka_deletes_during_the_search_is_counted(acme, jira_fixture):
    harness = Redriven(acme, jira_fixture)
    old = now_ms() - 20 * DAY_MS
    harness.topic.put(*(json.dumps({"id": n, "created": to_iso(old)}).encode() for n in (2, 3)))

    async def search(*_wanted):
        harness.topic.start = 1
        return harness.on_topics

    harness.redriver = LetterRedriver(harness.jobs, harness.topic.letters, search)
    async with harness.running():
        await harness.until(lambda: harness.status and harness.status.last_poll)
        times = {"live_since": old - DAY_MS, "ledgers_from": now_ms() - 7 * DAY_MS}
        await harness.publisher.write_checkpoint("acme", lambda known: replace(known, **times))
        harness.ask()
        await harness.until(harness.done)
    report = harness.done()
    assert (harness.published(), report.events, report.unreadable) == ([3], 1, 1)
    assert [(each.reason, each.count) for each in report.skips] == [(GONE, 1)]


async def test_the_end_is_written_again_where_the_report_of_a_former_owner_came_later(acme, jira_fixture):
    """Other organizations of the job go on, so nobody but this producer would ever end its part."""
    harness = Redriven(acme, jira_fixture)
    harness.topic.put(record(1))
    async with harness.running():
        job = harness.ask()
        await harness.until(harness.done)
        late = replace(harness.done(), state="running").to_value()
        harness.reports.clear()
        known = KnownReplay(job, producers={harness.organization.name: late})
        harness.jobs.take_over(SimpleNamespace(jobs={job.id: known}, unreadable={}))
        await harness.until(harness.done)
    assert (harness.done().events, harness.published()) == (1, [1])


@pytest.mark.parametrize("wished", ["paused", "cancelled"])
async def test_a_job_that_is_not_wished_now_publishes_nothing_more(acme, jira_fixture, wished):
    harness = Redriven(acme, jira_fixture)
    harness.topic.put(record(1))
    job = harness.ask(wished=wished)
    async with harness.running():
        live = acme.add_record()
        await harness.until(lambda: harness.published() == [live["id"]])
    assert harness.topic.states() == {0: "open"}
    assert harness.reports == []
    assert progress_of_reports(job, {}).state == wished


async def test_letters_that_cannot_be_read_now_are_a_reason_and_are_read_later(acme, jira_fixture):
    harness = Redriven(acme, jira_fixture)
    harness.topic.put(record(1))
    harness.topic.failures = 2
    async with harness.running():
        harness.ask()
        await harness.until(harness.done)
    assert any("of acme cannot be read" in (each.reason or "") for each in harness.reports)
    assert (harness.published(), harness.done().reason) == ([1], None)
