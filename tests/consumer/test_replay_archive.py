"""Archive and log together, on a real Kafka and the real destination: each event exactly once, whatever retention takes meanwhile."""

import asyncio
from contextlib import aclosing

import pytest

from consumer.decoding.columns import decode
from consumer.replay.archive_opening import delivered_by, open_archive
from consumer.replay.range_reader import RangeReader
from consumer.timing import ConsumerTiming, ReplayTiming
from management.settings import Settings
from relay.errors import RelayError
from relay.kafka import TopicPartition
from relay.replays.job import ReplayRange
from relay.schema_registry.fingerprints import released_schemas
from tests.support.pipeline_world import SHARDS, committed_and_ends, pipeline_world, some_events, uid
from tests.support.raw_batches import delete_records
from tests.support.replay_world import ReplayWorld

QUICK = ConsumerTiming(replay=ReplayTiming(record_seconds=0.2, watch_seconds=0.1))


def settings_for(directory, base):
    """Return the settings of a world with Sentinel and an archive, which has a prefix for one organization."""
    lake = {
        "kind": "object-store",
        "location": f"file://{directory}",
        "window_seconds": 1,
        "by_organization": {"org1.atlassian.net": "organization=org1"},
    }
    destinations = {**base.model_dump(mode="json")["destinations"], "lake": lake}
    return Settings.model_validate(
        {"kafka": base.kafka, "consumer": base.consumer, "destinations": destinations}
    )


@pytest.fixture
async def world(kafka, prefix, monkeypatch, tmp_path):
    async with pipeline_world(kafka, prefix, monkeypatch) as opened:
        settings = settings_for(tmp_path, opened.settings())
        monkeypatch.setattr(opened, "settings", lambda **_: settings, raising=False)
        yield opened


async def archive_all(world):
    """Run the consumers until the archive has delivered and committed everything that is on both topics."""
    async with world.consuming():
        await archived(world)


async def archived(world):
    groups = ((world.topics.events, "lake"), (world.topics.backfill, "lake.history"))

    async def delivered():
        for topic, group in groups:
            committed, ends = await committed_and_ends(world, topic, group)
            if any(committed[tp] != end for tp, end in ends.items() if end):
                return False
        return True

    async with asyncio.timeout(120):
        while not await delivered():
            await asyncio.sleep(0.1)


async def ranges_of(world):
    """Return all that was ever on the topics, up to their ends."""
    found = []
    for topic in (world.topics.events, world.topics.backfill):
        _, ends = await committed_and_ends(world, topic, "lake")
        found += [ReplayRange(topic, tp.partition, 0, end) for tp, end in ends.items() if end]
    return found


async def replay(world, ranges, on_chunk=lambda: None):
    """Return the records of the ranges, those that Kafka has deleted from the archive, and what is lost."""
    records, lost = [], []
    config = world.settings().destinations["lake"]
    async with open_archive("lake", config, delivered_by(world.connection, "lake")) as archive:
        reader = RangeReader(world.connection, ranges, archive)
        async with aclosing(reader.chunks({})) as chunks:
            async for chunk in chunks:
                records += chunk.records
                lost += chunk.lost
                if (act := on_chunk()) is not None:
                    await act
    return records, lost


def places(records):
    return sorted((each.topic, each.partition, each.offset) for each in records)


def rows(records):
    """Return the columns of records in the order of their places."""
    ordered = sorted(records, key=lambda each: (each.topic, each.partition, each.offset))
    decoded = decode(ordered, released_schemas())
    assert not decoded.undecodable
    return decoded.frame.rows()


async def test_what_kafka_has_deleted_comes_from_the_archive_and_the_rest_from_kafka(world):
    """Retention moves on during the reading: each event is read once, with its columns, key, time and place."""
    await world.publish(some_events(300))
    await world.publish(some_events(60, first=5000, mode="backfill"), world.topics.backfill)
    await archive_all(world)
    delivered = await ranges_of(world)
    await world.publish(some_events(90, first=300))
    originals = await world.records(world.topics.events) + await world.records(world.topics.backfill)
    ranges = await ranges_of(world)
    for each in delivered:
        await delete_records(world.connection, each.tp, each.end // 2)
    further = [(each.tp, each.end) for each in delivered]

    def retention():
        return delete_records(world.connection, *further.pop()) if further else None

    records, lost = await replay(world, ranges, retention)
    assert not lost
    assert places(records) == places(originals)
    assert rows(records) == rows(originals)
    assert {(each.offset, each.key, each.timestamp) for each in records} == {
        (each.offset, each.key, each.timestamp) for each in originals
    }


async def test_events_that_the_archive_has_not_delivered_are_waited_for(world):
    """Kafka has deleted them, and the destination holds them in memory or has lost them: the replay says which."""
    await world.publish(some_events(60))
    await archive_all(world)
    await world.publish(some_events(60, first=60))
    ranges = await ranges_of(world)
    for number in range(SHARDS):
        each = next((one for one in ranges if one.partition == number), None)
        if each is not None:
            await delete_records(world.connection, TopicPartition(each.topic, number), each.end)
    with pytest.raises(RelayError, match="The replay goes on when the destination lake has delivered them"):
        await replay(world, ranges)


async def test_a_replay_sends_what_the_archive_and_kafka_have_each_once(world):
    """Kafka deletes half of the window before the job begins, and the rest while it runs."""
    replays = ReplayWorld(world)
    await world.publish(some_events(200))
    async with world.consuming(timing=QUICK):
        await archived(world)
        ranges = tuple(await ranges_of(world))
        for each in ranges:
            await delete_records(world.connection, each.tp, each.end // 2)
        replay_id = await replays.start(ranges=ranges, archive="lake", rate=60)
        await replays.wait_for(replay_id, lambda progress: progress.sent > 0)
        for each in ranges:
            await delete_records(world.connection, each.tp, each.end)
        done = await replays.done(replay_id)
    assert (done.state, done.sent, done.lost, done.dead_lettered) == ("done", 200, 0, 0)
    sent = sorted(row["EventUid"] for row in replays.replayed(replay_id))
    assert sent == sorted(map(uid, world.published))
