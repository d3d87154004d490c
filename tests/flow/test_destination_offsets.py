"""An operator pauses a destination, moves its offsets and resumes it, beside consumers that run."""

import asyncio
import json
from collections import Counter
from dataclasses import replace

import pytest

from consumer.timing import ConsumerTiming, ReporterTiming, TargetTiming
from management.destination_move import move, plan
from management.destination_offsets import read_offsets
from management.destinations import read_destinations, set_paused
from management.organizations.validation import InputError
from relay.avro.codec import InternalCodec
from relay.kafka import TopicPartition
from relay.kafka.topics import partition_of
from relay.timestamps import now_ms
from simulators.azure.world import LIVE
from tests.support.pipeline_world import (
    SHARDS,
    pipeline_world,
    some_events,
    uid,
    wait_for_status,
    wait_until,
)
from tests.support.raw_batches import stored_batch, with_bad_header_name, write_batch

QUICK = ConsumerTiming(
    target=TargetTiming(interval_seconds=0.2, handover_seconds=0.1),
    reporter=ReporterTiming(unjoined_seconds=0.5),
)


def times_by_uid(events):
    return {uid(each): each["collected"] for each in events}


async def members(world):
    (live, _) = await read_offsets(world.connection, "sentinel")
    return live.members


async def pause(world, *, paused=True):
    settings = world.settings().destinations
    done = await set_paused(world.connection, settings, "sentinel", "ann@host", now_ms(), paused=paused)
    assert (done.changed, done.failure) == (True, None)


async def paused_without_members(world):
    await pause(world)
    status = await wait_for_status(world, lambda status: status.state == "paused")
    assert "ann@host paused the destination sentinel" in status.reason
    async with asyncio.timeout(90):
        while await members(world) != 0:
            await asyncio.sleep(0.05)


def backed_up(status):
    """The offsets of the status, which count once Kafka has forgotten those of the group."""
    return {(each.topic, each.partition, each.offset) for each in status.offsets}


def stored(world):
    return Counter(world.azure.table(LIVE).uid_counts)


@pytest.mark.timeout(600)
async def test_a_rewound_destination_delivers_exactly_what_was_counted_again(kafka, prefix, monkeypatch):
    """The offsets of a running destination are not moved; events that come during the pause wait."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world, world.consuming(timing=QUICK) as consumer:
        events = some_events(400)
        await world.publish(events[:300])
        await world.wait_for_events()
        with pytest.raises(InputError, match="destinations pause sentinel"):
            await plan(world.connection, "sentinel", "live", "rewind", 0)

        await paused_without_members(world)
        await wait_until(consumer.ready)
        await world.publish(events[300:])
        times = times_by_uid(events[:300])
        middle = sorted(times.values())[150]
        again = {each for each, at in times.items() if at >= middle}
        planned = await plan(world.connection, "sentinel", "live", "rewind", middle)
        assert planned.counts.events == len(again)
        assert sum(planned.counts.by_organization.values()) == len(again)
        assert await move(world.connection, planned, "ann@host", now_ms()) is None
        assert set(stored(world)) == set(times)
        moved = {
            (each.partition.topic, each.partition.partition, each.after.offset) for each in planned.moves
        }
        await wait_for_status(
            world, lambda status: moved <= backed_up(status) and (status.lag or 0) >= 100 + len(again)
        )

        await pause(world, paused=False)
        await world.wait_for_events()
        await wait_until(lambda: sum(stored(world).values()) >= 400 + len(again))
        assert stored(world) == Counter(map(uid, events)) + Counter(again)
        changes = [
            InternalCodec("change").decode(each.value) for each in await world.records(world.topics.changes)
        ]
        assert [each["what"] for each in changes] == ["paused", "rewound", "resumed"]
        assert {each["organization"] for each in changes} == {"destination/sentinel"}
        assert json.loads(changes[1]["before"])["events"] == len(again)


@pytest.mark.timeout(600)
async def test_a_skipped_destination_leaves_exactly_what_was_counted_out(kafka, prefix, monkeypatch):
    """Later events arrive as always."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world, world.consuming(timing=QUICK):
        events = some_events(300)
        await world.publish(events[:100])
        await world.wait_for_events()
        await paused_without_members(world)
        await world.publish(events[100:200])
        planned = await plan(world.connection, "sentinel", "live", "skip", None)
        assert planned.counts.events == 100
        await world.publish(events[200:])
        assert await move(world.connection, planned, "ann@host", now_ms()) is None
        await pause(world, paused=False)
        await wait_until(lambda: sum(stored(world).values()) >= 200)
        assert stored(world) == Counter(map(uid, events[:100] + events[200:]))


@pytest.mark.timeout(180)
async def test_a_corrupt_batch_that_holds_a_partition_is_skipped(kafka, prefix, monkeypatch):
    """The count goes on behind it and says so; after the skip the partition is read on."""
    organization = "org0.atlassian.net"
    async with pipeline_world(kafka, prefix, monkeypatch) as world, world.consuming(timing=QUICK):
        events = some_events(60)
        await world.publish(events[:30])
        await world.wait_for_events()
        await paused_without_members(world)
        poisoned = TopicPartition(world.topics.events, partition_of(organization, SHARDS))
        batch = with_bad_header_name(stored_batch(0, [b"poison"], key=organization.encode()))
        assert await write_batch(world.connection, poisoned, batch) == 0
        planned = await plan(world.connection, "sentinel", "live", "skip", None)
        assert planned.counts.events == 0
        assert f"{poisoned.topic}, partition {poisoned.partition}" in planned.notes[-1]
        assert await move(world.connection, planned, "ann@host", now_ms()) is None
        await world.publish(events[30:])
        await pause(world, paused=False)
        await wait_until(lambda: sum(stored(world).values()) >= 60)
        assert stored(world) == Counter(map(uid, events))


async def test_a_move_that_was_counted_before_another_one_is_refused(kafka, prefix, monkeypatch):
    """Two operators: the second one counts anew."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        async with world.consuming(timing=QUICK):
            await world.publish(some_events(50))
            await world.wait_for_events()
        first = await plan(world.connection, "sentinel", "live", "rewind", 0)
        second = replace(first)
        assert await move(world.connection, first, "ann@host", now_ms()) is None
        with pytest.raises(Exception, match="have changed since they were counted"):
            await move(world.connection, second, "bob@host", now_ms())


async def test_a_destination_that_has_not_begun_cannot_be_moved(kafka, prefix, monkeypatch):
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        with pytest.raises(InputError, match="it has not begun"):
            await plan(world.connection, "sentinel", "live", "rewind", 0)
        (view,) = await read_destinations(world.connection, world.settings().destinations, now_ms())
        assert (view.state, view.lag) == ("no consumer", None)
