"""First starts with `recent`: the last hour is live, what is older goes to history, each once, also where a process dies between."""

import asyncio
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka.admin import AdminClient

from consumer.destinations.sentinel import SENTINEL
from consumer.timing import ConsumerTiming, ReporterTiming
from tests.support.pipeline_world import (
    HISTORY,
    LIVE,
    committed_and_ends,
    pipeline_world,
    some_events,
    uid,
    uids,
    wait_for_status,
    wait_until,
)
from tests.support.running_consumer import CONSUMER_PROGRAM

HOUR_MS = 3_600_000
TIMING = ConsumerTiming(reporter=ReporterTiming(backup_seconds=0.5))


def events_of_age(hours, first, count=30):
    collected = int(time.time() * 1000 - hours * HOUR_MS)
    return [
        each | {"created": collected - 1000, "collected": collected + number}
        for number, each in enumerate(some_events(count, first=first))
    ]


async def publish_ages(world):
    """Publish events of 2 days, 2 hours and 10 minutes; return the older ones and the recent ones as ids.

    In one transaction: the markers of a transaction have the time of the test, as no marker between old events has.
    """
    ages = [events_of_age(48, 0), events_of_age(2, 1000), events_of_age(1 / 6, 2000)]
    await world.publish([one for age in ages for one in age])
    return sorted(map(uid, ages[0] + ages[1])), sorted(map(uid, ages[2]))


def without_history():
    @asynccontextmanager
    async def open_live(name, config, seconds):
        async with SENTINEL.open(name, config, seconds) as streams:
            yield {"live": streams["live"]}

    return {"sentinel": replace(SENTINEL, open=open_live)}


async def wait_until_delivered(world):
    """Wait until the status shows that the group of older events is complete."""
    await world.wait_for_events(60, HISTORY)
    return await wait_for_status(
        world,
        lambda status: (
            status.older_offsets and all(each.offset >= each.live_from for each in status.older_offsets)
        ),
    )


async def members(world, group):
    admin = AIOKafkaAdminClient(bootstrap_servers=world.connection.bootstrap)
    await admin.start()
    (answer,) = await admin.describe_consumer_groups([f"{world.topics.prefix}.{group}"])
    await admin.close()
    return answer.groups[0][-2]


async def test_what_is_older_than_an_hour_goes_to_history_once(kafka, prefix, monkeypatch):
    """The group of older events ends then; neither a restart nor the end of its offsets begins it again."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        older, recent = await publish_ages(world)
        async with world.consuming(start="recent", timing=TIMING) as consumer:
            await wait_until_delivered(world)
            await world.wait_for_events(30)
            await wait_until(consumer.ready)
            await world.publish(events_of_age(0, 3000))
            await world.wait_for_events(60)
            status = await wait_for_status(world, lambda status: status.start)
            assert status.start == "recent"
            async with asyncio.timeout(60):
                while await members(world, "sentinel.older"):
                    await asyncio.sleep(0.2)
        assert uids(world.azure, HISTORY) == older
        live = sorted([*recent, *map(uid, world.published[-30:])])
        assert uids(world.azure, LIVE) == live

        admin = AdminClient({"bootstrap.servers": world.connection.bootstrap})
        (deleted,) = admin.delete_consumer_groups([f"{world.topics.prefix}.sentinel.older"]).values()
        await asyncio.to_thread(deleted.result, 60)
        async with world.consuming(start="recent", timing=TIMING) as consumer:
            await wait_until(consumer.ready)
            await asyncio.sleep(3)
        assert (uids(world.azure, HISTORY), uids(world.azure, LIVE)) == (older, live)


async def test_two_processes_that_start_at_once_agree(kafka, prefix, monkeypatch):
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        older, recent = await publish_ages(world)
        async with (
            world.consuming(start="recent", timing=TIMING),
            world.consuming(start="recent", timing=TIMING),
        ):
            await wait_until_delivered(world)
            await world.wait_for_events(30)
        assert (uids(world.azure, HISTORY), uids(world.azure, LIVE)) == (older, recent)


async def test_the_process_dies_between_the_first_commits_of_the_groups(kafka, prefix, monkeypatch):
    """Live has begun and history has not; the next process knows the split offset, also where events have aged meanwhile."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        older, recent = await publish_ages(world)
        async with world.consuming(start="recent", timing=TIMING, kinds=without_history()):
            await world.wait_for_events(30)
            status = await wait_for_status(world, lambda status: "not sent" in (status.reason or ""))
            assert "has no target for history" in status.reason
            assert status.state == "active"
        aged = replace(TIMING, start=replace(TIMING.start, recent_ms=1))
        async with world.consuming(start="recent", timing=aged):
            await wait_until_delivered(world)
        assert (uids(world.azure, HISTORY), uids(world.azure, LIVE)) == (older, recent)


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.5])
async def test_a_kill_loses_nothing_and_sends_nothing_old_as_live(seconds, kafka, prefix, monkeypatch):
    """Killed so long after the first row: while older events begin, are sent, or are delivered."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        older, recent = await publish_ages(world)
        settings = world.settings(start="recent")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CONSUMER_PROGRAM, settings.model_dump_json(), cwd=Path.cwd()
        )
        await world.wait_for_events(1)
        await asyncio.sleep(seconds)
        process.kill()
        await process.wait()
        async with world.consuming(start="recent", timing=TIMING):
            await wait_until_delivered(world)
            await world.wait_for_events(30)
        assert sorted(set(uids(world.azure, HISTORY))) == older
        assert sorted(set(uids(world.azure, LIVE))) == recent


@pytest.mark.parametrize("start", ["earliest", "recent"])
async def test_where_nothing_is_older_no_group_of_older_events_begins(start, kafka, prefix, monkeypatch):
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        if start == "earliest":
            await publish_ages(world)
        else:
            await world.publish(events_of_age(0.1, 0))
        async with world.consuming(start=start, timing=TIMING) as consumer:
            await world.wait_for_events()
            await wait_until(consumer.ready)
            await asyncio.sleep(2)
        committed, _ = await committed_and_ends(world, group="sentinel.older")
        assert set(committed.values()) == {None}
        assert uids(world.azure, HISTORY) == []
