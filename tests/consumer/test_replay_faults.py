"""Replays while Kafka or its topic of replays is not as it should be."""

import asyncio

from aiokafka.admin import AIOKafkaAdminClient

from embedded.kafka import EmbeddedKafka
from relay.kafka import TopicPartition
from relay.kafka.topic_admin import create_missing_topics
from simulators.azure.world import HISTORY
from simulators.faults import hang
from tests.consumer.test_replays import QUICK, row_uids
from tests.support.pipeline_world import some_events, uid, wait_for_status
from tests.support.raw_batches import delete_records
from tests.support.replay_world import replay_world
from tests.support.waiting import wait_until


async def delete_topic(connection, topic):
    """Delete a topic, and wait until Kafka does not list it any more."""
    admin = AIOKafkaAdminClient(bootstrap_servers=connection.bootstrap)
    await admin.start()
    await admin.delete_topics([topic])
    async with asyncio.timeout(120):
        while topic in await admin.list_topics():
            await asyncio.sleep(0.05)
    await admin.close()


async def test_without_its_topic_live_events_are_delivered_and_the_status_says_that_replays_wait(
    kafka, prefix, monkeypatch
):
    """An installation of an earlier release has no such topic; its consumers join once it was created."""
    async with replay_world(kafka, prefix, monkeypatch) as replays:
        world = replays.world
        await delete_topic(world.connection, world.topics.replays)
        await world.publish(some_events(10))
        async with world.consuming(timing=QUICK):
            await world.wait_for_events()
            status = await wait_for_status(world, lambda status: "Replays wait" in (status.reason or ""))
            assert status.state == "active"
            assert "run `jira-relay topics create`" in status.reason


async def test_a_replay_whose_topic_was_deleted_and_made_again_stops_and_is_named(kafka, prefix, monkeypatch):
    """Nobody could see or cancel it any more. A replay that is asked for since runs."""
    async with replay_world(kafka, prefix, monkeypatch) as replays:
        world = replays.world
        await world.publish(some_events(60))
        async with world.consuming(timing=QUICK):
            await world.wait_for_events()
            replay_id = await replays.start(rate=1)
            await replays.wait_for(replay_id, lambda progress: progress.sent > 0)
            await delete_topic(world.connection, world.topics.replays)
            await create_missing_topics(world.connection)
            status = await wait_for_status(world, lambda status: "any more" in (status.reason or ""))
            assert f"The topic of replays does not have {replay_id} any more" in status.reason
            other = await replays.start(2)
            done = await replays.done(other)
        assert (done.state, done.sent) == ("done", 60)
        assert len(replays.replayed(replay_id)) < 60


async def test_what_kafka_deletes_before_a_running_replay_comes_there_is_counted_and_named(
    kafka, prefix, monkeypatch
):
    async with replay_world(kafka, prefix, monkeypatch) as replays:
        world = replays.world
        await world.publish(some_events(60, organizations=1))
        (partition,) = {record.partition for record in await world.records(world.topics.events)}
        last = (await world.records(world.topics.events))[-10].offset
        async with world.consuming(timing=QUICK):
            await world.wait_for_events()
            hanging = world.azure.fault(hang(), rate=1, only=lambda request: "History" in request.path)
            replay_id = await replays.start(rate=20)
            await wait_until(lambda: hanging.played > 0)
            await delete_records(world.connection, TopicPartition(world.topics.events, partition), last)
            hanging.cancel()
            done = await replays.done(replay_id, 90)
        sent = row_uids(replays.replayed(replay_id))
        assert done.state == "done"
        assert done.sent == len(sent)
        assert done.sent + done.lost >= 60
        assert set(map(uid, world.published[-10:])) <= set(sent)


async def test_a_replay_goes_on_when_kafka_comes_back(tmp_path, prefix, monkeypatch):
    """Kafka dies in the middle of a replay: nothing is lost, and every count is that of the table."""
    async with (
        EmbeddedKafka(tmp_path, heap="384m", flush_each_write=False) as kafka,
        replay_world(kafka, prefix, monkeypatch) as replays,
    ):
        world = replays.world
        await world.publish(some_events(60))
        async with world.consuming(timing=QUICK):
            await world.wait_for_events()
            replay_id = await replays.start(rate=20)
            await replays.wait_for(replay_id, lambda progress: progress.sent > 0)
            kafka.kill()
            await kafka.start()
            done = await replays.done(replay_id, 120)
        rows = replays.replayed(replay_id)
        assert (done.state, done.sent) == ("done", 60)
        assert sorted(set(row_uids(rows))) == sorted(map(uid, world.published))
        assert len(world.azure.rows(HISTORY)) == len(rows)
