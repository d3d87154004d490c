"""Events that Kafka deleted while a destination was away are read from Jira again, for this destination alone."""

import asyncio
from collections import Counter

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from consumer.losses.store import LossStore
from management.replay.jobs import submit
from management.replay.lost import plan_lost, plan_refill
from management.replay.request import ReplayRequest
from relay.kafka import TopicPartition
from relay.kafka.log_reader import stable_bounds, standalone_consumer
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import partition_of
from relay.timestamps import now_ms
from simulators.azure.world import HISTORY, LIVE
from simulators.jira_cloud.world import JiraWorld
from tests.support.pipeline_world import pipeline_world, uids
from tests.support.producer_world import ProducerWorld
from tests.support.replay_world import ReplayWorld

SHARDS = 2


@pytest.mark.timeout(600)
async def test_lost_events_are_refilled_at_the_destination_that_lost_them(
    kafka, prefix, tmp_path, monkeypatch
):
    """Each event of the window arrives once, in history, with the id of the replay; live events and other events stay as they are."""
    async with pipeline_world(kafka, prefix, monkeypatch, shards=SHARDS) as world, JiraWorld(seed=7) as jira:
        producers, replays = ProducerWorld(kafka, prefix, tmp_path), ReplayWorld(world)
        sites = [await jira.add_site("acme"), await jira.add_site("globex")]
        for site in sites:
            await producers.add_organization(site)
        async with producers.running():
            before = await records(sites, 6)
            async with world.consuming():
                await arrived(world, before)
            start = await pause_between()
            lost = await records(sites, 9)
            await in_kafka(producers, before + lost)
            await delete_all(world)
            end = await pause_between()
            after = await records(sites, 3)
            async with world.consuming():
                await arrived(world, before + after)
                entries = await lost_ranges(world, len(partitions_of(sites)))
                settings = world.settings().destinations
                planned = await plan_lost(
                    world.connection, settings, ReplayRequest("sentinel"), entries[0].name, now_ms()
                )
                assert planned.content == "refill"
                assert planned.request.from_ms < start < end <= planned.request.to_ms

                asked = ReplayRequest("sentinel", from_ms=start, to_ms=end)
                refill = (await plan_refill(world.connection, settings, asked, now_ms())).job("ann", now_ms())
                assert await submit(world.connection, refill) is None
                progress = await replays.done(refill.id, 120)

                assert (progress.state, progress.reason) == ("done", None)
                assert (progress.sent, progress.lost) == (len(lost), 0)
                rows = replays.replayed(refill.id)
                assert Counter(row["EventUid"] for row in rows) == Counter(lost)
                assert {row["EventMode"] for row in rows} == {"replay"}
                await asyncio.sleep(1)
                assert uids(world.azure, HISTORY) == sorted(lost)
                assert uids(world.azure, LIVE) == sorted(before + after)
        assert world.azure.duplicates() == {}


async def records(sites, count):
    """Add records to each site; return their uids."""
    return [f"{site.name}/{record['id']}" for site in sites for record in site.add_records(count)]


def partitions_of(sites):
    return {partition_of(site.name, SHARDS) for site in sites}


async def pause_between():
    """Return an instant that no record has."""
    await asyncio.sleep(0.05)
    found = now_ms()
    await asyncio.sleep(0.05)
    return found


async def arrived(world, wanted):
    await world.azure.wait_until(lambda: set(uids(world.azure, LIVE)) >= set(wanted), 90)


async def in_kafka(producers, wanted):
    async with asyncio.timeout(60):
        while len(await producers.read_events()) < len(wanted):
            await asyncio.sleep(0.2)


async def delete_all(world):
    """Delete all live events, as retention does."""
    tps = [TopicPartition(world.topics.events, number) for number in range(SHARDS)]
    async with standalone_consumer(world.connection) as consumer:
        bounds = await stable_bounds(consumer, tps)
    admin = AIOKafkaAdminClient(bootstrap_servers=world.connection.bootstrap)
    await admin.start()
    try:
        await admin.delete_records(
            {tp: RecordsToDelete(before_offset=each.last_stable_offset) for tp, each in bounds.items()}
        )
    finally:
        await admin.close()


async def lost_ranges(world, count):
    """Return the lost ranges of the destination, once there are so many with dates."""
    async with RecordWriter(world.connection) as writer, asyncio.timeout(60):
        store = LossStore(world.connection, world.topics.destinations, writer)
        while True:
            found = list((await store.read("sentinel")).ranges.values())
            if len(found) >= count and all(each.collected_until is not None for each in found):
                return found
            await asyncio.sleep(0.2)
