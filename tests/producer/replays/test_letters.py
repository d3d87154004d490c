"""The producers' letters of one organization, as a redrive reads them."""

import json
from contextlib import aclosing

import pytest

from producer.replays.letters import LettersUnavailableError
from relay.dead_letters.letter import mark_record, parse_letter
from tests.support.publisher import TOPICS, InMemoryTransactions
from tests.support.replays import replay_job
from tests.support.unreadable_letters import LettersInMemory


def raw(number, **fields):
    return json.dumps({"id": number, **fields}).encode()


@pytest.fixture
def topic():
    return LettersInMemory(InMemoryTransactions())


def job_of(topic, **changes):
    job = {"content": "unreadable", "organizations": ("acme",), "ranges": topic.ranges(), **changes}
    return replay_job(**job)


async def read(topic, job, partition=0):
    async with aclosing(topic.letters.read(job, "acme", partition)) as chunks:
        return [chunk async for chunk in chunks]


def contents(chunks):
    return [one.content()[0] for chunk in chunks for one in chunk.letters]


def mark(topic, offset, job, *, published_before=False):
    letter = parse_letter(topic.records()[offset])
    topic._log.append(
        mark_record(TOPICS.dead_letters, letter, b"acme", job.id, 1, published_before=published_before)
    )


async def test_the_open_letters_of_the_organization_are_read_and_no_others(topic):
    """Of another organization, another reason, behind the range of the job, or marked by another job: left alone."""
    topic.put(raw(1), raw(2, summary="x" * 90), part_bytes=40)
    topic.put(raw(3), organization="beta")
    topic.put(raw(4), reason="too large")
    topic.put(raw(5))
    mark(topic, topic.records()[-1].offset, replay_job(id="former"))
    job = job_of(topic, reason="ODD")
    topic.put(raw(6))
    assert contents(await read(topic, job)) == [raw(1), raw(2, summary="x" * 90)]
    assert await read(topic, job, partition=1) == []


async def test_letters_that_the_job_has_marked_are_counted_and_not_read_again(topic):
    topic.put(*map(raw, range(6)))
    job = job_of(topic)
    mark(topic, 1, job)
    mark(topic, 2, job, published_before=True)
    chunks = await read(topic, job)
    assert contents(chunks) == [raw(0), raw(3), raw(4), raw(5)]
    assert (sum(one.published for one in chunks), sum(one.known for one in chunks)) == (1, 1)


@pytest.mark.parametrize("at_batch", [0, 1, 2, 5])
async def test_offsets_that_kafka_deletes_before_they_are_read_are_counted(topic, at_batch):
    """Before the reading, between its two passes, and during the second one, where reading goes on at the new start."""
    topic.put(*map(raw, range(12)))
    job, batches = job_of(topic), []

    def delete():
        batches.append(0)
        if len(batches) > at_batch:
            topic.start = 8

    topic.on_batch = delete
    chunks = await read(topic, job)
    assert len(contents(chunks)) + sum(one.lost for one in chunks) == 12
    assert contents(chunks)[-4:] == [raw(n) for n in range(8, 12)]


async def test_a_corrupt_batch_is_passed_and_named(topic):
    topic.put(*map(raw, range(12)))
    topic.corrupt = range(4, 7)
    chunks = await read(topic, job_of(topic))
    assert contents(chunks) == [raw(n) for n in (0, 1, 2, 3, 7, 8, 9, 10, 11)]
    (text,) = [text for one in chunks for text in one.corrupt]
    assert f"{TOPICS.dead_letters}, partition 0, cannot be read from offset 4 on" in text


async def test_a_failure_of_kafka_is_one_for_a_later_attempt(topic):
    topic.put(raw(1))
    topic.failures = 1
    with pytest.raises(LettersUnavailableError, match="of acme cannot be read"):
        await read(topic, job_of(topic))
    assert contents(await read(topic, job_of(topic))) == [raw(1)]


async def test_a_log_that_ends_before_the_range_is_read_later(topic):
    """A new leader learns its end late; nothing may count as read."""
    topic.put(raw(1), raw(2))
    job = job_of(topic)
    topic._log.pop()
    with pytest.raises(LettersUnavailableError, match="ends at offset 1"):
        await read(topic, job)
