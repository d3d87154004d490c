"""The offsets of a destination's groups: where they are."""

from collections.abc import Sequence
from dataclasses import dataclass

from consumer.group_names import PipelineFlow, group_name
from consumer.offsets.delivered import DeliveryProgress
from management.organizations.store import kafka_errors_as_relay_errors
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.group_offsets import GroupOffsets, open_group
from relay.kafka.topics import Topics

_GROUPS: Sequence[PipelineFlow] = ("live", "history", "older")


@dataclass(frozen=True, slots=True)
class PartitionOffsets:
    """Where a group is in one partition. `progress` None: it has committed nothing there. `log_end`: where the group ends now."""

    partition: int
    progress: DeliveryProgress | None
    log_start: int
    log_end: int

    @property
    def lag(self) -> int:
        """Offsets that are not delivered; Kafka's own records for transactions count too."""
        if self.progress is None:
            return self.log_end - self.log_start
        ahead = sum(each.stop - each.first for each in self.progress.delivered_ahead)
        return max(0, self.log_end - max(self.progress.offset, self.log_start) - ahead)


@dataclass(frozen=True, slots=True)
class FlowOffsets:
    """Where the group of one flow is. `members`: None while they join."""

    flow: PipelineFlow
    group: str
    topic: str
    members: int | None
    partitions: Sequence[PartitionOffsets]


def topic_of(topics: Topics, flow: PipelineFlow) -> str:
    """Return the topic that a flow reads."""
    return topics.backfill if flow == "history" else topics.events


async def read_offsets(connection: Connection, destination: str) -> list[FlowOffsets]:
    """Return where the groups of a destination are, live first. That of older events is left out where it has begun nothing.

    Raises RelayError.
    """
    topics = Topics(connection.kafka.topic_prefix)
    found = []
    with kafka_errors_as_relay_errors(connection):
        for flow in _GROUPS:
            group, topic = group_name(topics.prefix, destination, flow), topic_of(topics, flow)
            async with open_group(connection, group, topic) as opened:
                offsets = await opened.read()
            if flow != "older" or offsets.committed:
                found.append(_flow_offsets(flow, group, topic, offsets))
    return found


def _flow_offsets(flow: PipelineFlow, group: str, topic: str, offsets: GroupOffsets) -> FlowOffsets:
    progress = progress_of(offsets)
    partitions = []
    for tp, bounds in sorted(offsets.bounds.items(), key=lambda item: item[0].partition):
        known, end = progress.get(tp), bounds.last_stable_offset
        if (
            flow == "older"
        ):  # the live group begins at the split offset; without one there are no older events
            end = bounds.log_start_offset if known is None or known.live_from is None else known.live_from
        partitions.append(PartitionOffsets(tp.partition, known, bounds.log_start_offset, end))
    return FlowOffsets(flow, group, topic, offsets.members, partitions)


def progress_of(offsets: GroupOffsets) -> dict[TopicPartition, DeliveryProgress]:
    """Return what a group has delivered, by partition; a partition without an offset is left out."""
    return {
        tp: DeliveryProgress.from_offset_and_metadata(found.offset, found.metadata)
        for tp, found in offsets.committed.items()
    }
