"""Where a group goes on: at its first start, where Kafka has forgotten its offsets, and where it has deleted what was to come."""

import asyncio
from datetime import timedelta

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from confluent_kafka.admin import AdminClient

from consumer.assignment.handler import AssignmentHandler
from consumer.losses.store import LossStore
from consumer.offsets.delivered import RecordFingerprint
from consumer.timing import AssignmentTiming, BufferLimits, ConsumerTiming, LossTiming, ReporterTiming
from relay.kafka import KafkaError, TopicPartition
from relay.kafka.bounded_consumer import BoundedConsumer
from relay.kafka.producer import RecordWriter
from relay.status.model import GroupOffset, Status, StoredFingerprint, take_over
from relay.status.writer import StatusWriter
from simulators import faults
from tests.support.expected_rows import EPOCH
from tests.support.pipeline_world import (
    LIVE,
    committed_and_ends,
    pipeline_world,
    some_events,
    uid,
    uids,
    wait_for_status,
    wait_until,
)
from tests.support.running_consumer import with_limits


@pytest.mark.parametrize("start", ["earliest", "latest"])
async def test_the_first_start_is_where_the_setting_says(start, kafka, prefix, monkeypatch):
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        before, after = some_events(30), some_events(30, first=100)
        await world.publish(before)
        async with world.consuming(start=start) as consumer:
            await wait_until(consumer.ready)
            await consumer.stop()
        await world.publish(after)
        async with world.consuming(start=start):
            await world.wait_for_events(60 if start == "earliest" else 30)
            status = await wait_for_status(world, lambda status: status.start)

        assert uids(world.azure) == sorted(map(uid, before + after if start == "earliest" else after))
        assert status.start == start


async def test_the_first_start_may_be_a_time(kafka, prefix, monkeypatch):
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        await world.publish(some_events(30))
        collected = world.published[20]["collected"]
        start = (EPOCH + timedelta(milliseconds=collected)).isoformat()
        async with world.consuming(start=start):
            await world.wait_for_events(10)
        assert uids(world.azure) == sorted(map(uid, world.published[20:]))


async def test_a_group_that_kafka_has_forgotten_resumes_from_the_status_topic(kafka, prefix, monkeypatch):
    """Its name is new to Kafka; the status topic remembers where it was."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        await world.publish(some_events(60, organizations=1))
        (partition,) = {each.partition for each in await world.records(world.topics.events)}
        records = await world.records(world.topics.events)
        last = RecordFingerprint.of(records[39])
        fingerprint = StoredFingerprint(last.offset, last.checksum, last.timestamp)
        taken_over = take_over("active", 1)
        status = Status(
            **{name: getattr(taken_over, name) for name in ("state", "since", "at", "valid_until", "epoch")},
            start="earliest",
            offsets=(GroupOffset(world.topics.events, partition, records[40].offset, fingerprint),),
        )
        await put_status(world, status)
        async with world.consuming():
            await world.wait_for_events(20)
        assert uids(world.azure) == sorted(map(uid, world.published[40:]))


async def test_a_group_whose_offsets_kafka_has_forgotten_resumes_from_its_last_backup(
    kafka, prefix, monkeypatch
):
    """Nothing is skipped, and no more comes again than was accepted since."""
    timing = ConsumerTiming(reporter=ReporterTiming(backup_seconds=0.1))
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        await world.publish(some_events(60))
        async with world.consuming(timing=timing):
            await world.wait_for_events()
            ends = sum((await committed_and_ends(world))[1].values())
            await wait_for_status(world, lambda status: sum(each.offset for each in status.offsets) == ends)
        admin = AdminClient({"bootstrap.servers": world.connection.bootstrap})
        for deleted in admin.delete_consumer_groups([f"{prefix}.sentinel"], request_timeout=60).values():
            await asyncio.wrap_future(deleted)
        found, _ = await committed_and_ends(world)
        assert set(found.values()) == {None}
        await world.publish(some_events(60, first=100))
        async with world.consuming():
            await world.wait_for_events()
        assert uids(world.azure) == sorted(map(uid, world.published))


async def put_status(world, status):
    async with RecordWriter(world.connection) as writer:
        status_writer = StatusWriter(writer, world.topics.status)
        status_writer.put("destination/sentinel", status)
        await status_writer.flush()


async def test_events_that_kafka_deleted_are_named_and_the_rest_goes_on(kafka, prefix, monkeypatch):
    """The lost range is kept after the consumer has ended, until an operator dismisses it. Its first record fails here."""
    write, failures = LossStore.write, [KafkaError("no answer")]

    async def fail_once(store, lost):
        if failures:
            raise failures.pop()
        await write(store, lost)

    monkeypatch.setattr(LossStore, "write", fail_once)
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        await world.publish(some_events(10, organizations=1))
        async with world.consuming():
            await world.wait_for_events()
        await world.publish(some_events(50, organizations=1, first=100))
        records = await world.records(world.topics.events)
        await delete_before(world, records[40])
        async with world.consuming() as consumer:
            await world.wait_for_events(30)
            assert (
                consumer.metric("jira_relay_consumer_offsets_lost_total")
                == records[40].offset - records[9].offset - 2
            )
            entry = await recorded_loss(world, lambda each: each.collected_until is not None)
            assert entry.stop == records[40].offset
            assert (entry.collected_from, entry.collected_until) == (
                records[9].timestamp,
                records[40].timestamp,
            )
        async with world.consuming(timing=ConsumerTiming(losses=LossTiming(refresh_seconds=0.2))):
            command = f"jira-relay replay start --destination sentinel --lost events/{entry.partition}/{entry.start}"
            await wait_for_status(world, lambda status: command in (status.reason or ""))
            await dismiss(world, entry)
            await wait_for_status(world, lambda status: status.reason is None)

        assert uids(world.azure) == sorted(uid(each) for each in world.published[:10] + world.published[40:])


async def test_a_running_consumer_that_retention_overtakes_names_what_it_missed(kafka, prefix, monkeypatch):
    """It holds back while the destination is slow; what it had read before is delivered, what is kept as well, each once, and
    no partition moves for it.
    """
    buffers = BufferLimits(record_buffer_bytes=1)
    options = {
        "timing": ConsumerTiming(assignment=AssignmentTiming(capacity_wait_seconds=0.1, buffers=buffers)),
        "kinds": {"sentinel": with_limits(in_flight_bytes=1)},
    }
    held, pause, resume = asyncio.Event(), BoundedConsumer.pause, BoundedConsumer.resume

    def held_back(consumer, partitions):
        held.set()
        pause(consumer, partitions)

    def resumed(consumer, partitions):
        held.clear()
        resume(consumer, partitions)

    # No partition may move, so a session lasts longer than a busy machine may pause.
    calm = pipeline_world(kafka, prefix, monkeypatch, session=45)
    async with calm as world, world.consuming(**options) as consumer:
        await wait_until(consumer.ready)
        hanging = world.azure.fault(faults.hang(3), rate=1)
        await world.publish(some_events(1, organizations=1))
        await wait_until(lambda: world.azure.calls)
        monkeypatch.setattr(BoundedConsumer, "pause", held_back)
        monkeypatch.setattr(BoundedConsumer, "resume", resumed)
        monkeypatch.setattr(AssignmentHandler, "assigned", None)
        for number in range(1, 50):  # until it is held back, and not for a moment only
            await world.publish(some_events(1, organizations=1, first=number))
            await asyncio.sleep(0.5)
            if held.is_set():
                break
        await world.publish(some_events(40, organizations=1, first=100))
        records = await world.records(world.topics.events)
        kept = records[-10]
        await delete_before(world, kept)
        hanging.cancel()
        world.azure.clear_faults()
        last = uid(world.published[-1])
        await world.azure.wait_until(lambda: last in world.azure.table(LIVE).uid_counts)
        status = await wait_for_status(world, lambda status: "collected before" in (status.reason or ""))

        assert world.azure.duplicates() == {}
        missing = set(map(uid, world.published)) - set(uids(world.azure))
        offsets = {uid(each): record.offset for each, record in zip(world.published, records, strict=True)}
        first = min(offsets[each] for each in missing)
        assert missing == {each for each, offset in offsets.items() if first <= offset < kept.offset}
        lost = consumer.metric("jira_relay_consumer_offsets_lost_total")
        assert lost - (kept.offset - first) in {0, 1}  # the end of a transaction takes an offset too
        assert f"to {kept.offset - 1} of {world.topics.events}" in status.reason
        entry = await recorded_loss(world, lambda each: each.collected_until is not None)
        assert (entry.stop, entry.collected_until) == (kept.offset, kept.timestamp)
        until_then = EPOCH + timedelta(milliseconds=kept.timestamp)
        text = until_then.isoformat(timespec="milliseconds")
        await wait_for_status(world, lambda status: text in (status.reason or ""))


async def recorded_loss(world, condition):
    """Return the one lost range of the destination, once it fulfils a condition."""
    async with asyncio.timeout(60), RecordWriter(world.connection) as writer:
        store = LossStore(world.connection, world.topics.destinations, writer)
        while True:
            found = list((await store.read("sentinel")).ranges.values())
            if found and condition(found[0]):
                assert len(found) == 1
                return found[0]
            await asyncio.sleep(0.2)


async def dismiss(world, entry):
    async with RecordWriter(world.connection) as writer:
        await LossStore(world.connection, world.topics.destinations, writer).delete(entry)


async def delete_before(world, record):
    admin = AIOKafkaAdminClient(bootstrap_servers=world.connection.bootstrap)
    await admin.start()
    try:
        partition = TopicPartition(record.topic, record.partition)
        await admin.delete_records({partition: RecordsToDelete(before_offset=record.offset)})
    finally:
        await admin.close()


async def test_a_backup_that_cannot_be_read_is_not_taken_for_none(kafka, prefix, monkeypatch):
    """A first start would send everything again, or skip it: the destination waits, and names the record."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        await world.publish(some_events(10))
        async with RecordWriter(world.connection) as writer:
            await writer.send(world.topics.status, b"destination/sentinel", b"of a later release")
        async with world.consuming() as consumer:
            await wait_until(
                lambda: any("destination/sentinel" in each for each in consumer.health.problems())
            )
            assert world.azure.accepted() == 0
