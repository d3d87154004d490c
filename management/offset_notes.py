"""The notes on a planned move: what differs from what an operator asked for. Pure."""

from collections.abc import Sequence

from management.offset_moves import OffsetMove
from relay.kafka.group_offsets import GroupOffsets
from relay.kafka.log_reader import CorruptBatchError


def notes_on(
    offsets: GroupOffsets,
    moves: Sequence[OffsetMove],
    to_ms: int | None,
    topic: str,
    group: str,
    unreadable: Sequence[CorruptBatchError] = (),
) -> list[str]:
    """Return what differs from what an operator asked for. `to_ms`: the time that was asked for; None: the end of the log.

    `unreadable`: the batches that could not be counted.
    """
    starts = {each: bounds.log_start_offset for each, bounds in offsets.bounds.items()}
    cut = [
        move.partition.partition
        for move in moves
        if to_ms is not None
        and move.after.offset == starts[move.partition] > 0
        and move.after.offset < move.before.offset
    ]
    lost = [
        each.partition.partition
        for each in moves
        if each.before.offset < starts[each.partition] <= each.after.offset
    ]
    unknown = sorted(each.partition for each in offsets.bounds if each not in offsets.committed)
    notes = []
    if cut:
        notes.append(
            f"{topic} keeps nothing older than its first offset in the partitions {_numbers(cut)}; events that were deleted"
            " before are not delivered again."
        )
    if lost:
        notes.append(
            f"Kafka has deleted events of {topic} that were not delivered, in the partitions {_numbers(lost)}; they are not counted"
            " here, and the destination will not report them as lost after this move."
        )
    if unknown:
        notes.append(
            f"{group} has no offset in the partitions {_numbers(unknown)} of {topic}; they are not moved, and their events are not"
            " counted. To move them too, resume the destination until it delivers them, and run the command again."
        )
    notes += [_unreadable_note(each) for each in unreadable]
    return notes


def _unreadable_note(batch: CorruptBatchError) -> str:
    return (
        f"A batch of {batch.tp.topic}, partition {batch.tp.partition}, offsets {batch.offset} to {batch.next_offset - 1}, cannot be"
        " read: the move concerns it, and its events are not counted. Delivery waits in front of it while it is not skipped."
    )


def _numbers(partitions: Sequence[int]) -> str:
    return ", ".join(map(str, partitions))
