"""Events that an operator skipped for the destination that writes an archive: no object has them, and no object shows it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from consumer.replay.archive_losses import Range, united
from management.replay.recorded_changes import read_changes
from relay.destination_changes import change_key
from relay.errors import describe, one_line
from relay.kafka import KAFKA_FAILURES, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.topics import Topics
from relay.replays.job import ReplayRange

_MAX_RANGES = 8

Moves = Iterable[tuple[TopicPartition, int, int]]
"""Partition, offset before and offset after each move, in the order of their times."""


def skipped_ranges(moves: Moves) -> dict[TopicPartition, list[Range]]:
    """Return the offsets that were skipped, and that no later rewind has made up for."""
    found: dict[TopicPartition, list[Range]] = {}
    for tp, before, after in moves:
        known = found.get(tp, [])
        found[tp] = united([*known, (before, after)]) if before < after else _without(known, after, before)
    return {tp: ranges for tp, ranges in found.items() if ranges}


def _without(ranges: Sequence[Range], start: int, stop: int) -> list[Range]:
    parts = [part for first, end in ranges for part in ((first, min(end, start)), (max(first, stop), end))]
    return united(parts)


async def skips_note(connection: Connection, archive: str, ranges: Sequence[ReplayRange]) -> str | None:
    """Return what an operator skipped of these ranges for the archive; None: nothing that the history of changes shows."""
    try:
        moves = await _read_moves(connection, archive)
    except KAFKA_FAILURES as error:
        return (
            f"It is not known whether an operator skipped events for the archive {archive}, which would not be replayed:"
            f" {one_line(describe(error))}."
        )
    skipped = skipped_ranges(moves)
    shown = [
        f"offsets {first} to {stop - 1} of {each.topic}/{each.partition}"
        for each in ranges
        for start, end in skipped.get(each.tp, ())
        if (first := max(start, each.start)) < (stop := min(end, each.end))
    ]
    if not shown:
        return None
    more = f", and {len(shown) - _MAX_RANGES} more ranges" if len(shown) > _MAX_RANGES else ""
    return (
        f"An operator skipped events for the archive {archive}: {', '.join(shown[:_MAX_RANGES])}{more}."
        " Those that Kafka has deleted are not replayed."
    )


async def _read_moves(connection: Connection, archive: str) -> list[tuple[TopicPartition, int, int]]:
    topics, key = Topics(connection.kafka.topic_prefix), change_key(archive)
    changes = await read_changes(connection, lambda each: each == key)
    return [move for change in changes for move in _moves(change, topics)]


def _moves(change: Mapping[str, Any], topics: Topics) -> list[tuple[TopicPartition, int, int]]:
    """Return the moves of offsets that a change consists of; none: it is another change."""
    try:
        before, after = (_offsets(change[name], topics) for name in ("before", "after"))
    except (ValueError, TypeError, AttributeError, KeyError):
        return []
    return [(tp, before[tp], after[tp]) for tp in before.keys() & after.keys()]


def _offsets(text: str | None, topics: Topics) -> Mapping[TopicPartition, int]:
    facts: Mapping[str, Any] = json.loads(text or "{}")
    topic = topics.backfill if facts.get("flow") == "history" else topics.events
    return {
        TopicPartition(topic, int(number)): int(offset) for number, offset in facts.get("offsets", {}).items()
    }
