"""Smaller forms of a checkpoint, for a topic that accepts no larger one. Pure."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from producer.state.checkpoint import Checkpoint, thin_pairs
from producer.state.intervals import TimeRange, add_range
from relay.timestamps import DAY_MS, day_of, day_start

LEAST_PAIRS = 2
_GROWTH_BYTES = 100
"""A completeness pair and two positions, which are known only after the events of the transaction."""


def fit_checkpoint(
    checkpoint: Checkpoint, size_of: Callable[[Checkpoint], int], max_bytes: int
) -> Checkpoint | None:
    """Return the checkpoint, if need be with fewer pairs and unread ranges, so that `size_of` it is at most `max_bytes`.

    Nothing that is unread counts as read then: joined unread ranges are asked for again whole. None: no form is small enough.
    """
    while size_of(checkpoint) + _GROWTH_BYTES > max_bytes:
        smaller = _smaller(checkpoint)
        if smaller is None:
            return None
        checkpoint = smaller
    return checkpoint


def _smaller(checkpoint: Checkpoint) -> Checkpoint | None:
    if len(checkpoint.pairs) > LEAST_PAIRS:
        return replace(checkpoint, pairs=thin_pairs(checkpoint.pairs, LEAST_PAIRS))
    joined: Checkpoint | None = None
    for _ in range(max(1, len(checkpoint.unread_ranges) // 8)):
        joined, before = join_nearest(joined or checkpoint), joined
        if joined is None:
            return before
    return joined


def join_nearest(checkpoint: Checkpoint) -> Checkpoint | None:
    """Return the checkpoint with the two nearest unread ranges as one. None: no two may be joined.

    The time between two was read and is read again, so its ledgers must be kept: those of days that an unread range touches
    are, and those from `ledgers_from` on.
    """
    pairs = [each for each in pairwise(checkpoint.unread_ranges) if _may_join(*each, checkpoint.ledgers_from)]
    if not pairs:
        return None
    before, after = min(pairs, key=lambda pair: pair[1].start - pair[0].end)
    joined = add_range(checkpoint.unread_ranges, TimeRange(before.start, after.end))
    return replace(checkpoint, unread_ranges=joined)


def _may_join(before: TimeRange, after: TimeRange, ledgers_from: int) -> bool:
    days = day_start(day_of(after.start)) - day_start(day_of(before.end - 1))
    return days <= DAY_MS or before.end >= ledgers_from
