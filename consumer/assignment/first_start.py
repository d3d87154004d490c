"""Where a group begins that knows nothing of a partition, and where the group of older events ends."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from consumer.assignment.start_offset import StartOffset
from consumer.assignment.start_offset_texts import split_offset_unknown_text
from consumer.config import StartPosition
from consumer.offsets.delivered import DeliveryProgress
from relay.kafka import TopicPartition
from relay.kafka.bounded_consumer import BoundedConsumer

LiveProgress = Callable[[Sequence[TopicPartition]], Awaitable[Mapping[TopicPartition, DeliveryProgress]]]
"""Returns the committed progress of the live group. Raises KafkaError or TimeoutError while a partition has not begun."""


async def first_progress(
    start: StartPosition,
    consumer: BoundedConsumer,
    partitions: Sequence[TopicPartition],
    log_starts: Mapping[TopicPartition, int],
    log_ends: Mapping[TopicPartition, int],
    recent_since_ms: int,
    began_ms: int | None = None,
) -> dict[TopicPartition, DeliveryProgress]:
    """Return where each partition begins by the setting.

    `recent` divides a partition at the first record since `recent_since_ms`, or at its end. The split offset is
    committed with the start, under the fence of the group, so no two processes know different ones.
    `log_ends` were looked up before this call: a record that arrives meanwhile is after the split offset.
    `latest` means the end when the destination began (`began_ms`, None: not known): in a partition that was added later, its end
    is after events that nobody has sent.
    """
    if start == "earliest":
        offsets = {each: log_starts[each] for each in partitions}
    elif start == "latest" and began_ms is None:
        offsets = {each: log_ends[each] for each in partitions}
    else:
        since = _since(start, recent_since_ms, began_ms or 0)
        found = await consumer.offsets_for_time(partitions, since) if partitions else {}
        offsets = {each: or_default(found.get(each), log_ends[each]) for each in partitions}
    progress = {
        each: DeliveryProgress.starting_at(max(offset, log_starts[each])) for each, offset in offsets.items()
    }
    return {
        each: replace(made, live_from=made.offset)
        if start == "recent" and made.offset > log_starts[each]
        else made
        for each, made in progress.items()
    }


def _since(start: StartPosition, recent_since_ms: int, began_ms: int) -> int:
    match start:
        case "recent":
            return recent_since_ms
        case datetime():
            return int(start.timestamp() * 1000)
    return began_ms


def with_split_offset(partition: TopicPartition, start: StartOffset, live: DeliveryProgress) -> StartOffset:
    """Return the start of a group of older events with the split offset, at which the group ends.

    The split offset that the group has committed counts before that of the live group. Without either nothing is older, or the log is
    another one, in which nobody knows the split offset: then nothing more is sent, since it might be sent twice, and the status says so.
    """
    progress, mismatch = start.progress, start.mismatch
    if progress.live_from is None and live.live_from is None:
        mismatch = mismatch and split_offset_unknown_text(partition, progress.offset)
        progress = replace(progress, live_from=progress.offset)
    elif progress.live_from is None:
        progress = replace(progress, live_from=live.live_from, older_last=live.older_last)
    return replace(start, progress=progress, mismatch=mismatch)


def is_complete(progress: DeliveryProgress) -> bool:
    """Return whether a group of older events has delivered everything before the end of its partition."""
    return progress.live_from is not None and progress.offset >= progress.live_from


def or_default(offset: int | None, default: int) -> int:
    return default if offset is None else offset
