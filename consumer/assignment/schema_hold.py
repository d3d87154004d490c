"""The hold of partitions whose records name a schema that is missing or does not fit them."""

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from consumer.assignment.record_buffer import BufferedRecords
from consumer.delivery.batch import record_bytes
from consumer.delivery.flow_state import FlowState
from consumer.metrics import PipelineMetrics
from consumer.timing import SchemaHoldTiming
from relay.avro.codec import SchemaRef
from relay.kafka import TopicPartition


@dataclass(frozen=True, slots=True)
class HeldRecords:
    """The records of one partition that wait, in the order of their offsets."""

    buffered: BufferedRecords
    refs: frozenset[SchemaRef]
    """The references in doubt."""
    attempt: int
    due_at: float
    """When the look-up is repeated, in seconds of the monotonic clock."""

    @property
    def bytes(self) -> int:
        return record_bytes(self.buffered.tracked.records)


class SchemaHold:
    """Holds a partition whole, so that its events go on in their order; other partitions go on meanwhile.

    Reading goes on too, up to `timing.held_bytes`: later records may show that the schema is right and a record is corrupt.
    """

    def __init__(
        self,
        state: FlowState,
        metrics: PipelineMetrics,
        timing: SchemaHoldTiming,
        pause: Callable[[TopicPartition], None],
        resume: Callable[[TopicPartition], None],
    ) -> None:
        self._state = state
        self._metrics = metrics
        self._timing = timing
        self._pause = pause
        self._resume = resume
        self._held: dict[TopicPartition, HeldRecords] = {}
        self._full: set[TopicPartition] = set()
        """Partitions that hold so much that reading is paused."""

    def oldest_ms(self) -> int | None:
        """Return the timestamp of the oldest held record, in ms UTC; None: no record is held."""
        return min((each.buffered.tracked.records[0].timestamp for each in self._held.values()), default=None)

    def seconds_until_due(self, now: float) -> float | None:
        """Return the seconds until the next look-up; None: no partition is held."""
        return min((max(0.0, each.due_at - now) for each in self._held.values()), default=None)

    def due(self, now: float) -> list[TopicPartition]:
        return [partition for partition, held in self._held.items() if held.due_at <= now]

    def get(self, partition: TopicPartition) -> HeldRecords:
        return self._held[partition]

    def add(self, buffered: BufferedRecords) -> BufferedRecords:
        """Add the records of held partitions to those that wait, and return the others."""
        for partition in self._held.keys() & buffered.tracked.partitions:
            held = self._held[partition]
            more = buffered.tracked.of_partition(partition)
            joined = replace(held.buffered, tracked=held.buffered.tracked.followed_by(more))
            self._held[partition] = replace(held, buffered=joined)
            self._pause_if_full(partition)
        return replace(buffered, tracked=buffered.tracked.without(self._held.keys()))

    def hold(
        self,
        partition: TopicPartition,
        buffered: BufferedRecords,
        refs: Collection[SchemaRef],
        reason: str,
        now: float,
    ) -> None:
        """Hold a partition, or go on holding it. `reason` is for the operator; `now` is the monotonic clock."""
        former = self._held.get(partition)
        attempt = former.attempt + 1 if former else 0
        wait = self._timing.look_up.wait(attempt, random.random())
        self._held[partition] = HeldRecords(buffered, frozenset(refs), attempt, now + wait)
        first = buffered.tracked.records[0].offset
        if former is None:
            self._metrics.schema_in_doubt(partition, first, reason)
        self._state.schema_doubted(
            partition,
            _doubt_text(partition, first, reason),
        )
        self._pause_if_full(partition)

    def release(self, partition: TopicPartition) -> None:
        """Stop holding a partition, whose records the caller has."""
        del self._held[partition]
        self._state.schema_found(partition)
        self._metrics.schema_doubt_cleared(partition)
        if partition in self._full:
            self._full.discard(partition)
            self._resume(partition)

    def close(self) -> None:
        """Withdraw the report on the status: the records wait elsewhere from now on."""
        for partition in self._held:
            self._state.schema_found(partition)

    def _pause_if_full(self, partition: TopicPartition) -> None:
        if partition not in self._full and self._held[partition].bytes >= self._timing.held_bytes:
            self._full.add(partition)
            self._pause(partition)


def _doubt_text(partition: TopicPartition, first: int, reason: str) -> str:
    return (
        f"Events of {partition.topic}, partition {partition.partition}, from offset {first} on wait: {reason}"
        " The look-up is repeated by itself; other partitions go on."
    )


def by_partition(buffered: BufferedRecords, indices: Collection[int]) -> Mapping[TopicPartition, list[int]]:
    """Return the given places of buffered records by their partitions."""
    found: dict[TopicPartition, list[int]] = {}
    wanted = set(indices)
    for index, partition in enumerate(buffered.tracked.partition_of_each()):
        if index in wanted:
            found.setdefault(partition, []).append(index)
    return found
