"""The backup of the last offsets when consumers stop."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from consumer import service
from consumer.last_backup import back_up_left_groups
from consumer.offsets.backup import destination_status_key
from consumer.offsets.delivered import DeliveryProgress
from consumer.offsets.group_reader import GroupProgress
from consumer.running_pipelines import RunningDestination
from consumer.timing import ConsumerServiceTiming, ConsumerTiming, ReporterTiming
from relay.kafka import TopicPartition
from relay.status.model import GroupOffset
from relay.status.reader import read_statuses
from relay.status.writer import StatusWriter
from tests.consumer.test_status_reporter import running_pipeline
from tests.support.pipeline_world import committed_and_ends, pipeline_world, some_events, wait_until
from tests.support.views import status

KEY = destination_status_key("sentinel")
RARELY = ConsumerTiming(reporter=ReporterTiming(backup_seconds=3600))


def left_pipeline(flow, offset, members=0):
    """Return a flow whose group has committed `offset`, and has so many members."""
    partitions = {TopicPartition(flow, 0): (DeliveryProgress.starting_at(offset), offset)}
    return replace(
        running_pipeline(flow), read_unjoined=lambda: asyncio.sleep(0, GroupProgress(members, partitions))
    )


async def last_status_of(pipelines, stored, *, before=None, fail=None):
    """Back up, and return the status that was put; None: none was. `stored`: the one on the topic; `before`: until the groups are read."""
    reads = iter([before or stored, stored])

    async def to_continue(_key, *, replaceable):
        assert not replaceable
        if fail is not None:
            raise fail
        return next(reads)

    status_writer = StatusWriter(None, "status")
    cache = SimpleNamespace(to_continue=to_continue)
    backed_up = await back_up_left_groups(
        "sentinel", RunningDestination(pipelines), cache, status_writer, 0.2
    )
    found = status_writer.last_put(KEY)
    assert backed_up == (found is not None)
    return found


async def test_the_last_to_leave_backs_up_the_offsets_of_all_flows():
    """It keeps owner and validity of the stored record: a process that has joined since writes with a higher epoch."""
    stored = status(offsets=(GroupOffset("live", 0, 5), GroupOffset("gone", 0, 3)))
    flows = [left_pipeline("live", 9), left_pipeline("history", 4), left_pipeline("older", 2)]
    found = await last_status_of(flows, stored)
    assert [(each.topic, each.offset) for each in found.offsets] == [("gone", 3), ("history", 4), ("live", 9)]
    assert [(each.topic, each.offset) for each in found.older_offsets] == [("older", 2)]
    assert (found.epoch, found.valid_until, found.state) == (stored.epoch, stored.valid_until, stored.state)


async def test_the_backup_of_a_process_that_took_over_meanwhile_remains():
    """It joined after the groups were read, so its offsets may be later ones."""
    before = status(offsets=(GroupOffset("live", 0, 5),))
    stored = replace(before, epoch=before.epoch + 1, offsets=(GroupOffset("live", 0, 20),))
    assert await last_status_of([left_pipeline("live", 9)], stored, before=before) is None


async def test_the_end_of_the_former_owner_remains():
    """It was written while the groups were read."""
    before = status()
    stored = replace(before, valid_until=before.valid_until - 1)
    found = await last_status_of([left_pipeline("live", 9)], stored, before=before)
    assert (found.valid_until, [each.offset for each in found.offsets]) == (stored.valid_until, [9])


@pytest.mark.parametrize("members", [1, None])
async def test_a_group_with_members_is_left_to_them(members):
    flows = [left_pipeline("live", 9), left_pipeline("history", 4, members)]
    assert await last_status_of(flows, status()) is None


async def test_a_process_that_may_be_no_member_backs_up_nothing():
    """The group may be that of another target, and the report on a paused destination has followed its offsets."""
    guard = SimpleNamespace(reason_to_leave="ann@host paused it.")
    assert await last_status_of([replace(left_pipeline("live", 9), guard=guard)], status()) is None


async def test_a_kafka_that_is_away_holds_up_no_stop_and_is_named():
    """Nothing is put over a status that cannot be read: it may be the one memory of other offsets."""
    silent = replace(running_pipeline("live"), read_unjoined=lambda: asyncio.sleep(60))
    with capture_logs() as lines:
        assert await last_status_of([silent], status()) is None
        assert await last_status_of([left_pipeline("live", 9)], status(), fail=OSError("away")) is None
    assert [each["log_level"] for each in lines] == ["warning", "warning"]


@pytest.mark.parametrize("together", [True, False], ids=["together", "one after the other"])
async def test_consumers_that_stop_leave_the_last_offsets_in_the_backup(kafka, prefix, monkeypatch, together):
    """A switch to a mirror right after the stop repeats nothing, also where the owner of the status leaves first."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        async with world.consuming(timing=RARELY) as first, world.consuming(timing=RARELY) as second:
            await world.publish(some_events(30), size=5)
            await world.wait_for_events()
            async with asyncio.timeout(60):  # a backup continues a status
                while KEY not in await read_statuses(world.connection, world.topics.status):
                    await asyncio.sleep(0.05)
            if together:
                await asyncio.gather(first.stop(), second.stop())
        stored = (await read_statuses(world.connection, world.topics.status))[KEY]
        committed, ends = await committed_and_ends(world)
        assert committed == ends
        backed_up = {TopicPartition(each.topic, each.partition): each.offset for each in stored.offsets}
        assert {each: backed_up.get(each) for each in ends} == ends


async def test_a_kafka_that_took_no_last_status_is_not_asked_for_offsets(kafka, prefix, monkeypatch):
    """A stop waits once for a Kafka that is away, and names what is not backed up."""
    timing = ConsumerTiming(service=ConsumerServiceTiming(flush_seconds=0.1))
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        with capture_logs() as lines:
            async with world.consuming(timing=timing) as consumer:
                await wait_until(consumer.ready)
                monkeypatch.setattr(StatusWriter, "flush", lambda _writer: asyncio.sleep(60))
                monkeypatch.setattr(service, "back_up_left_groups", None)
                await consumer.stop()

    (missing,) = (each for each in lines if each["event"].startswith("Last offsets were not backed up."))
    assert (missing["destination"], missing["reason"]) == ("sentinel", "Kafka did not answer")
