"""Where a group goes on after a fail-over to a mirrored cluster, whose offsets are other numbers."""

from contextlib import asynccontextmanager
from dataclasses import replace

from consumer.timing import AssignmentTiming, ConsumerTiming, ReporterTiming, StartTiming
from relay.kafka.producer import RecordWriter
from relay.status.reader import read_statuses
from relay.status.writer import StatusWriter
from relay.timestamps import now_ms
from tests.support.mirror import (
    STATUS_KEY,
    commit,
    committed_metadata,
    copy_records,
    translated,
    without_marks,
)
from tests.support.pipeline_world import (
    committed_and_ends,
    pipeline_world,
    some_events,
    uid,
    uids,
    wait_for_status,
    wait_until,
)

TIMING = ConsumerTiming(
    reporter=ReporterTiming(backup_seconds=0.1, offsets_seconds=0.1, renewal_seconds=1.0),
    start=StartTiming(log_end_wait_seconds=2.0),
    assignment=AssignmentTiming(retry_seconds=0.2),
)
SELDOM_BACKED_UP = replace(TIMING, reporter=ReporterTiming(backup_seconds=3600))


@asynccontextmanager
async def failed_over(kafka, other_kafka, prefix, monkeypatch, keep=lambda _record: True):
    """Deliver 60 events at one cluster, and copy them to another: yields both worlds and the status of the first.

    The consumer stops as soon as all are delivered: its stop backs up the offsets.
    """
    async with (
        pipeline_world(kafka, prefix, monkeypatch) as original,
        pipeline_world(other_kafka, prefix, monkeypatch) as mirror,
    ):
        for name, value in original.azure.environment().items():
            monkeypatch.setenv(name, value)
        await original.publish(some_events(60), size=5)
        async with original.consuming(timing=SELDOM_BACKED_UP):
            await original.wait_for_events()
        status = (await read_statuses(original.connection, original.topics.status))[STATUS_KEY.decode()]
        await copy_records(original, mirror, original.topics.events, keep)
        for name, value in mirror.azure.environment().items():
            monkeypatch.setenv(name, value)
        yield original, mirror, status


async def restore_status(world, status):
    async with RecordWriter(world.connection) as writer:
        status_writer = StatusWriter(writer, world.topics.status)
        status_writer.put(STATUS_KEY.decode(), status)
        await status_writer.flush()


async def deliver_new_events(mirror, count=40):
    """Publish new events at the mirror, and wait until all of them are delivered; returns the status."""
    await mirror.publish(some_events(count, first=1000), size=5)
    started = now_ms()
    async with mirror.consuming(timing=TIMING) as consumer:
        new = set(map(uid, mirror.published))
        await mirror.azure.wait_until(lambda: new <= set(uids(mirror.azure)), 120)
        await wait_until(consumer.ready)
        return await wait_for_status(
            mirror, lambda status: status.at > started and (status.state, status.lag) == ("active", 0)
        )


async def test_offsets_of_a_backup_are_not_believed_in_another_log(
    kafka, auto_creating_kafka, prefix, monkeypatch
):
    """The offsets of the original are later than new events of the mirror: the last delivered event is searched, and found."""
    async with failed_over(kafka, auto_creating_kafka, prefix, monkeypatch) as (_, mirror, status):
        await restore_status(mirror, status)
        after = await deliver_new_events(mirror)
        assert uids(mirror.azure) == sorted(map(uid, mirror.published))
        assert "delivery continues after it. Nothing is lost or repeated." in after.reason


async def test_a_mirror_without_the_last_delivered_event_is_read_again(
    kafka, auto_creating_kafka, prefix, monkeypatch
):
    """It had not received the end of the log. Events are repeated, none is skipped, and the status names the time."""
    first = []

    def keep(record):
        first.append(record)
        return len(first) <= 45

    async with failed_over(kafka, auto_creating_kafka, prefix, monkeypatch, keep) as (
        original,
        mirror,
        status,
    ):
        await restore_status(mirror, status)
        after = await deliver_new_events(mirror)
        repeated = set(uids(mirror.azure)) - set(map(uid, mirror.published))
        assert repeated <= set(map(uid, original.published))
        assert mirror.azure.duplicates() == {}
        assert "are delivered again" in after.reason


async def test_committed_offsets_are_not_believed_in_another_log(
    kafka, auto_creating_kafka, prefix, monkeypatch
):
    """A copy of the group with the numbers of the original, and with the relay's metadata."""
    async with failed_over(kafka, auto_creating_kafka, prefix, monkeypatch) as (original, mirror, _):
        await commit(mirror, await committed_metadata(original))
        after = await deliver_new_events(mirror)
        assert uids(mirror.azure) == sorted(map(uid, mirror.published))
        assert "Nothing is lost or repeated." in after.reason


async def test_translated_offsets_are_obeyed(kafka, auto_creating_kafka, prefix, monkeypatch):
    """MirrorMaker commits its own numbers, with the metadata as it was: nothing is lost or repeated."""
    async with failed_over(kafka, auto_creating_kafka, prefix, monkeypatch) as (original, mirror, _):
        offsets = translated(
            await committed_metadata(original),
            await original.records(original.topics.events),
            await mirror.records(mirror.topics.events),
        )
        await commit(mirror, offsets)
        after = await deliver_new_events(mirror)
        assert uids(mirror.azure) == sorted(map(uid, mirror.published))
        assert after.reason is None


async def test_a_backup_without_proof_repeats_and_skips_nothing(
    kafka, auto_creating_kafka, prefix, monkeypatch
):
    """An older release mirrored offsets alone."""
    async with failed_over(kafka, auto_creating_kafka, prefix, monkeypatch) as (original, mirror, status):
        await restore_status(mirror, without_marks(status))
        after = await deliver_new_events(mirror)
        assert set(uids(mirror.azure)) == set(map(uid, original.published + mirror.published))
        assert "delivered again" in after.reason


async def test_a_first_start_at_the_end_is_proved_too(kafka, auto_creating_kafka, prefix, monkeypatch):
    """Nothing has been delivered yet: the record before the start proves the offset, and is found at the mirror."""
    async with (
        pipeline_world(kafka, prefix, monkeypatch) as original,
        pipeline_world(auto_creating_kafka, prefix, monkeypatch) as mirror,
    ):
        await original.publish(some_events(60), size=5)
        ends = sum((await committed_and_ends(original))[1].values())
        async with original.consuming(timing=TIMING, start="latest"):
            status = await wait_for_status(
                original,
                lambda status: sum(each.offset for each in status.offsets if "events" in each.topic) == ends,
            )
        await copy_records(original, mirror, original.topics.events)
        await restore_status(mirror, status)
        after = await deliver_new_events(mirror)
        assert uids(mirror.azure) == sorted(map(uid, mirror.published))
        assert "delivery continues after it" in after.reason
