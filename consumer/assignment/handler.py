"""One pipeline's member of the consumer group, across every rebalance."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from consumer.assignment.assignment import Assignment
from consumer.assignment.pipeline import Pipeline
from consumer.offsets.delivered import DeliveryProgress
from relay.kafka import Record, TopicPartition
from relay.kafka.bounded_consumer import BoundedConsumer, GroupCoverage
from relay.timestamps import now_ms


class AssignmentHandler:
    """Handles the callbacks of a group member (relay.kafka.consumer_group.MemberHandler); owns at most one assignment."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._assignment: Assignment | None = None
        self._running: asyncio.Task[None] | None = None
        self._consumer: BoundedConsumer | None = None
        self._stopping = False
        self.assignments = 0
        """How many this process has had: each rebalance of the group makes one."""

    @property
    def partitions(self) -> Sequence[TopicPartition]:
        """The partitions assigned to this process now."""
        return self._assignment.partitions if self._assignment else ()

    @property
    def ready(self) -> bool:
        """Whether this process is a member of the group and knows where each of its partitions begins."""
        return self._assignment is not None and self._assignment.ready

    @property
    def waiting_reason(self) -> str:
        """Why it is not ready."""
        return (self._assignment and self._assignment.waiting_reason) or "joining the group"

    async def group_coverage(self, topic: str) -> GroupCoverage | None:
        """Return which partitions the group reads; None while it rebalances. Raises KafkaError or TimeoutError."""
        if self._assignment is None or self._consumer is None:
            raise TimeoutError("not a member of the consumer group now")
        return await self._consumer.group_coverage(topic)

    async def first_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the first offset that Kafka keeps of each partition. Raises KafkaError or TimeoutError."""
        if self._assignment is None or self._consumer is None:
            raise TimeoutError("not a member of the consumer group now")
        return await self._consumer.first_offsets(partitions)

    def oldest_ms(self) -> int | None:
        """Return the timestamp, in ms UTC, of the oldest event that was read and is not accepted; None: there is none."""
        return self._assignment.oldest_ms() if self._assignment else None

    def oldest_seconds(self) -> float | None:
        """Return the age of the oldest event that was read and is not accepted; 0 when there is none, None: it is not known."""
        if not self.ready:
            return None
        oldest = self.oldest_ms()
        return 0.0 if oldest is None else max(0.0, time.time() - oldest / 1000)

    async def waiting_since(self) -> int | None:
        """Return the timestamp, in ms UTC, of the oldest event that was read and is not accepted; None: no event waits.

        Raises KafkaError or TimeoutError while that is not known: an event that is not read yet may wait.
        """
        assignment, consumer = self._assignment, self._consumer
        if assignment is None or consumer is None or not assignment.ready:
            raise TimeoutError("not a member of the consumer group now")
        read_all_at = {each: await consumer.read_all_at(each) for each in assignment.partitions}
        return assignment.waiting_since(read_all_at, now_ms())

    async def progress(
        self, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, DeliveryProgress | None]:
        """Return the committed progress of any of the group's partitions. Raises KafkaError or TimeoutError.

        None: the group has committed nothing for the partition.
        """
        assignment, consumer = self._assignment, self._consumer
        if assignment is None or consumer is None:
            raise TimeoutError("not a member of the consumer group now")
        committed: dict[TopicPartition, DeliveryProgress | None] = {
            each: found and DeliveryProgress.from_offset_and_metadata(found.offset, found.metadata)
            for each, found in (await consumer.committed(partitions)).items()
        }
        own = assignment.committed()
        return {each: own.get(each, committed[each]) for each in partitions}

    async def progress_and_ends(
        self, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, tuple[DeliveryProgress | None, int]]:
        """Return the committed progress and the end of the log of each partition. Raises as `progress`, also without a leader."""
        committed = await self.progress(partitions)
        if self._consumer is None:
            raise TimeoutError("not a member of the consumer group now")
        ends = await self._consumer.end_offsets(partitions)
        return {each: (committed[each], ends[each]) for each in partitions}

    def assigned(self, consumer: BoundedConsumer, partitions: set[TopicPartition]) -> None:
        if self._assignment is not None:
            raise RuntimeError("partitions were assigned before the former ones were revoked")
        if not self._stopping:
            self._consumer = consumer
            self.assignments += 1
            self._assignment = Assignment(self._pipeline, consumer, partitions)
            self._assignment.pause_until_started()
            self._running = asyncio.create_task(self._assignment.run(), name="assignment of partitions")

    async def revoked(self, partitions: set[TopicPartition]) -> None:  # noqa: ARG002
        await self._close()

    async def records(self, batches: Mapping[TopicPartition, Sequence[Record]]) -> None:
        """Take records. Raises the exception that ended the assignment's work, which ends the membership."""
        assignment = self._assignment
        if assignment is not None:
            assignment.accept_records(batches)
            if self._running is not None and self._running.done():
                self._running.result()
            assignment.raise_defect()
            await assignment.wait_for_capacity()

    async def out_of_range(self, offsets: Mapping[TopicPartition, int]) -> None:
        if self._assignment is not None:
            await self._assignment.out_of_range(offsets)

    async def closed(self) -> None:
        await self._close()

    async def stop(self, seconds: float) -> None:
        """Read nothing more, finish deliveries within `seconds`, and commit."""
        self._stopping = True
        if self._assignment is not None:
            await self._assignment.close(finish_seconds=seconds / 2, answer_seconds=seconds / 2)

    async def _close(self) -> None:
        assignment, running = self._assignment, self._running
        if assignment is not None:
            try:
                await assignment.close(finish_seconds=0, answer_seconds=self._pipeline.timing.answer_seconds)
            finally:
                self._assignment = self._running = None
                if running is not None:
                    running.cancel()
                    await asyncio.gather(running, return_exceptions=True)
