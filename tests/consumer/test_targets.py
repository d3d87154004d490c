"""Two settings files with one destination name and different targets, on a real Kafka."""

import asyncio
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient

from consumer.timing import ConsumerTiming, TargetTiming
from management.destinations import confirm_target
from tests.support.pipeline_world import (
    HISTORY,
    LIVE,
    pipeline_world,
    some_events,
    uid,
    uids,
    wait_for_status,
    wait_until,
)
from tests.support.running_consumer import RunningConsumer
from tests.support.topics import topics_of

TIMING = ConsumerTiming(target=TargetTiming(interval_seconds=0.3, handover_seconds=2.0, release_seconds=10.0))


def other_settings(world):
    """The same destination name, with another stream of the rule as the target."""
    settings = world.settings()
    changed = settings.destinations["sentinel"].model_copy(update={"stream": "Custom-JiraAuditRelayHistory"})
    return settings.model_copy(update={"destinations": {"sentinel": changed}})


@asynccontextmanager
async def consuming_to_the_other(world):
    running = RunningConsumer(other_settings(world), world.connection, TIMING)
    try:
        yield running
    finally:
        await running.stop()


async def test_another_target_under_a_known_name_gets_no_event_until_it_is_confirmed(
    kafka, prefix, monkeypatch
):
    """It owns no partition meanwhile, and says what to do; after the command the new target goes on where the old one was."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world, world.consuming(timing=TIMING) as first:
        await world.publish(some_events(60))
        await world.wait_for_events()
        async with consuming_to_the_other(world) as second:
            await wait_until(
                lambda: any("destinations confirm sentinel" in each for each in second.health.problems())
            )
            await world.publish(some_events(60, first=100))
            await world.wait_for_events()
            await wait_until(first.ready)
            assert uids(world.azure, HISTORY) == []

            settings = other_settings(world)
            done = await confirm_target(world.connection, settings.destinations, "sentinel")
            assert done["live"].before != done["live"].target
            assert done["history"].before == done["history"].target
            await wait_until(
                lambda: any("destinations confirm sentinel" in each for each in first.health.problems())
            )
            await wait_until(second.ready)
            before = list(world.published)
            await world.publish(some_events(60, first=1000))
            await world.wait_for_events(60, HISTORY)

    assert uids(world.azure, LIVE) == sorted(map(uid, before))
    assert uids(world.azure, HISTORY) == sorted(uid(each) for each in world.published if each not in before)


async def test_of_two_that_start_at_once_one_gets_everything(kafka, prefix, monkeypatch):
    async with (
        pipeline_world(kafka, prefix, monkeypatch) as world,
        world.consuming(timing=TIMING) as first,
        consuming_to_the_other(world) as second,
    ):
        await wait_until(lambda: first.ready() or second.ready())
        await world.publish(some_events(60, organizations=10))
        expected = sorted(map(uid, world.published))
        await wait_until(lambda: expected in (uids(world.azure, LIVE), uids(world.azure, HISTORY)))
        assert [] in (uids(world.azure, LIVE), uids(world.azure, HISTORY))
        assert not (first.ready() and second.ready())


async def test_a_paused_destination_reports_when_nobody_else_does(kafka, prefix, monkeypatch):
    """The process of the former target is gone: the status topic says why nothing is delivered."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        await confirm_target(world.connection, world.settings().destinations, "sentinel")
        async with consuming_to_the_other(world):
            status = await wait_for_status(world, lambda status: status.state == "paused")
            assert "belonged to another target" in status.reason


async def test_an_installation_without_the_topic_goes_on_and_says_so(kafka, prefix, monkeypatch):
    """During a rolling upgrade, until `topics create` has run."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        admin = AIOKafkaAdminClient(bootstrap_servers=world.connection.bootstrap)
        await admin.start()
        await admin.delete_topics([world.topics.destinations])
        await admin.close()
        while world.topics.destinations in await topics_of(world.connection):
            await asyncio.sleep(0.05)
        await world.publish(some_events(30))
        async with world.consuming(timing=TIMING) as consumer:
            await world.wait_for_events()
            await wait_until(consumer.ready)
            status = await wait_for_status(world, lambda status: "not known" in (status.reason or ""))
            assert "jira-relay topics create" in status.reason
