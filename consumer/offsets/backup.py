"""The copy of a group's offsets on the status topic, which outlives the group in Kafka."""

from collections.abc import Mapping
from dataclasses import dataclass

from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.status.reader import read_statuses


@dataclass(frozen=True, slots=True)
class OffsetBackup:
    """Offsets of a group as they were last written to the status topic. `written_at` is in ms UTC; 0 without a backup."""

    offsets: Mapping[TopicPartition, int]
    written_at: int


def destination_status_key(destination: str) -> str:
    """Return the key of a destination's record on the status topic."""
    return f"destination/{destination}"


async def read_offset_backup(
    connection: Connection, status_topic: str, destination: str, source_topic: str
) -> OffsetBackup:
    """Read the last backup of the destination's offsets on `source_topic`.

    Raises RelayError or KafkaError when the status topic cannot be read.
    """
    status = (await read_statuses(connection, status_topic)).get(destination_status_key(destination))
    if status is None:
        return OffsetBackup({}, 0)
    offsets = {TopicPartition(each.topic, each.partition): each.offset for each in status.offsets}
    return OffsetBackup(
        {each: offset for each, offset in offsets.items() if each.topic == source_topic}, status.at
    )
