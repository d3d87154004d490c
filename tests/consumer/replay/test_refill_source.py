"""What a refill waits for."""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from consumer.replay import refill_source
from consumer.replay.refill_source import RefillSource, waiting_text
from consumer.replay.source import SourceWaitsError
from relay.kafka import TopicPartition
from relay.kafka.log_reader import LogBounds
from relay.kafka.topics import partition_of
from relay.replays.job import ReplayRange
from relay.replays.refill import RefillProgress
from tests.support.replays import replay_job

JOB = replay_job(content="refill", organizations=("acme", "globex", "initech", "hooli"))
RUNNING = RefillProgress(
    JOB.id, "acme", "running", JOB.wished_at, JOB.wished_at, read_to=1_795_000_000_000, events=1_200
)


def test_each_organization_that_is_not_read_is_named_and_the_others_are_counted():
    reports = {
        "acme": RUNNING,
        "globex": replace(RUNNING, organization="globex", reason="globex is paused."),
        "initech": replace(RUNNING, organization="initech", state="done"),
    }
    text = waiting_text(JOB, reports, JOB.wished_at + 2_000)
    assert "acme: 1,200 events, up to 2026-" in text
    assert "globex is paused." in text
    assert "hooli is not begun yet." in text
    assert "initech" not in text
    assert "1 more organizations" in waiting_text(JOB, {}, JOB.wished_at)


@pytest.mark.parametrize(("seconds", "says_so"), [(0, False), (59, False), (60, True), (3_600, True)])
def test_producers_get_a_minute_to_begin_before_the_sentence_doubts_that_they_run(seconds, says_so):
    text = waiting_text(JOB, {}, JOB.wished_at + 1_000 * seconds)
    assert "acme is not begun" in text
    assert ("Make sure that producers run" in text) is says_so


def test_an_organization_without_news_may_be_deleted():
    """Nobody reports on it then."""
    text = waiting_text(JOB, {"acme": RUNNING}, JOB.wished_at + 400_000)
    assert "acme has not moved since" in text
    assert "jira-relay organizations list" in text


def test_nothing_is_waited_for_once_all_have_ended():
    done = {name: replace(RUNNING, organization=name, state="done") for name in JOB.organizations}
    assert waiting_text(JOB, done, 2_000) is None


class NothingToRead:
    """The reader of ranges without records."""

    def __init__(self, *_, **__):
        pass

    async def chunks(self, _starts):
        for chunk in ():
            yield chunk


@pytest.mark.parametrize("name", ["acme", "globex", "initech", "hooli"])
async def test_the_end_of_each_partition_is_compared_with_the_reports_of_its_own_organizations(
    monkeypatch, name
):
    """Kafka acknowledges a commit before its events can be read. Another, longer partition says nothing about them."""
    own = partition_of(name, 4)
    ranges = tuple(ReplayRange("p.backfill", number, 0, 0) for number in range(4))
    job = replace(JOB, organizations=(name,), ranges=ranges)
    ends = {number: 8 if number == own else 100 for number in range(4)}

    @asynccontextmanager
    async def consumer(_connection):
        yield None

    async def bounds(_consumer, partitions):
        return {tp: LogBounds(0, ends[tp.partition], 200) for tp in partitions}

    async def numbers(_consumer, _topic):
        return list(range(4))

    async def reports():
        done = replace(RUNNING, organization=name, state="done", events=9, end=9)
        return {name: done.to_value()}

    monkeypatch.setattr(refill_source, "RangeReader", NothingToRead)
    monkeypatch.setattr(refill_source, "standalone_consumer", consumer)
    monkeypatch.setattr(refill_source, "log_bounds", bounds)
    monkeypatch.setattr(refill_source, "partitions_of", numbers, raising=False)
    source = RefillSource(None, job, reports)
    starts = {TopicPartition("p.backfill", number): 0 for number in range(4)}
    with pytest.raises(SourceWaitsError, match="has not completed"):
        [chunk async for chunk in source.chunks(starts)]
    ends[own] = 9
    assert [chunk async for chunk in source.chunks(starts)] == []
