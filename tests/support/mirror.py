"""A copy of a cluster's topics as MirrorMaker 2 makes it: the same records and names, other offsets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from relay.kafka import OffsetAndMetadata, Record, TopicPartition
from relay.kafka.log_reader import standalone_consumer
from relay.kafka.producer import ProducerRecord
from relay.kafka.transactions import TransactionalProducer
from relay.status.model import Status
from tests.support.pipeline_world import SHARDS, committed_and_ends

STATUS_KEY = b"destination/sentinel"

Offsets = Mapping[TopicPartition, OffsetAndMetadata]


async def copy_records(
    source: Any, target: Any, topic: str, keep: Callable[[Record], bool] = lambda _record: True
) -> list[Record]:
    """Copy the records of a topic in one transaction, so that the offsets shrink by the markers of the source."""
    records = [each for each in await source.records(topic) if keep(each)]
    publisher = await TransactionalProducer.open(target.connection, f"{target.topics.prefix}.mirror")
    await publisher.publish(
        [
            ProducerRecord(each.topic, each.partition, each.key, each.value, each.timestamp, each.headers)
            for each in records
        ]
    )
    await publisher.discard()
    return records


async def committed_metadata(world: Any) -> Offsets:
    """Return the committed offsets of the live group, with their metadata."""
    partitions = [TopicPartition(world.topics.events, number) for number in range(SHARDS)]
    name = f"{world.topics.prefix}.sentinel"
    async with standalone_consumer(world.connection, group_id=name) as consumer:
        offsets, _ = await committed_and_ends(world)
        found = await consumer._coordinator.fetch_committed_offsets(partitions)
        return {each: found[each] for each in offsets if each in found}


async def commit(world: Any, offsets: Offsets) -> None:
    """Commit offsets of the live group, which has no members."""
    name = f"{world.topics.prefix}.sentinel"
    async with standalone_consumer(world.connection, group_id=name) as consumer:
        consumer.assign(list(offsets))
        await consumer.commit(offsets)


def translated(
    offsets: Offsets, source_records: Sequence[Record], target_records: Sequence[Record]
) -> Offsets:
    """Return what MirrorMaker commits: the offset of the same next event, with the metadata as it was."""
    return {
        partition: OffsetAndMetadata(
            _same_place(partition, found.offset, source_records, target_records), found.metadata
        )
        for partition, found in offsets.items()
    }


def _same_place(
    partition: TopicPartition,
    offset: int,
    source_records: Sequence[Record],
    target_records: Sequence[Record],
) -> int:
    before = sum(each.partition == partition.partition and each.offset < offset for each in source_records)
    own = [each.offset for each in target_records if each.partition == partition.partition]
    return own[before] if before < len(own) else (own[-1] + 1 if own else 0)


def without_marks(status: Status) -> Status:
    """Return a status whose offsets carry no proof, as an older release wrote it."""
    return replace(status, offsets=tuple(replace(each, last=None) for each in status.offsets))
