"""What a consumer says while its group does not read every partition, or does not know."""

import asyncio
import time

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from consumer.assignment.coverage import NOT_KNOWN, CoverageCheck
from consumer.assignment.handler import AssignmentHandler
from consumer.timing import ConsumerTiming, CoverageTiming, ReporterTiming
from relay.kafka import KafkaError
from relay.kafka.bounded_consumer import GroupCoverage
from relay.kafka.topic_admin import create_missing_topics
from tests.support.pipeline_world import (
    SHARDS,
    pipeline_world,
    some_events,
    uid,
    uids,
    wait_for_status,
    wait_until,
)

QUICK = ConsumerTiming(
    coverage=CoverageTiming(interval_seconds=0.5), reporter=ReporterTiming(backup_seconds=1.0)
)


async def with_admin(world, act):
    admin = AIOKafkaAdminClient(bootstrap_servers=world.connection.bootstrap)
    await admin.start()
    try:
        await act(admin)
    finally:
        await admin.close()


async def add_partitions(world, count):
    """Give each topic that has a partition for each shard `count` of them: consumers refuse to start where the counts differ."""
    topics = world.topics
    sharded = (topics.events, topics.backfill, topics.organizations, topics.progress, topics.dead_letters)
    new = {each: NewPartitions(total_count=count) for each in sharded}
    await with_admin(world, lambda admin: admin.create_partitions(new))


def lag(consumer, flow="live"):
    return consumer.registry.get_sample_value(
        "jira_relay_consumer_lag_events", {"destination": "sentinel", "flow": flow}
    )


async def test_a_topic_that_was_made_anew_is_read_again_and_never_called_ready_meanwhile(
    kafka, prefix, monkeypatch
):
    """The members keep an assignment without partitions until they look: that is no lag of 0."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world, world.consuming(timing=QUICK) as consumer:
        await world.publish(some_events(30))
        await world.wait_for_events()
        await wait_until(lambda: consumer.ready() and lag(consumer) == 0)
        await world.close()
        await with_admin(world, lambda admin: admin.delete_topics([world.topics.events]))
        await wait_until(lambda: not consumer.ready())
        await wait_until(lambda: lag(consumer) is None)
        await create_missing_topics(world.connection)
        await world.publish(some_events(30, first=100))
        await wait_until(consumer.ready)
        await world.wait_for_events()
        assert uids(world.azure) == sorted(map(uid, world.published))


async def test_partitions_that_were_added_are_named_until_they_are_read(kafka, prefix, monkeypatch):
    """And read within seconds, not at the next refresh of the metadata after five minutes."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world, world.consuming(timing=QUICK) as consumer:
        await wait_until(consumer.ready)
        count = SHARDS + 2
        new = {world.topics.events: NewPartitions(total_count=count)}
        await with_admin(world, lambda admin: admin.create_partitions(new))
        await world.publish(some_events(40, organizations=20), partitions=count)
        await world.wait_for_events()
        await wait_until(consumer.ready)
        status = await wait_for_status(world, lambda status: len(status.offsets) == SHARDS + count)
        assert status.state == "active"


@pytest.mark.parametrize("start", ["latest", "recent"])
async def test_events_of_an_added_partition_are_delivered_wherever_the_destination_began(
    start, kafka, prefix, monkeypatch
):
    """Also those that were written before any consumer knew the partition: its end is no place to begin."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        await world.publish(some_events(30, collected=int(time.time() * 1000) - 60_000))
        async with world.consuming(timing=QUICK, start=start) as consumer:
            await wait_until(consumer.ready)
            if start == "latest":
                world.published.clear()
        count = SHARDS + 2
        await add_partitions(world, count)
        await world.close()  # the next producer knows the partitions
        later = some_events(40, organizations=20, first=100, collected=int(time.time() * 1000))
        await world.publish(later, partitions=count)
        async with world.consuming(timing=QUICK, start=start) as consumer:
            await world.wait_for_events()
            await wait_until(consumer.ready)
        assert uids(world.azure) == sorted(map(uid, world.published))


async def test_a_kill_between_the_steps_of_an_added_partition_skips_nothing(kafka, prefix, monkeypatch):
    """The process dies before it knows the partition, when it has begun it, and while it sends; the next one begins where it was."""
    async with pipeline_world(kafka, prefix, monkeypatch, session=6) as world:
        process = await world.start_process()
        await world.publish(some_events(30))
        await world.wait_for_events()
        count = SHARDS + 2
        await add_partitions(world, count)
        await world.close()
        for number, seconds in enumerate((0.5, 3.0)):
            later = some_events(40, organizations=20, first=100 * (number + 1))
            await world.publish(later, partitions=count)
            await asyncio.sleep(seconds)
            process.kill()
            await process.wait()
            process = await world.start_process()
        try:
            await world.wait_for_events()
        finally:
            process.kill()
            await process.wait()
        assert set(uids(world.azure)) == set(map(uid, world.published))


async def test_a_group_that_says_nothing_is_not_ready(kafka, prefix, monkeypatch):
    """Without an answer about its partitions a consumer without a fault is not ready, and tells no lag."""

    async def refuse(_handler, _topic):
        raise KafkaError("the coordinator does not say")

    monkeypatch.setattr(AssignmentHandler, "group_coverage", refuse)
    async with pipeline_world(kafka, prefix, monkeypatch) as world, world.consuming(timing=QUICK) as consumer:
        await wait_until(lambda: consumer.health.problems() and NOT_KNOWN in consumer.health.problems()[0])
        await wait_for_status(world, lambda status: status.reason == NOT_KNOWN and status.lag is None)
        assert lag(consumer) is None


async def check(answers):
    """Return a check whose look-ups give these answers, one each, and the times that `now` says."""
    now = [0.0]
    pending = list(answers)

    async def read():
        await asyncio.sleep(0)
        answer = pending.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return CoverageCheck("events", read, CoverageTiming(), lambda: now[0]), now


ALL = GroupCoverage(frozenset(range(3)), frozenset(range(3)))


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ([ALL], None),
        ([GroupCoverage(frozenset(), frozenset())], "Kafka has no topic events"),
        ([GroupCoverage(frozenset(range(3)), frozenset([1]))], "reads partition 0, 2 of events"),
        ([None], NOT_KNOWN),
        ([KafkaError("away")], NOT_KNOWN),
        ([TimeoutError()], NOT_KNOWN),
    ],
)
async def test_only_an_answer_that_all_are_read_is_good_news(answers, problem):
    one, _ = await check(answers)
    assert one.problem == NOT_KNOWN
    await one.refresh()
    assert one.problem is None if problem is None else problem in one.problem
    assert (one.partitions is None) == (problem is not None)


async def test_good_news_expires():
    """A rebalance and a short silence do not change it; a minute without an answer does."""
    one, now = await check([ALL, None, KafkaError("away"), ALL])
    await one.refresh()
    for second in (10, 20):
        now[0] = second
        await one.refresh()
        assert one.problem is None
    now[0] = 61
    assert one.problem == NOT_KNOWN
    await one.refresh()
    assert one.problem is None
    one.forget()
    assert one.problem == NOT_KNOWN
