"""What Kafka deletes or forgets beneath a consumer."""

import asyncio
import itertools

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import CorruptRecordException
from aiokafka.protocol.fetch import FetchRequest

from consumer.timing import AssignmentTiming, ConsumerTiming
from embedded import EmbeddedKafka
from relay.kafka import TopicPartition
from relay.kafka.aiokafka_patches.leader_epochs import LeaderEpochs
from relay.kafka.aiokafka_patches.record_parsing import _ReadableRecords
from relay.kafka.log_reader import records_at
from relay.kafka.topics import partition_of
from tests.support.kafka_log import flip_a_bit
from tests.support.log_tail import truncate_log
from tests.support.pipeline_world import (
    SHARDS,
    pipeline_world,
    some_events,
    uid,
    uids,
    wait_for_status,
    wait_until,
)


async def test_a_read_that_fails_in_the_middle_passes_over_nothing(kafka, prefix, monkeypatch):
    """aiokafka drops what it took of other partitions with the error, and has moved their positions on all the same."""
    taken, parse, broken = set(), _ReadableRecords._parse, []

    def cut(batch):
        yield from itertools.islice(batch, 3)
        raise CorruptRecordException("made up")

    def corrupt(self, batch, *rest):
        if not broken and taken - {self.tp}:
            broken.append(self.tp)
            batch = cut(batch)
        taken.add(self.tp)
        # A record is given out with all that the same call takes.
        asyncio.get_running_loop().call_soon(taken.discard, self.tp)
        parse(self, batch, *rest)

    monkeypatch.setattr(_ReadableRecords, "_parse", corrupt)
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        await world.publish(some_events(90))
        async with world.consuming():
            async with asyncio.timeout(120):
                while not broken:  # until one call reads two partitions: they begin apart on a busy machine
                    await world.publish(some_events(30, first=len(world.published)))
                    await asyncio.sleep(0.2)
            await world.wait_for_events()
        assert uids(world.azure) == sorted(map(uid, world.published))


@pytest.mark.parametrize("idle", [False, True])
async def test_a_log_that_loses_its_end_and_outgrows_a_reader_is_read_again(
    idle, tmp_path, prefix, monkeypatch
):
    """It reads nothing meanwhile, so that Kafka has again what it asks for: other events than those that it expects there.

    `idle`: it has read nothing yet since its partitions were assigned to it.
    """
    fetches = asyncio.Event()
    fetches.set()
    send = AIOKafkaClient.send

    async def held(client, node_id, request, **options):
        if isinstance(request, FetchRequest):
            await fetches.wait()
        return await send(client, node_id, request, **options)

    known, accept = asyncio.Event(), LeaderEpochs.accept

    def noted(epochs, tp, offset, batches):
        if batches:
            known.set()
        return accept(epochs, tp, offset, batches)

    monkeypatch.setattr(AIOKafkaClient, "send", held)
    monkeypatch.setattr(LeaderEpochs, "accept", noted)
    async with (
        EmbeddedKafka(tmp_path, flush_each_write=False) as kafka,
        pipeline_world(kafka, prefix, monkeypatch) as world,
    ):
        events, shard = world.topics.events, partition_of("org0.atlassian.net", SHARDS)
        async with world.consuming():
            await world.publish(some_events(30, organizations=1), size=3)
            await world.wait_for_events()
        known.clear()
        async with world.consuming():
            await wait_until(known.is_set)
            if not idle:
                await world.publish(some_events(30, organizations=1, first=100), size=3)
                await world.wait_for_events()
            fetches.clear()
            await world.close()
            kafka.kill()
            await kafka.wait_for_exit()
            assert truncate_log(kafka.directory / "log" / f"{events}-{shard}", 8) == 8
            await kafka.start()
            await world.publish(some_events(60, organizations=1, first=1000), size=3)
            fetches.set()
            await world.wait_for_events()
        assert set(uids(world.azure)) == set(map(uid, world.published))


async def test_a_batch_that_is_corrupt_on_disk_holds_up_its_partition_alone(tmp_path, prefix, monkeypatch):
    """Events before it and in other partitions arrive, the status says what to do, and the rest comes once it is whole."""
    timing = ConsumerTiming(assignment=AssignmentTiming(corrupt_pause_seconds=1))
    async with EmbeddedKafka(tmp_path) as kafka, pipeline_world(kafka, prefix, monkeypatch) as world:
        organization = "org0.atlassian.net"
        partition = TopicPartition(world.topics.events, partition_of(organization, SHARDS))
        await world.publish(some_events(90), size=3)
        records = [
            each for each in await world.records(partition.topic) if each.partition == partition.partition
        ]
        bad = records[len(records) // 2].offset
        log = kafka.directory / "log" / f"{partition.topic}-{partition.partition}" / f"{0:020}.log"
        flip_a_bit(log, bad)
        before = [each for each in await records_at_each(world, partition, records) if each < bad]
        elsewhere = len(world.published) - len(records)
        async with world.consuming(timing=timing, start="earliest"):
            await world.wait_for_events(elsewhere + len(before))
            status = await wait_for_status(world, lambda status: "corrupt" in (status.reason or ""))
            assert f"{partition.topic}, partition {partition.partition}, is corrupt" in status.reason
            await asyncio.sleep(2)
            assert len(uids(world.azure)) == elsewhere + len(before)
            flip_a_bit(log, bad)
            await world.wait_for_events()
            await wait_for_status(world, lambda status: status.reason is None)
        assert uids(world.azure) == sorted(map(uid, world.published))


async def records_at_each(world, partition, records):
    """The offsets whose records can be read, one by one."""
    found = [await records_at(world.connection, {partition: each.offset}) for each in records]
    return [each.offset for each, one in zip(records, found, strict=True) if one]
