"""The progress of a group, read by a process that is no member of it."""

from collections.abc import Mapping

from consumer.offsets.delivered import DeliveryProgress
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.group_offsets import open_group


async def read_group_progress(
    connection: Connection, group: str, topic: str
) -> Mapping[TopicPartition, tuple[DeliveryProgress | None, int]]:
    """Return the committed progress and the end of the log of each partition. None: the group has committed nothing there.

    Raises RelayError, or an error of KAFKA_FAILURES.
    """
    async with open_group(connection, group, topic) as opened:
        found = await opened.read()
    progress = {
        each: DeliveryProgress.from_offset_and_metadata(committed.offset, committed.metadata)
        for each, committed in found.committed.items()
    }
    return {each: (progress.get(each), bounds.last_stable_offset) for each, bounds in found.bounds.items()}
