"""Batches on the organizations topic that any client of Kafka can write, and that aiokafka cannot parse."""

import asyncio

import structlog

from producer.sharding.assignment import ShardAssignment, ShardAssignmentTiming
from relay.kafka import TopicPartition
from relay.kafka.consumer_group import Member
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics, partition_of
from relay.organizations import Organization, OrganizationCodec
from tests.support.kafka import connection_to
from tests.support.raw_batches import delete_records, stored_batch, with_bad_header_name, write_batch
from tests.support.shard_assignment import FakeShard
from tests.support.waiting import wait_until

SHARDS = 2


def names_in(number):
    return [name for name in map("org{}".format, range(50)) if partition_of(name, SHARDS) == number]


async def test_a_malformed_batch_of_organizations_holds_up_nothing(kafka, prefix):
    """Its shard keeps what it knows and follows later changes, as other shards do, and what Kafka deletes is passed over."""
    connection = connection_to(kafka, prefix, shards=SHARDS, group_session_timeout_seconds=6)
    await create_missing_topics(connection)
    topic = Topics(prefix).organizations
    held, other = TopicPartition(topic, 0), TopicPartition(topic, 1)
    (before, after, *_), (early, late, *_) = names_in(0), names_in(1)
    shards = {number: FakeShard(number) for number in range(SHARDS)}
    timing = ShardAssignmentTiming(corrupt_pause_seconds=0.5)
    assignment = ShardAssignment(SHARDS, shards.__getitem__, timing=timing)
    member = Member(connection, prefix, topic, assignment)

    async def put(tp, name):
        organization = Organization(name, f"https://{name}.example", "u", 0, 0, 1)
        async with RecordWriter(connection) as writer:
            await writer.send(
                topic, name.encode(), OrganizationCodec().encode(organization), partition=tp.partition
            )

    with structlog.testing.capture_logs() as lines:
        await put(held, before)
        await put(other, early)
        task = asyncio.create_task(member.run())
        try:
            await wait_until(lambda: shards[0].latest_organizations == {before})
            generation = member.generation
            poison = with_bad_header_name(stored_batch(0, [b"poison"], key=b"x"))
            assert await write_batch(connection, held, poison) == 0
            await put(held, after)
            await put(other, late)
            await wait_until(lambda: errors(lines))
            await wait_until(lambda: shards[1].latest_organizations == {early, late})
            await wait_until(lambda: shards[0].latest_organizations == {before, after})
            await delete_records(connection, held, 2)
            await wait_until(lambda: shards[0].latest_organizations == {after})
            assert member.generation == generation
        finally:
            task.cancel()
            await asyncio.wait({task})

    first, *_ = errors(lines)
    assert (first["topic"], first["partition"], first["offset"], first["last_offset"]) == (topic, 0, 1, 1)
    assert "kafka-delete-records.sh" in first["event"]
    assert "malformed" in first["reason"]
    assert first["organizations_known"]


def errors(lines):
    return [line for line in lines if line["log_level"] == "error"]
