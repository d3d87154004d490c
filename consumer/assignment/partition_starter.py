"""The start of each partition of one assignment."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from consumer.assignment.losses import LossReport
from consumer.assignment.start_offset_resolver import StartOffsetResolver
from consumer.metrics import PipelineMetrics
from consumer.offsets.committer import OffsetCommitter
from consumer.offsets.tracker import OffsetTracker
from consumer.timing import AssignmentTiming
from relay.errors import describe
from relay.kafka import KAFKA_FAILURES, TopicPartition
from relay.kafka.bounded_consumer import BoundedConsumer


class PartitionStarter:
    """Looks up where each partition begins, commits it, and lets the partition be read.

    `ready` holds the partitions that have begun.
    """

    def __init__(
        self,
        resolver: StartOffsetResolver,
        consumer: BoundedConsumer,
        partitions: Sequence[TopicPartition],
        tracker: OffsetTracker,
        committer: OffsetCommitter,
        losses: LossReport,
        metrics: PipelineMetrics,
        timing: AssignmentTiming,
        require_own_target: Callable[[], Awaitable[None]],
    ) -> None:
        self._resolver = resolver
        self._consumer = consumer
        self._partitions = partitions
        self._tracker = tracker
        self._committer = committer
        self._losses = losses
        self._metrics = metrics
        self._timing = timing
        self._require_own_target = require_own_target
        self._waiting_reasons: dict[TopicPartition, str] = {}
        self.ready: set[TopicPartition] = set()

    @property
    def waiting_reason(self) -> str | None:
        """Why a partition has not begun; None: no look-up has failed."""
        return next(iter(self._waiting_reasons.values()), None)

    async def run(self) -> None:
        """Begin every partition, and return when all have begun.

        1. The group must still belong to this target: the process of another one may have joined since.
        2. All are looked up together, which costs the fewest requests.
        3. If that fails, each is looked up alone: a partition without a leader, or with a lost end, holds up no other.
        """
        while waiting := [each for each in self._partitions if each not in self.ready]:
            try:
                await self._require_own_target()
            except KAFKA_FAILURES as error:
                for each in waiting:
                    self._report_wait(each, error)
                await asyncio.sleep(self._timing.retry_seconds)
                continue
            try:
                await self._start_together(waiting)
            except KAFKA_FAILURES:
                await asyncio.gather(*map(self._start_alone, waiting))
                await asyncio.sleep(self._timing.retry_seconds)

    async def _start_alone(self, partition: TopicPartition) -> None:
        try:
            await self._start_together([partition])
        except KAFKA_FAILURES as error:
            self._report_wait(partition, error)

    def _report_wait(self, partition: TopicPartition, error: Exception) -> None:
        reason = describe(error)
        self._metrics.start_lookup_failed(partition, reason)
        self._waiting_reasons[partition] = (
            f"The start offset of {partition.topic}, partition {partition.partition}, cannot be looked up: {reason}"
        )

    async def _start_together(self, partitions: Sequence[TopicPartition]) -> None:
        """Begin these partitions.

        1. The start is committed before anything is read: after a crash a start at the end would be another end, and the
           events between them would be skipped.
        2. Reading begins with the last delivered record, so that the reader notices a leader that has lost it.
        """
        starts = await self._resolver.resolve(self._consumer, partitions)
        await self._committer.commit({each: start.progress for each, start in starts.items()})
        for partition, start in starts.items():
            self._waiting_reasons.pop(partition, None)
            self._tracker.start(partition, start.progress)
            self._consumer.seek(partition, start.last_read_offset)
            if start.deleted_range:
                self._losses.deleted(partition)
            if start.mismatch:
                self._losses.offset_mismatched(start.mismatch)
        self.ready.update(starts)
        self._consumer.resume(starts)
