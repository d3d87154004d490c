"""The progress of a group, read by a process that is no member of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from consumer.offsets.delivered import DeliveryProgress
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.group_offsets import open_group

ProgressAndEnds = Mapping[TopicPartition, tuple[DeliveryProgress | None, int]]
"""Committed progress (None: nothing is committed) and end of the log of each partition."""


@dataclass(frozen=True, slots=True)
class GroupProgress:
    """The progress of a group on one topic. `members`: how many it has; None while they join."""

    members: int | None
    partitions: ProgressAndEnds


async def read_group_progress(connection: Connection, group: str, topic: str) -> GroupProgress:
    """Return members and progress of a group.

    Raises RelayError, or an error of KAFKA_FAILURES.
    """
    async with open_group(connection, group, topic) as opened:
        found = await opened.read()
    progress = {
        each: DeliveryProgress.from_offset_and_metadata(committed.offset, committed.metadata)
        for each, committed in found.committed.items()
    }
    return GroupProgress(
        found.members,
        {each: (progress.get(each), bounds.last_stable_offset) for each, bounds in found.bounds.items()},
    )
