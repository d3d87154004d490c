"""Producers' dead letters on a real Kafka: redriven by a running producer, and checked against the topics."""

import json
from collections import Counter
from contextlib import aclosing

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from management.replay.follow import FollowTiming, follow
from management.replay.jobs import submit
from management.unreadable_redrive import plan_unreadable_redrive, require_no_other_unreadable
from producer.events import UnreadableRecord
from producer.publishing.dead_letters import dead_letter_records
from producer.recovery.published_events import EventSearch
from producer.sources.catalogue import parse_record
from producer.state.checkpoint import EventTime
from relay.dead_letters.log import open_letter_log
from relay.dead_letters.selection import LetterSelection
from relay.kafka import TopicPartition
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import partition_of
from relay.replays.unreadable import PUBLISHED_BEFORE
from relay.schema_registry.store import open_schema_store
from relay.timestamps import now_ms, to_iso
from simulators.jira_cloud.world import JiraWorld
from tests.flow.test_producer import wait_until
from tests.support.producer_world import ProducerWorld

NEW_ID = 900_000


def raw(number, created):
    return json.dumps({"id": number, "created": created}).encode()


async def write_letters(world, organization, *raws):
    """Write letters of an organization as its producer does, to its partition."""
    async with RecordWriter(world.connection) as writer:
        for one in raws:
            for record in dead_letter_records(
                UnreadableRecord("the record has no readable id", one),
                topic=world.topics.dead_letters,
                partition=partition_of(organization, 2),
                organization=organization,
                at_ms=now_ms(),
                max_value_bytes=200,
            ):
                await writer.send(
                    record.topic,
                    record.key,
                    record.value,
                    partition=record.partition,
                    headers=record.headers,
                    timestamp_ms=record.timestamp,
                )


async def states(world):
    async with open_letter_log(world.connection) as log:
        return Counter([state async for _, state in log.letters()])


async def plan(world):
    return await plan_unreadable_redrive(world.connection, parse_record, LetterSelection(), "ann", now_ms())


async def followed(world, replay_id):
    """Return the last view of a replay."""
    async with aclosing(follow(world.connection, replay_id, now_ms, FollowTiming(0.2))) as views:
        return [view async for view in views][-1]


async def delete_events(world, number):
    """Delete the live events of a partition, as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=world.connection.bootstrap)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(world.topics.events, number): RecordsToDelete(-1)})
    finally:
        await admin.close()


@pytest.mark.timeout(300)
async def test_unreadable_records_are_published_once_by_the_producer_that_reads_them(kafka, prefix, tmp_path):
    """The counts are those of Kafka: one event for each new record, and a mark for each letter whose record is there."""
    world = ProducerWorld(kafka, prefix, tmp_path)
    await create_missing_topics(world.connection)
    async with JiraWorld(seed=11) as jira:
        site = await jira.add_site("acme")
        await world.add_organization(site)
        async with world.running():
            live = site.add_records(2)

            async def published():
                return len(await world.read_events()) == 2

            await wait_until(published)
            known = (await world.read_events())[0]
            created = to_iso(known["created"])
            long_text = b"[" + b"x" * 500
            await write_letters(
                world,
                "acme",
                raw(known["id"], created),
                raw(NEW_ID, created),
                b"{",
                long_text,
                raw(NEW_ID, created),
            )
            await write_letters(world, "gone", raw(1, created))

            planned = await plan(world)
            assert (dict(planned.readable), planned.still.total(), planned.left.total()) == (
                {"acme": 3},
                2,
                1,
            )
            assert next(iter(planned.left)).startswith("The organization gone was deleted")
            await submit(world.connection, planned.job)
            view = await followed(world, planned.job.id)

            progress = view.progress
            assert (view.state, view.complete, progress.sent) == ("done", True, 1)
            assert {each.reason: each.count for each in progress.skips} == {
                PUBLISHED_BEFORE: 2,
                "the JSON of the record is broken": 2,
            }
            ids = Counter(event["id"] for event in await world.read_events())
            assert ids == Counter([*(record["id"] for record in live), NEW_ID])
            assert await states(world) == {"redriven": 3, "open": 3}
            await require_no_other_unreadable(world.connection, ["acme"], now_ms())
            again = await plan(world)
            assert (again.job, again.still.total()) == (None, 2)
            await check_search(world, known)


async def check_search(world, known):
    """Events are found on the topics where no ledger has them, and deleted ones make the search incomplete."""
    number = partition_of("acme", 2)
    async with open_schema_store(world.settings.schema_registry, world.connection) as store:
        search = EventSearch(world.connection, world.topics, store)
        found = await search.find("acme", number, {known["id"], 5}, 0)
        assert (found.found, found.live_since, found.backfill_since) == (
            {EventTime(known["created"], known["id"])},
            0,
            0,
        )
        assert (await search.find("other", number, {known["id"]}, 0)).found == set()
        await delete_events(world, number)
        deleted = await search.find("acme", number, {known["id"]}, 0)
        assert (deleted.found, deleted.live_since > now_ms()) == (set(), True)
