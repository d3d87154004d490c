"""One destination's share of one topic, through every rebalance."""

import time
from collections.abc import Mapping, Sequence

from consumer.assignment.assignment import Assignment, Pipeline
from relay.kafka import Record, TopicPartition
from relay.kafka.positions import Positions

REBALANCE_TIMEOUT_SECONDS = 45.0
REQUEST_TIMEOUT_SECONDS = 25.0
"""Longest request; shorter than a rebalance, so that its answer still counts when partitions are taken away."""
ANSWER_SECONDS = 30.0


class AssignmentHandler:
    """What a member of the group does with its partitions (relay.kafka.group.Handler)."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._assignment: Assignment | None = None
        self._positions: Positions | None = None
        self._stopping = False

    @property
    def partitions(self) -> Sequence[TopicPartition]:
        """Those that are ours now."""
        return self._assignment.partitions if self._assignment else ()

    @property
    def ready(self) -> bool:
        """Whether it is a member of the group and knows where each of its partitions begins."""
        return self._assignment is not None and self._assignment.ready

    @property
    def waiting_reason(self) -> str:
        """What it waits for while it is not ready."""
        return (self._assignment and self._assignment.waiting_reason) or "joining the group"

    def oldest_seconds(self) -> float:
        """Age of the oldest event that was read and is not yet accepted; 0 when there is none."""
        oldest = self._assignment.oldest_ms() if self._assignment else None
        return 0.0 if oldest is None else max(0.0, time.time() - oldest / 1000)

    async def offsets_and_ends(
        self, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, tuple[int | None, int]]:
        """Committed offset and end of any of the group's partitions. Raises KafkaError or TimeoutError."""
        assignment, positions = self._assignment, self._positions
        if assignment is None or positions is None:
            raise TimeoutError("not a member of the group at the moment")
        found_offsets = await positions.committed(partitions)
        committed = {each: found.offset if found else None for each, found in found_offsets.items()}
        committed.update(assignment.committed_offsets())
        ends = await positions.end_offsets(partitions)
        return {each: (committed[each], ends[each]) for each in partitions}

    def assigned(self, positions: Positions, partitions: set[TopicPartition]) -> None:
        if self._assignment is not None:
            raise RuntimeError("partitions were assigned before the former ones were revoked")
        if not self._stopping:
            self._positions = positions
            self._assignment = Assignment(self._pipeline, positions, partitions)
            self._assignment.start()

    async def revoked(self, partitions: set[TopicPartition]) -> None:  # noqa: ARG002
        await self._close(ANSWER_SECONDS)

    async def records(self, batches: Mapping[TopicPartition, Sequence[Record]]) -> None:
        assignment = self._assignment
        if assignment is not None:
            assignment.accept_records(batches)
            assignment.raise_task_errors()
            await assignment.wait_for_capacity()

    async def out_of_range(self, offsets: Mapping[TopicPartition, int]) -> None:
        if self._assignment is not None:
            await self._assignment.out_of_range(offsets)

    async def closed(self) -> None:
        await self._close(ANSWER_SECONDS)

    async def stop(self, seconds: float) -> None:
        """Read nothing more, finish what is being delivered within `seconds`, and commit."""
        self._stopping = True
        if self._assignment is not None:
            await self._assignment.close(finish_seconds=seconds / 2, answer_seconds=seconds / 2)

    async def _close(self, answer_seconds: float) -> None:
        assignment = self._assignment
        if assignment is not None:
            try:
                await assignment.close(finish_seconds=0, answer_seconds=answer_seconds)
            finally:
                self._assignment = None
