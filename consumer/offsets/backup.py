"""The copy of a group's offsets on the status topic, which outlives the group in Kafka."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from consumer.offsets.delivered import DeliveryProgress, RecordFingerprint
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.status.model import GroupOffset, StoredFingerprint
from relay.status.reader import read_status


@dataclass(frozen=True, slots=True)
class OffsetBackup:
    """Progress of a group as it was last written to the status topic, without ranges. `written_at` is in ms UTC; 0: no backup."""

    progress: Mapping[TopicPartition, DeliveryProgress]
    written_at: int


def destination_status_key(destination: str) -> str:
    """Return the key of a destination's record on the status topic."""
    return f"destination/{destination}"


async def read_offset_backup(
    connection: Connection, status_topic: str, destination: str, source_topic: str, *, older: bool = False
) -> OffsetBackup:
    """Read the last backup of the destination's offsets on `source_topic`; `older`: those of its group of older events.

    Raises RelayError or KafkaError when the status cannot be read.
    """
    status = await read_status(connection, status_topic, destination_status_key(destination))
    if status is None:
        return OffsetBackup({}, 0)
    offsets = status.older_offsets if older else status.offsets
    own = (each for each in offsets if each.topic == source_topic)
    return OffsetBackup(
        {TopicPartition(each.topic, each.partition): _progress(each) for each in own}, status.at
    )


def backed_up(partition: TopicPartition, progress: DeliveryProgress) -> GroupOffset:
    """Return offset and fingerprint of a partition, for the status."""
    return GroupOffset(
        partition.topic,
        partition.partition,
        progress.offset,
        _stored(progress.last),
        progress.live_from,
        _stored(progress.older_last),
    )


def backed_up_offsets(
    previous: Sequence[GroupOffset], committed: Mapping[TopicPartition, DeliveryProgress | None]
) -> tuple[GroupOffset, ...]:
    """Return the offsets to back up. One with the record that proves it is not replaced by a later one without."""
    known = {(each.topic, each.partition): each for each in previous}
    for partition, progress in committed.items():
        place = (partition.topic, partition.partition)
        before = known.get(place)
        if progress is None or (
            before and before.last and not progress.last and before.offset <= progress.offset
        ):
            continue
        known[place] = backed_up(partition, progress)
    return tuple(known[place] for place in sorted(known))


def _progress(entry: GroupOffset) -> DeliveryProgress:
    return replace(
        DeliveryProgress.starting_at(entry.offset),
        last=_fingerprint(entry.last),
        live_from=entry.live_from,
        older_last=_fingerprint(entry.older_last),
    )


def _stored(record: RecordFingerprint | None) -> StoredFingerprint | None:
    return StoredFingerprint(record.offset, record.checksum, record.timestamp) if record else None


def _fingerprint(stored: StoredFingerprint | None) -> RecordFingerprint | None:
    return RecordFingerprint(stored.offset, stored.checksum, stored.timestamp) if stored else None
