"""Batches on the events topic that any client of Kafka can write, and that aiokafka cannot parse."""

from consumer.timing import AssignmentTiming, ConsumerTiming
from relay.kafka import TopicPartition
from relay.kafka.topics import partition_of
from tests.support.pipeline_world import (
    SHARDS,
    pipeline_world,
    some_events,
    uid,
    uids,
    wait_for_status,
)
from tests.support.raw_batches import delete_records, stored_batch, with_bad_header_name, write_batch


async def test_a_record_with_a_header_name_that_is_not_utf_8_holds_its_partition_alone(
    kafka, prefix, monkeypatch
):
    """Events before it and of other partitions arrive, the status says what to do, and done that, the rest arrives."""
    timing = ConsumerTiming(assignment=AssignmentTiming(corrupt_pause_seconds=1))
    organization = "org0.atlassian.net"
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        partition = TopicPartition(world.topics.events, partition_of(organization, SHARDS))
        await world.publish(some_events(60), size=3)
        batch = with_bad_header_name(stored_batch(0, [b"poison"], key=organization.encode()))
        assert await write_batch(world.connection, partition, batch) == 0
        before = set(uids_of(world))
        await world.publish(some_events(60, first=1_000), size=3)
        held = {
            uid(event)
            for event in world.published
            if uid(event) not in before and partition_of(event["organization"], SHARDS) == partition.partition
        }
        async with world.consuming(timing=timing, start="earliest"):
            await world.wait_for_events(len(world.published) - len(held))
            status = await wait_for_status(world, lambda status: "malformed" in (status.reason or ""))
            assert set(uids(world.azure)) == set(uids_of(world)) - held
            assert f"{partition.topic}, partition {partition.partition}, is corrupt" in status.reason
            assert "set the group's offset" in status.reason
            bad = int(status.reason.partition("from offset ")[2].split()[0])
            await delete_records(world.connection, partition, bad + 1)
            await world.wait_for_events()
        assert uids(world.azure) == sorted(uids_of(world))


def uids_of(world):
    return [uid(event) for event in world.published]
