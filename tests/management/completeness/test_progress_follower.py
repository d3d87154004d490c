"""The progress of producers, followed from round to round."""

from dataclasses import replace

import pytest

from management.completeness import progress_follower
from management.completeness.progress import ProgressSummary, marks_of
from management.completeness.progress_follower import ProgressFollower
from producer.state.ledger import progress_key
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import partition_of
from relay.timestamps import DAY_MS, day_of, day_start, now_ms
from tests.support.kafka import connection_to
from tests.support.proof_world import ORGANIZATION, SHARDS, ProofWorld, days_from, some_event

FIRST = day_of(now_ms() - 5 * DAY_MS)
DAYS = days_from(FIRST, 2)


async def test_a_follower_reads_what_is_new_and_knows_what_the_topic_says(kafka, prefix, monkeypatch):
    """A later record of a key counts, and so does a deletion; a topic that has lost its end is read from its begin."""
    connection = connection_to(kafka, prefix, shards=SHARDS)
    await create_missing_topics(connection)
    world, partition = (
        ProofWorld(connection, day_start(FIRST) + 3 * DAY_MS, FIRST),
        partition_of(ORGANIZATION, SHARDS),
    )
    starts, read_to_end = [], progress_follower.read_to_end

    async def counted(consumer, begins, *rest):
        starts.extend(begins.values())
        await read_to_end(consumer, begins, *rest)

    monkeypatch.setattr(progress_follower, "read_to_end", counted)
    follower = ProgressFollower(connection)

    async def found():
        summaries = await follower.read(partition, [ORGANIZATION, "other"])
        assert summaries["other"] == ProgressSummary()
        return summaries[ORGANIZATION]

    await world.publish(some_event(DAYS[0], 1), some_event(DAYS[0], 2))
    assert await found() == ProgressSummary(marks_of(world.checkpoint), {DAYS[0]: 2})
    world.checkpoint = replace(world.checkpoint, week_mark=world.now + 5)
    await world.publish(some_event(DAYS[1], 3))
    assert await found() == ProgressSummary(marks_of(world.checkpoint), {DAYS[0]: 2, DAYS[1]: 1})
    async with RecordWriter(connection) as writer:
        key = progress_key(ORGANIZATION, DAYS[0]).encode()
        await writer.send(world.topics.progress, key, None, partition=partition)
    assert (await found()).counts == {DAYS[1]: 1}
    assert starts[0] == 0 < starts[1] < starts[2]

    follower._partitions[partition].position = 1_000
    follower._partitions[partition].summaries[ORGANIZATION].counts[DAYS[0]] = 9
    assert (await found()).counts == {DAYS[1]: 1}
    assert starts[3] == 0


@pytest.mark.parametrize("value", [b"", b"no record"])
def test_a_record_that_cannot_be_read_counts_as_missing(value):
    """Otherwise a day of an older count would be believed."""
    summaries = {"acme": ProgressSummary(counts={DAYS[0]: 3, DAYS[1]: 1})}
    progress_follower._take(summaries, progress_key("acme", DAYS[0]).encode(), value)
    assert summaries == {"acme": ProgressSummary(counts={DAYS[1]: 1})}
    progress_follower._take(summaries, progress_key("acme", DAYS[1]).encode(), None)
    assert summaries == {}
