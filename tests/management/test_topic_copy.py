"""The relay moves to another Kafka: every topic is copied and compared, and the services go on there without a loss or a repeat."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from management.topic_copier import TopicCopy
from management.topic_copy import copy_topics
from relay.dead_letters.letter import mark_record, parse_letter, relay_headers
from relay.dead_letters.log import open_letter_log
from relay.errors import RelayError
from relay.kafka import TopicPartition
from relay.kafka.log_reader import stable_bounds
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import (
    compare_topics,
    create_missing_topics,
    read_shard_count,
    read_topic_facts,
)
from relay.kafka.topics import Topics, partition_of
from relay.status.model import take_over
from relay.status.reader import read_statuses
from relay.status.writer import StatusWriter
from relay.timestamps import DAY_MS, now_ms
from simulators.jira_cloud.world import JiraWorld
from tests.consumer.test_mirrors import SELDOM_BACKED_UP, TIMING
from tests.support.dead_letters import letter_record
from tests.support.kafka import connection_to
from tests.support.pipeline_world import (
    PipelineWorld,
    pipeline_world,
    some_events,
    uid,
    uids,
)
from tests.support.producer_world import ProducerWorld, count_records
from tests.support.raw_batches import delete_records

LATER_MS = 10 * 60_000
"""After a killed process counts as ended."""


async def copied(source, target, at_ms=None, after=None, write=None):
    """Copy the topics; call `write` once the topic `after` is copied."""
    copies = {}
    async for copy in copy_topics(
        source, target, 7 * DAY_MS, now_ms() + LATER_MS if at_ms is None else at_ms
    ):
        copies[copy.topic] = copy
        if copy.topic == after:
            await write()
    return copies


async def test_consumers_go_on_at_the_copy(kafka, auto_creating_kafka, prefix, monkeypatch):
    """Sixty events are delivered, forty wait. The copy holds all, and only the forty are sent from there."""
    async with pipeline_world(kafka, prefix, monkeypatch) as original:
        await original.publish(some_events(60), size=5)
        async with original.consuming(timing=SELDOM_BACKED_UP):  # its stop backs up the offsets
            await original.wait_for_events()
        await original.publish(some_events(40, first=60), size=5)
        moved = PipelineWorld(original.azure, connection_to(auto_creating_kafka, prefix, shards=1))

        copies = await copied(original.connection, moved.connection)

        assert copies.keys() == set(original.topics.all)
        assert (copies[original.topics.events].records, copies[original.topics.events].expired) == (100, 0)
        async with moved.consuming(timing=TIMING):
            await original.wait_for_events()
            await moved.publish(some_events(10, first=100))
            await moved.wait_for_events(110)
        assert sorted(uids(original.azure)) == sorted(map(uid, some_events(110)))


async def test_a_producer_goes_on_at_the_copy(kafka, auto_creating_kafka, prefix, tmp_path):
    """Records before, between and after the move are in the other Kafka once."""
    original = ProducerWorld(kafka, prefix, tmp_path)
    moved = ProducerWorld(auto_creating_kafka, prefix, tmp_path)
    await create_missing_topics(original.connection)
    async with JiraWorld(seed=3) as jira:
        site = await jira.add_site("acme")
        await original.add_organization(site)
        async with original.running():
            await wait_until_polled(original)
            site.add_records(30)
            await wait_until_arrived(original, jira)
        site.add_records(20)

        await copied(original.connection, moved.connection)

        async with moved.running():
            await wait_until_arrived(moved, jira)
            site.add_records(10)
            await wait_until_arrived(moved, jira)
        assert await moved.count_events() == count_records(jira)


async def wait_until_polled(world):
    """Wait for the first round; records before it are no live ones."""
    async with asyncio.timeout(120):
        while "producer/acme" not in (await read_statuses(world.connection, world.topics.status)):
            await asyncio.sleep(0.2)


async def wait_until_arrived(world, jira):
    async with asyncio.timeout(120):
        while not (await world.count_events()).keys() >= count_records(jira).keys():
            await asyncio.sleep(0.3)


@pytest.fixture
async def pair(kafka, auto_creating_kafka, prefix):
    """Both connections, with topics at the source."""
    source, target = connection_to(kafka, prefix), connection_to(auto_creating_kafka, prefix)
    await create_missing_topics(source)
    return source, target


async def write(connection, topic, value=b"1", partition=0):
    async with RecordWriter(connection) as writer:
        await writer.send(topic, b"key", value, partition=partition)


async def test_a_running_service_is_named(pair, prefix):
    """A producer that runs would write what is not copied any more."""
    source, target = pair
    async with RecordWriter(source) as writer:
        statuses = StatusWriter(writer, Topics(prefix).status)
        now = now_ms()
        statuses.put("produce/host-7", take_over("active", now).valid_for(60_000))
        await statuses.flush()

    with pytest.raises(
        RelayError, match=r"Nothing was copied: produce/host-7 reported at .* Stop all producers"
    ):
        await copied(source, target, now)


async def test_a_target_with_records_is_refused(pair, prefix):
    """An earlier copy, or another relay with the same prefix: nothing is mixed into it."""
    source, target = pair
    await create_missing_topics(target)
    await write(target, Topics(prefix).events)

    with pytest.raises(RelayError, match=rf"Nothing was copied: {prefix}\.events have records at .*Delete"):
        await copied(source, target)


async def test_a_copy_to_the_same_kafka_is_refused_without_the_advice_to_delete(pair):
    """Its topics have records: they are the only ones."""
    source, _ = pair
    bootstrap = str(source.kafka.bootstrap).replace("127.0.0.1", "localhost")
    same = replace(source, kafka=source.kafka.model_copy(update={"bootstrap": bootstrap}))

    with pytest.raises(RelayError, match=r"is the Kafka of these settings itself .* delete nothing"):
        await copied(source, same)


async def test_a_write_during_the_copy_is_noticed(pair, prefix):
    source, target = pair
    changes = Topics(prefix).changes

    with pytest.raises(RelayError, match=rf"not whole: {changes}.* changed meanwhile"):
        await copied(source, target, after=changes, write=lambda: write(source, changes))


async def test_what_kafka_does_meanwhile_is_no_fault_of_the_copy(pair, prefix, monkeypatch):
    """An older release made no topic of seals; the old Kafka deletes by its retention; the new one is late with its markers.

    The mark of a dead letter closes the same letter there, and no other.
    """
    source, target = pair
    topics = Topics(prefix)
    async with administered(source) as admin:
        await admin.delete_topics([topics.seals])
        await until_listed(source, lambda facts: topics.seals not in facts.topics)
    for value in (b"1", b"2", b"3"):
        await write(source, topics.changes, value)
    await letters_of_which_the_last_is_redriven(source, topics.dead_letters)
    late = [1, 1]

    async def late_bounds(consumer, partitions):
        found = await stable_bounds(consumer, partitions)
        if partitions == [TopicPartition(topics.changes, 0)] and late:
            late.pop()
            return {tp: replace(at, high_watermark=at.high_watermark + 1) for tp, at in found.items()}
        return found

    monkeypatch.setattr("management.topic_copier.stable_bounds", late_bounds)

    async def retain():
        await delete_records(source, TopicPartition(topics.changes, 0), 2)

    copies = await copied(source, target, after=topics.events, write=retain)

    async with open_letter_log(target, "acme", lambda _: None) as log:
        assert [(whole.stored, state) async for whole, state in log.letters()] == [
            (b"1", "open"),
            (b"2", "redriven"),
        ]
    assert late == []
    assert copies[topics.changes].records == 1
    assert copies[topics.seals] == TopicCopy(topics.seals, partitions=0, records=0)
    assert not any(report.problems for report in await compare_topics(target))


async def test_a_topic_with_fewer_partitions_there_is_named_before_the_copy(pair, prefix):
    source, target = pair
    status = Topics(prefix).status
    async with administered(source) as admin:
        await admin.create_partitions({status: NewPartitions(3)})
        await until_listed(source, lambda facts: facts.topics[status].partitions == 3)

    with pytest.raises(
        RelayError, match=rf"Nothing was copied: {status} has 3 partitions, and 1 at .*create"
    ):
        await copied(source, target)


async def letters_of_which_the_last_is_redriven(connection, topic):
    """Write three letters and a mark of the last one; the first is deleted, so that the offsets of the others move."""
    number = partition_of("acme", await read_shard_count(connection))
    async with RecordWriter(connection) as writer:
        for value in (b"0", b"1", b"2"):
            headers = relay_headers({"reason": "too odd", "destination": "siem"})
            await writer.send(topic, b"acme", value, partition=number, headers=headers)
        mark = mark_record(
            topic,
            parse_letter(letter_record(2, b"2", partition=number, destination="siem")),
            b"acme",
            "r-1",
            1,
        )
        await writer.send(topic, mark.key, mark.value, partition=number, headers=mark.headers)
    await delete_records(connection, TopicPartition(topic, number), 1)


async def until_listed(connection, condition):
    """Kafka lists a changed topic a moment later."""
    async with asyncio.timeout(60):
        while not condition(await read_topic_facts(connection)):
            await asyncio.sleep(0.05)


@asynccontextmanager
async def administered(connection):
    admin = AIOKafkaAdminClient(**connection.options())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def test_a_copy_that_differs_is_refused(pair, prefix):
    """Somebody writes to the other Kafka: the comparison names the partition."""
    source, target = pair
    topics = Topics(prefix)
    first, last = topics.all[0], topics.all[-1]

    with pytest.raises(RelayError, match=rf"The copy of {last}.* differs from what was read"):
        await copied(source, target, after=first, write=lambda: write(target, last))
