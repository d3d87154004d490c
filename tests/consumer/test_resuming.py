"""Where a group goes on: at its first start, where Kafka has forgotten its offsets, and where it has deleted what was to come."""

import asyncio
from datetime import timedelta

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from confluent_kafka.admin import AdminClient

from consumer.assignment.handler import AssignmentHandler
from relay.kafka import TopicPartition
from relay.kafka.positions import Positions
from relay.kafka.producer import RecordWriter
from relay.status.model import GroupOffset, Status, take_over
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


@pytest.mark.parametrize("start", ["earliest", "latest"])
async def test_the_first_start_is_where_the_setting_says(start, kafka, prefix, monkeypatch):
    async with pipeline_world(kafka, prefix, monkeypatch) as there:
        before, after = some_events(30), some_events(30, first=100)
        await there.publish(before)
        async with there.consuming(start=start) as consumer:
            await wait_until(consumer.ready)
            await consumer.stop()
        await there.publish(after)
        async with there.consuming(start=start):
            await there.wait_for_events(60 if start == "earliest" else 30)
            board = await wait_for_status(there, lambda status: status.start)

        assert uids(there.azure) == sorted(map(uid, before + after if start == "earliest" else after))
        assert board.start == start


async def test_the_first_start_may_be_a_time(kafka, prefix, monkeypatch):
    async with pipeline_world(kafka, prefix, monkeypatch) as there:
        await there.publish(some_events(30))
        collected = there.published[20]["collected"]
        start = (EPOCH + timedelta(milliseconds=collected)).isoformat()
        async with there.consuming(start=start):
            await there.wait_for_events(10)
        assert uids(there.azure) == sorted(map(uid, there.published[20:]))


async def test_a_group_that_kafka_has_forgotten_resumes_from_the_status_topic(kafka, prefix, monkeypatch):
    """Its name is new to Kafka; the status topic remembers where it was."""
    async with pipeline_world(kafka, prefix, monkeypatch) as there:
        await there.publish(some_events(60, organizations=1))
        (partition,) = {each.partition for each in await there.records(there.topics.events)}
        offset = (await there.records(there.topics.events))[40].offset
        told = take_over("active", 1)
        told = Status(
            **{name: getattr(told, name) for name in ("state", "since", "at", "valid_until", "epoch")},
            start="earliest",
            offsets=(GroupOffset(there.topics.events, partition, offset),),
        )
        await put_status(there, told)
        async with there.consuming():
            await there.wait_for_events(20)
        assert uids(there.azure) == sorted(map(uid, there.published[40:]))


async def test_a_group_whose_offsets_kafka_has_forgotten_goes_on_from_where_it_was_last_told_to_be(
    kafka, prefix, monkeypatch
):
    """Nothing is skipped, and no more comes again than was accepted since."""
    monkeypatch.setattr("consumer.status_reporter.BACKUP_INTERVAL_SECONDS", 0.1)
    async with pipeline_world(kafka, prefix, monkeypatch) as there:
        await there.publish(some_events(60))
        async with there.consuming():
            await there.wait_for_events()
            ends = sum((await committed_and_ends(there))[1].values())
            await wait_for_status(there, lambda each: sum(told.offset for told in each.offsets) == ends)
        admin = AdminClient({"bootstrap.servers": there.connection.bootstrap})
        for deleted in admin.delete_consumer_groups([f"{prefix}.sentinel"], request_timeout=10).values():
            await asyncio.wrap_future(deleted)
        found, _ = await committed_and_ends(there)
        assert set(found.values()) == {None}
        await there.publish(some_events(60, first=100))
        async with there.consuming():
            await there.wait_for_events()
        assert uids(there.azure) == sorted(map(uid, there.published))


async def put_status(there, status):
    async with RecordWriter(there.connection) as writer:
        board = StatusWriter(writer, there.topics.status)
        board.put("destination/sentinel", status)
        await board.flush()


async def test_events_that_kafka_deleted_are_named_and_the_rest_goes_on(kafka, prefix, monkeypatch):
    async with pipeline_world(kafka, prefix, monkeypatch) as there:
        await there.publish(some_events(10, organizations=1))
        async with there.consuming():
            await there.wait_for_events()
        await there.publish(some_events(50, organizations=1, first=100))
        records = await there.records(there.topics.events)
        await delete_before(there, records[40])
        async with there.consuming() as consumer:
            await there.wait_for_events(30)
            assert (
                consumer.metric("jira_relay_offsets_lost_total") == records[40].offset - records[9].offset - 2
            )

        assert uids(there.azure) == sorted(uid(each) for each in there.published[:10] + there.published[40:])


async def test_a_running_consumer_that_retention_overtakes_names_what_it_missed(kafka, prefix, monkeypatch):
    """It holds back while the destination is slow; what it had read before is delivered, what is kept as well, each once, and
    no partition moves for it.
    """
    monkeypatch.setattr("consumer.assignment.assignment.IN_FLIGHT_BYTES", 1)
    monkeypatch.setattr("consumer.assignment.assignment.RECORD_BUFFER_BYTES", 1)
    monkeypatch.setattr("consumer.assignment.assignment.CAPACITY_WAIT_SECONDS", 0.1)
    held, pause, resume = asyncio.Event(), Positions.pause, Positions.resume

    def held_back(positions, partitions):
        held.set()
        pause(positions, partitions)

    def let_go(positions, partitions):
        held.clear()
        resume(positions, partitions)

    async with pipeline_world(kafka, prefix, monkeypatch) as there, there.consuming() as consumer:
        await wait_until(consumer.ready)
        hanging = there.azure.fault(faults.hang(3), rate=1)
        await there.publish(some_events(1, organizations=1))
        await wait_until(lambda: there.azure.calls)
        monkeypatch.setattr(Positions, "pause", held_back)
        monkeypatch.setattr(Positions, "resume", let_go)
        monkeypatch.setattr(AssignmentHandler, "assigned", None)
        for number in range(1, 50):  # until it is held back, and not for a moment only
            await there.publish(some_events(1, organizations=1, first=number))
            await asyncio.sleep(0.5)
            if held.is_set():
                break
        await there.publish(some_events(40, organizations=1, first=100))
        records = await there.records(there.topics.events)
        kept = records[-10]
        await delete_before(there, kept)
        hanging.cancel()
        there.azure.clear_faults()
        last = uid(there.published[-1])
        await there.azure.wait_until(lambda: last in there.azure.table(LIVE).uid_counts, 60)
        told = await wait_for_status(there, lambda status: "collected before" in (status.reason or ""))

        assert there.azure.duplicates() == {}
        missing = set(map(uid, there.published)) - set(uids(there.azure))
        offsets = {uid(each): record.offset for each, record in zip(there.published, records, strict=True)}
        first = min(offsets[each] for each in missing)
        assert missing == {each for each, offset in offsets.items() if first <= offset < kept.offset}
        lost = consumer.metric("jira_relay_offsets_lost_total")
        assert lost - (kept.offset - first) in {0, 1}  # the end of a transaction takes an offset too
        assert f"to {kept.offset - 1} of {there.topics.events}" in told.reason
        until_then = EPOCH + timedelta(milliseconds=kept.timestamp)
        assert until_then.isoformat(timespec="milliseconds") in told.reason


async def delete_before(there, record):
    admin = AIOKafkaAdminClient(bootstrap_servers=there.connection.bootstrap)
    await admin.start()
    try:
        partition = TopicPartition(record.topic, record.partition)
        await admin.delete_records({partition: RecordsToDelete(before_offset=record.offset)})
    finally:
        await admin.close()
