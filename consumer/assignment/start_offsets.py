"""Where reading begins after an assignment."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from consumer.metrics import COMMITTED, FlowMetrics
from consumer.offsets.delivered import Mark, Progress
from relay.kafka import KafkaError, Record, TopicPartition
from relay.kafka.positions import Positions

Start = Literal["earliest", "latest"] | datetime

FORGOTTEN = "the status topic, since Kafka has forgotten the group's offset"
PATIENCE_SECONDS = 30.0
REPEAT_MS = 600_000
"""Where the end of a log was lost: from how long before the last settled record events are read again, for clocks that differ."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """Offsets of a group as they were last told on the status topic, and when."""

    offsets: Mapping[TopicPartition, int]
    at: int


@dataclass(frozen=True, slots=True)
class Beginning:
    progress: Progress
    why: str
    missed: tuple[int, int] | None = None
    """From which offset to before which one Kafka had deleted what was not settled."""
    lost: int = 0
    """How many offsets of these were not settled."""

    @property
    def offset(self) -> int:
        return self.progress.offset

    @property
    def last_read(self) -> int:
        """The offset of the last record before it, as far as one is known."""
        return self.progress.last.offset if self.progress.last else self.offset


def beginning(progress: Progress, first: int, why: str) -> Beginning:
    """At what is not yet settled, or at the first offset kept."""
    kept, lost = progress.without(first)
    if not lost:
        return Beginning(kept, why)
    return Beginning(kept, "the first event kept", (progress.offset, first), lost)


class Beginner:
    """Finds the beginnings of one group; remembers what it has to be patient about, and what this process has settled.

    The memory survives assignments and memberships, since what a destination has accepted stays accepted: a commit may fail
    after the answer of the destination, as Kafka is away, or the group has moved on. It counts while the group's offset is
    of the same line, so that an operator who sets an offset is obeyed.

    What would break offsets, remembered or committed, is one that has come to mean another record: a log that lost its end, or
    was made anew, and has grown past the offset again. So the last record goes with them, and is looked for in the log before
    they count.

    `mirror` tells what the status topic says; it raises where that cannot be read, since nothing may be assumed then.
    `records_at` reads single records: None where none stands, left out where nothing is kept any more.
    """

    def __init__(
        self,
        start: Start,
        mirror: Callable[[], Awaitable[Mirror]],
        records_at: Callable[
            [Mapping[TopicPartition, int]], Awaitable[Mapping[TopicPartition, Record | None]]
        ],
        metrics: FlowMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._mirror = mirror
        self._records_at = records_at
        self._metrics = metrics
        self._clock = clock
        self._behind: dict[TopicPartition, tuple[float, float]] = {}
        """Partitions that end before what was settled: since when, and when that was seen last."""
        self.memory: dict[TopicPartition, Progress] = {}

    async def find(
        self, positions: Positions, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, Beginning]:
        """May take long and raise KafkaError, TimeoutError or RelayError; then ask again."""
        told = await positions.committed(partitions)
        first = await positions.first_offsets(partitions)
        end = await positions.end_offsets(partitions)
        group = {each: Progress.committed(*found) for each, found in told.items() if found is not None}
        claims = {each: self._claims(each, progress) for each, progress in group.items()}
        mirror = await self._mirror() if len(group) < len(partitions) else Mirror({}, 0)
        claims |= {
            each: [Progress.at(mirror.offsets[each])]
            for each in partitions
            if each not in group and each in mirror.offsets
        }
        self._be_patient({each: max(map(_reach, made)) for each, made in claims.items()}, end)
        held = await self._held(claims, first, end)
        starts = await self._starts(
            positions, [each for each in partitions if each not in claims], first, end
        )
        found = {}
        for each in partitions:
            if each in starts:
                found[each] = Beginning(Progress.at(max(starts[each], first[each])), "the first start")
            elif (progress := held[each]) is None:
                found[each] = await self._after_a_lost_end(positions, each, claims[each][-1], end[each])
            else:
                found[each] = beginning(progress, first[each], _why(progress, group.get(each)))
        for each, begun in found.items():
            if begun.missed:
                self._metrics.lost_offsets(each, *begun.missed, begun.lost)
            self.memory[each] = begun.progress
            self._metrics.began(each, begun.offset, begun.why)
        return found

    async def _held(
        self,
        claims: Mapping[TopicPartition, Sequence[Progress]],
        first: Mapping[TopicPartition, int],
        end: Mapping[TopicPartition, int],
    ) -> dict[TopicPartition, Progress | None]:
        """The first claim that the log bears out; None where it bears out none, and is another log."""
        left = {
            each: [claim for claim in made if _reach(claim) <= end[each]] for each, made in claims.items()
        }
        held: dict[TopicPartition, Progress | None] = dict.fromkeys(claims)
        while left := {each: made for each, made in left.items() if made}:
            same = await self.same({each: made[0].mark for each, made in left.items()}, first)
            held |= {each: left[each][0] for each in same}
            left = {each: made[1:] for each, made in left.items() if each not in same}
        return held

    def _claims(self, partition: TopicPartition, group: Progress) -> list[Progress]:
        """What the group's offset and this process know, then less and less of it."""
        known = self.memory.get(partition)
        joined = group.joined(known) if known and known.line == group.line else group
        return list(dict.fromkeys((joined, group, group.bare())))

    def _be_patient(self, reach: Mapping[TopicPartition, int], end: Mapping[TopicPartition, int]) -> None:
        """Where the log ends before what was settled: wait whether it comes back, for so long as it may.

        A broker that has just come up may tell too low an end, and a transaction whose markers were lost holds it back.
        """
        now = self._clock()
        for each in reach:
            since, seen = self._behind.pop(each, (now, now))
            if reach[each] > end[each]:
                self._behind[each] = (since if now - seen <= 2 * PATIENCE_SECONDS else now, now)
        for each in reach:
            if each in self._behind and now - self._behind[each][0] <= PATIENCE_SECONDS:
                raise KafkaError(
                    f"{each.topic}, partition {each.partition}, ends at offset {end[each]}, before {reach[each]}, up to"
                    f" which the group has got; if Kafka is not just coming up, it has lost events"
                )

    async def same(
        self, marks: Mapping[TopicPartition, Mark | None], first: Mapping[TopicPartition, int]
    ) -> set[TopicPartition]:
        """Where nothing speaks against the log being the one in which these records were read."""
        kept = {each: mark for each, mark in marks.items() if mark is not None and mark.offset >= first[each]}
        there = await self._records_at({each: mark.offset for each, mark in kept.items()}) if kept else {}
        return marks.keys() - {each for each, record in there.items() if not _is(record, kept[each])}

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

    async def _after_a_lost_end(
        self, positions: Positions, partition: TopicPartition, group: Progress, end: int
    ) -> Beginning:
        """What stands there now was written after the end was lost, and so after the last settled record. When the offsets were
        told says less: that goes on while nobody notices the loss, as long as the destination takes nothing.
        """
        told = (await self._mirror()).at
        at = min(told, group.last.at) if group.last else told  # Kafka takes any number for a time
        found = await positions.offsets_for_time([partition], max(at - REPEAT_MS, 0))
        begun = _or(found.get(partition), end)
        self._metrics.end_is_lost(partition, group.offset, end, begun)
        return Beginning(Progress.at(begun), "an end of the log that Kafka has lost")


def _reach(progress: Progress) -> int:
    return progress.beyond[-1].stop if progress.beyond else progress.offset


def _is(record: Record | None, mark: Mark) -> bool:
    return record is not None and Mark.of(record) == mark


def _why(begun: Progress, group: Progress | None) -> str:
    if group is None:
        return FORGOTTEN
    return (
        COMMITTED
        if begun in (group, group.bare())
        else "what this process has delivered since the last commit"
    )


def _or(offset: int | None, other: int) -> int:
    return other if offset is None else offset
