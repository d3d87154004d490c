"""Moves of a destination's offsets: back to deliver events again, or ahead to leave events out. Pure."""

from dataclasses import dataclass, replace
from typing import Literal

from consumer.offsets.delivered import DeliveryProgress, RecordFingerprint
from relay.kafka import TopicPartition

Direction = Literal["rewind", "skip"]


@dataclass(frozen=True, slots=True)
class OffsetMove:
    """The move of one partition. Both are delivery progress: a record may be delivered ahead of the committed offset."""

    partition: TopicPartition
    before: DeliveryProgress
    after: DeliveryProgress

    @property
    def first(self) -> int:
        """The first offset whose delivery may change."""
        return min(self.before.offset, self.after.offset)

    @property
    def stop(self) -> int:
        """The offset after the last one whose delivery may change."""
        ahead = self.before.delivered_ahead
        return max(self.before.offset, self.after.offset, ahead[-1].stop if ahead else 0)

    def changes(self, offset: int) -> bool:
        """Return whether a record counts as delivered before the move and not after it, or the reverse."""
        return is_delivered(self.before, offset) != is_delivered(self.after, offset)


def is_delivered(progress: DeliveryProgress, offset: int) -> bool:
    """Return whether the record at an offset counts as delivered."""
    return offset < progress.offset or any(
        each.first <= offset < each.stop for each in progress.delivered_ahead
    )


def plan_move(
    direction: Direction, partition: TopicPartition, before: DeliveryProgress, target: int
) -> OffsetMove | None:
    """Return the move to `target`, the first offset to deliver; None: nothing changes in this partition.

    A rewind makes all records from `target` on undelivered, a skip all records before it delivered. The split offset of the
    first start stays. The new lineage makes consumers ignore what they remember of the delivery so far.
    """
    if direction == "rewind":
        kept = (each for each in before.delivered_ahead if each.stop <= target)
        after = DeliveryProgress.starting_at(min(before.offset, target)).with_ranges(kept)
    else:
        after = DeliveryProgress.starting_at(max(before.offset, target)).with_ranges(before.delivered_ahead)
    after = replace(after, live_from=before.live_from, older_last=before.older_last)
    unchanged = (after.offset, after.delivered_ahead) == (before.offset, before.delivered_ahead)
    return None if unchanged else OffsetMove(partition, before, after)


def with_last(move: OffsetMove, last: RecordFingerprint | None) -> OffsetMove:
    """Return the move with the last record before its new offset, by which consumers find the offset in a mirrored log."""
    return replace(move, after=replace(move.after, last=last))
