"""How a move writes the offsets of a group: with as much metadata as the brokers accept."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from consumer.offsets.committer import METADATA_LEVELS
from consumer.offsets.delivered import DeliveryProgress
from management.offset_moves import OffsetMove
from relay.kafka import OffsetAndMetadata, OffsetMetadataTooLargeError, TopicPartition


class OffsetWriter(Protocol):
    """Where the offsets are set: `relay.kafka.group_offsets.OpenGroup`."""

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None: ...


def _without_ranges(progress: DeliveryProgress) -> OffsetAndMetadata:
    return progress.without_ranges().to_offset_and_metadata()


_ENCODINGS: Sequence[Callable[[DeliveryProgress], OffsetAndMetadata]] = (
    METADATA_LEVELS[0],
    _without_ranges,
    *METADATA_LEVELS[1:],
)
"""The contents of metadata, longest first."""


async def set_offsets(group: OffsetWriter, moves: Sequence[OffsetMove]) -> None:
    """Set the offsets after the moves, with less metadata while the brokers refuse it (offset.metadata.max.bytes).

    Brokers set the partitions whose metadata is short enough, and refuse the others; so each attempt sets all of them. Raises what
    `group` raises.
    """
    for encode in _ENCODINGS[:-1]:
        try:
            await group.commit({each.partition: encode(each.after) for each in moves})
        except OffsetMetadataTooLargeError:
            continue
        return
    await group.commit({each.partition: _ENCODINGS[-1](each.after) for each in moves})
