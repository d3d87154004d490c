"""Which refill an organization's producer reads now, and what it reports."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from producer.replays.jobs import RefillJobs
from relay.kafka.producer import TopicWriteError
from relay.replays.job import KnownReplay
from relay.replays.refill import RefillProgress
from tests.support.replays import replay_job

FIRST = replay_job(id="20261130-071500-0001", content="refill", organizations=("acme", "globex"))
SECOND = replay_job(id="20261130-071500-0002", content="refill", organizations=("acme",))
DONE = RefillProgress(FIRST.id, "acme", "done", 1, 1)


def table(*replays, unreadable=()):
    return SimpleNamespace(
        jobs={each.job.id: each for each in replays}, unreadable=dict.fromkeys(unreadable, "newer")
    )


def test_an_organization_reads_one_refill_at_a_time_the_oldest_first():
    jobs = RefillJobs()
    jobs.take_over(table(KnownReplay(SECOND), KnownReplay(FIRST)))
    assert (jobs.current("acme"), jobs.current("globex"), jobs.current("other")) == (FIRST, FIRST, None)
    jobs.take_over(table(KnownReplay(SECOND), KnownReplay(FIRST, producers={"acme": DONE.to_value()})))
    assert (jobs.current("acme"), jobs.current("globex")) == (SECOND, FIRST)


@pytest.mark.parametrize(
    "change", [{"wished": "paused"}, {"wished": "cancelled"}, {"content": "events"}, {"by": "?"}]
)
def test_a_refill_that_is_not_wished_now_is_not_read(change):
    jobs = RefillJobs()
    jobs.take_over(table(KnownReplay(replace(FIRST, **change))))
    assert jobs.current("acme") is None


def test_a_report_that_cannot_be_read_is_written_again():
    jobs = RefillJobs()
    jobs.take_over(table(KnownReplay(FIRST, producers={"acme": b"of a later release"})))
    assert jobs.current("acme") == FIRST


async def test_a_poller_waits_for_a_refill_and_cursors_are_kept_until_the_topic_was_read():
    jobs = RefillJobs()
    waiting = asyncio.create_task(jobs.wait_for("acme"))
    await asyncio.sleep(0)
    assert not jobs.is_over(FIRST.id)
    jobs.take_over(table(KnownReplay(FIRST)))
    assert await waiting == FIRST
    assert not jobs.is_over(FIRST.id)
    assert jobs.is_over(SECOND.id)


def test_a_replay_that_a_newer_release_wrote_may_go_on_so_its_cursors_are_kept():
    jobs = RefillJobs()
    jobs.take_over(table(KnownReplay(FIRST), unreadable=[f"{SECOND.id}.progress"]))
    assert not jobs.is_over(SECOND.id)
    jobs.take_over(table(KnownReplay(FIRST)))
    assert jobs.is_over(SECOND.id)


async def test_an_end_that_a_former_owner_has_written_over_is_reported_again():
    """Its last report came after the end, so the topic would call the part running for ever."""
    sent = []

    async def send(progress):
        sent.append(progress)

    jobs = RefillJobs(send)
    jobs.take_over(table(KnownReplay(FIRST)))
    await jobs.report(DONE)
    late = replace(DONE, state="running").to_value()
    jobs.take_over(table(KnownReplay(FIRST, producers={"acme": late})))
    await jobs.report(replace(DONE, at=1_000))
    assert len(sent) == 1
    await jobs.report(replace(DONE, at=9_000))
    await jobs.report(replace(DONE, at=9_001))
    assert [each.state for each in sent] == ["done", "done"]


async def test_only_news_is_reported_and_a_report_that_fails_is_written_the_next_time():
    sent, failures = [], [TopicWriteError("no answer")]

    async def send(progress):
        if failures:
            raise failures.pop()
        sent.append(progress)

    jobs = RefillJobs(send)
    jobs.take_over(table(KnownReplay(FIRST)))
    running = RefillProgress(FIRST.id, "acme", "running", 1, 1)
    for progress in (
        running,
        running,
        replace(running, at=1_000, since=1_000, events=5),
        replace(running, at=3_000, since=3_000, events=6),
        replace(running, at=3_001, since=3_001, reason="a wrong key"),
        replace(running, at=3_002, since=3_002, state="done"),
        replace(running, at=9_000, since=9_000, state="done"),
    ):
        await jobs.report(progress)
    assert [(each.state, each.reason, each.events, each.since) for each in sent] == [
        ("running", None, 0, 1),
        ("running", None, 6, 1),
        ("running", "a wrong key", 0, 3_001),
        ("done", None, 0, 3_002),
    ]


async def test_a_report_that_says_the_same_is_repeated_only_as_a_sign_of_life():
    """Each repeat is a record on the topic of replays, which every producer and consumer reads."""
    sent = []

    async def send(progress):
        sent.append(progress)

    jobs = RefillJobs(send)
    jobs.take_over(table(KnownReplay(FIRST)))
    paused = RefillProgress(FIRST.id, "acme", "running", 1, 1, "acme is paused.")
    for at in range(1, 130_001, 5_000):
        await jobs.report(replace(paused, since=at, at=at))
    assert [each.at for each in sent] == [1, 60_001, 120_001]
    assert {each.since for each in sent} == {1}


async def test_refills_of_one_organization_are_read_in_their_order():
    jobs = RefillJobs()
    jobs.take_over(table(KnownReplay(FIRST), KnownReplay(SECOND)))
    assert jobs.wanted("acme") == [FIRST, SECOND]
    assert jobs.wanted("globex") == [FIRST]
    assert jobs.wanted("initech") == []


async def test_a_paused_organization_keeps_what_was_read_of_it():
    """The pause is a reason more; the events that are published, and the end that the consumer waits for, stay in the report."""
    sent = asyncio.Queue()
    jobs = RefillJobs(sent.put)
    read = RefillProgress(FIRST.id, "acme", "running", 1, 1, None, 50, events=7, end=19)
    jobs.take_over(table(KnownReplay(FIRST, producers={"acme": read.to_value()})))
    task = asyncio.create_task(jobs.report_paused("acme"))
    report = await asyncio.wait_for(sent.get(), 120)
    task.cancel()
    assert (report.read_to, report.events, report.end) == (50, 7, 19)
    assert "acme is paused" in report.reason


async def test_a_paused_organization_is_named_with_the_command_that_resumes_it():
    sent = asyncio.Queue()
    jobs = RefillJobs(sent.put)
    jobs.take_over(table(KnownReplay(FIRST)))
    task = asyncio.create_task(jobs.report_paused("acme"))
    report = await asyncio.wait_for(sent.get(), 120)
    task.cancel()
    assert "jira-relay organizations resume acme" in report.reason
    assert RefillProgress.from_value(report.to_value()) == report
