"""Where reading begins after an assignment."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from consumer.memory import Known, Memory
from consumer.offsets import Mark
from consumer.telemetry import COMMITTED, FlowMetrics
from relay.kafka import KafkaError, Record, TopicPartition
from relay.kafka.positions import Positions

Start = Literal["earliest", "latest"] | datetime

PATIENCE_SECONDS = 30.0
REPEAT_MS = 600_000
"""Where the end of a log was lost: from how long before the offsets were last told events are read again."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """Offsets of a group as they were last told on the status topic, and when."""

    offsets: Mapping[TopicPartition, int]
    at: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one partition."""

    committed: int | None
    """The group's offset; None: Kafka has none, or has forgotten it."""
    mirrored: int | None
    first: int
    """The first offset kept."""
    start: int
    """Where a group begins that never was anywhere."""
    delivered: int | None = None
    """Before which this process has delivered everything, where that is further than the group's offset."""


@dataclass(frozen=True, slots=True)
class Beginning:
    offset: int
    why: str
    lost: int = 0
    """How many offsets before it were deleted before they were read."""


def beginning(facts: Facts) -> Beginning:
    """Where the group was, or further on where this process knows better; else where it was last told to be, else where it
    is to start.
    """
    if facts.delivered is not None:
        return _at(facts.delivered, facts.first, "what this process has delivered since the last commit")
    if facts.committed is not None:
        return _at(facts.committed, facts.first, COMMITTED)
    if facts.mirrored is not None:
        return _at(
            facts.mirrored, facts.first, "the status topic, since Kafka has forgotten the group's offset"
        )
    return Beginning(max(facts.start, facts.first), "the first start")


def _at(offset: int, first: int, why: str) -> Beginning:
    return (
        Beginning(offset, why)
        if offset >= first
        else Beginning(first, "the first event kept", first - offset)
    )


class Beginner:
    """Finds the beginnings of one group; remembers what it has to be patient about, and what this process has settled.

    `mirror` tells what the status topic says; it raises where that cannot be read, since nothing may be assumed then.
    `records_at` reads single records; those that are not there are left out.
    """

    def __init__(
        self,
        start: Start,
        mirror: Callable[[], Awaitable[Mirror]],
        records_at: Callable[[Mapping[TopicPartition, int]], Awaitable[Mapping[TopicPartition, Record]]],
        metrics: FlowMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._mirror = mirror
        self._records_at = records_at
        self._metrics = metrics
        self._clock = clock
        self._behind: dict[TopicPartition, float] = {}
        self.memory = Memory()

    async def find(
        self, positions: Positions, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, Beginning]:
        """May take long and raise KafkaError, TimeoutError or RelayError; then ask again."""
        committed = {partition: await positions.committed(partition) for partition in partitions}
        first = await positions.first_offsets(partitions)
        end = await positions.end_offsets(partitions)
        fresh = [partition for partition in partitions if committed[partition] is None]
        mirror = await self._mirror() if fresh else Mirror({}, 0)
        start = await self._starts(positions, fresh, first, end)
        known = await self._known(committed, end)
        found = {
            partition: beginning(
                Facts(
                    committed[partition],
                    mirror.offsets.get(partition),
                    first[partition],
                    start.get(partition, first[partition]),
                    known[partition].settled if partition in known else None,
                )
            )
            for partition in partitions
        }
        for partition, each in found.items():
            if self._is_beyond(partition, each.offset, end[partition]):
                found[partition] = await self._after_a_lost_end(
                    positions, partition, each.offset, end[partition]
                )
            elif each.lost:
                self._metrics.lost_offsets(partition, each.offset - each.lost, each.offset)
            self.memory.began(partition, found[partition].offset, committed[partition])
            self._metrics.began(partition, found[partition].offset, found[partition].why)
        return found

    async def _known(
        self, committed: Mapping[TopicPartition, int | None], end: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, Known]:
        """What this process knows beyond the group's offsets, where the log still holds the record that was settled last."""
        ahead: dict[TopicPartition, Known] = {}
        for partition, offset in committed.items():
            known = self.memory.of(partition)
            if known is None or not known.ahead_of(offset):
                continue
            if self._is_beyond(partition, known.settled, end[partition]):
                continue
            if known.settled > end[partition]:
                raise KafkaError(
                    f"{partition.topic}, partition {partition.partition}, ends before what was delivered of it;"
                    " Kafka may be just coming up"
                )
            ahead[partition] = known
        there = (
            await self._records_at({each: known.settled - 1 for each, known in ahead.items()})
            if ahead
            else {}
        )
        return {each: ahead[each] for each, record in there.items() if Mark.of(record) == ahead[each].last}

    async def _starts(
        self,
        positions: Positions,
        fresh: Sequence[TopicPartition],
        first: Mapping[TopicPartition, int],
        end: Mapping[TopicPartition, int],
    ) -> dict[TopicPartition, int]:
        match self._start:
            case "earliest":
                return {partition: first[partition] for partition in fresh}
            case "latest":
                return {partition: end[partition] for partition in fresh}
            case moment:
                at = await positions.offsets_for_time(fresh, int(moment.timestamp() * 1000))
                return {partition: _or(at.get(partition), end[partition]) for partition in fresh}

    def _is_beyond(self, partition: TopicPartition, offset: int, end: int) -> bool:
        """Whether the log has ended before `offset` for so long that it will not come back.

        A broker that has just come up may tell too low an end, and a transaction whose markers were lost holds it back.
        """
        if offset <= end:
            self._behind.pop(partition, None)
            return False
        return self._clock() - self._behind.setdefault(partition, self._clock()) > PATIENCE_SECONDS

    async def _after_a_lost_end(
        self, positions: Positions, partition: TopicPartition, committed: int, end: int
    ) -> Beginning:
        at = (await self._mirror()).at - REPEAT_MS
        found = await positions.offsets_for_time([partition], max(at, 0))
        begun = _or(found.get(partition), end)
        self._metrics.end_is_behind(partition, committed, end, begun)
        return Beginning(begun, "an end of the log that Kafka has lost")


def _or(offset: int | None, other: int) -> int:
    return other if offset is None else offset
