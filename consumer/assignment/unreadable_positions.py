"""Positions at which the log of a partition cannot be read, and where reading goes on."""

import time
from collections.abc import Callable, Mapping

from consumer.assignment.losses import LossReport
from consumer.assignment.pipeline import Pipeline
from consumer.assignment.reading_pauses import ReadingPauses
from consumer.offsets.tracker import OffsetTracker
from relay.kafka import KafkaError, TopicPartition
from relay.kafka.bounded_consumer import BoundedConsumer, CorruptBatch


def split_offset(pipeline: Pipeline, tracker: OffsetTracker, partition: TopicPartition) -> int | None:
    """Return the offset at which a pipeline of older events ends; None: the pipeline has no end."""
    return tracker.live_from(partition) if pipeline.ends_at_split_offset else None


class UnreadablePositions:
    """Decides for each position of one assignment that Kafka refuses: skip, wait, or look everything up again."""

    def __init__(
        self,
        pipeline: Pipeline,
        consumer: BoundedConsumer,
        tracker: OffsetTracker,
        losses: LossReport,
        pauses: ReadingPauses,
        may_seek: Callable[[TopicPartition], bool],
    ) -> None:
        """`may_seek`: whether the partition has begun, and the assignment does not end."""
        self._pipeline = pipeline
        self._consumer = consumer
        self._tracker = tracker
        self._losses = losses
        self._pauses = pauses
        self._may_seek = may_seek

    async def handle(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Handle deleted records, a corrupt batch, or another leader's log.

        Deleted records are skipped up to the first event kept; a corrupt batch is not, unless the offset was set behind it. Raises
        KafkaError when the log no longer holds the last record that was read; then everything must be looked up again.
        """
        log_starts = await self._consumer.first_offsets(offsets)
        for partition, offset in offsets.items():
            if not self._may_seek(partition) or offset != await self._consumer.position(partition):
                continue  # its position has moved since
            if not self._may_seek(partition):
                return
            corrupt_batch = self._consumer.corrupt_batch(partition)
            if corrupt_batch is not None and offset <= corrupt_batch.last_offset:
                self._hold_or_pass(partition, offset, corrupt_batch)
            elif offset < log_starts[partition]:
                await self._skip_deleted(partition, offset, log_starts[partition])
            else:
                await self._seek_after_last_read(partition, log_starts)

    def _hold_or_pass(self, partition: TopicPartition, offset: int, corrupt_batch: CorruptBatch) -> None:
        """Leave the partition alone at a corrupt batch; pass one that lies before its start.

        Reading begins with the last record before the start, to notice another log. An operator who has set the offset behind a
        corrupt batch would wait for it again otherwise.
        """
        start = self._tracker.start_offset(partition)
        if corrupt_batch.last_offset < start:
            self._consumer.seek(partition, start)
        else:
            self._pauses.leave_alone(partition, time.monotonic())
            self._losses.corrupt(partition, offset, corrupt_batch.last_offset, corrupt_batch.fault)

    async def _skip_deleted(self, partition: TopicPartition, start: int, log_start: int) -> None:
        """Read on at the first offset kept. The loss is recorded first, since the new position may be committed at once."""
        split = split_offset(self._pipeline, self._tracker, partition)
        # What comes after a split offset is the live group's.
        stop = log_start if split is None else max(start, min(log_start, split))
        if lost := self._tracker.skip(partition, start, stop):
            await self._losses.note(partition, (start, stop), lost, self._tracker.last_read(partition))
            self._pipeline.flow.metrics.offsets_lost(partition, start, stop, lost)
            self._losses.deleted(partition)
        if self._may_seek(partition):
            self._consumer.seek(partition, log_start)

    async def _seek_after_last_read(
        self, partition: TopicPartition, log_starts: Mapping[TopicPartition, int]
    ) -> None:
        """Seek to right after the last record that was read, if the log still holds it.

        Transaction markers after it may be lost without harm; a lost record means another log.
        """
        last_read = self._tracker.last_read(partition)
        if partition not in await self._pipeline.start_offsets.proof.matching_partitions(
            {partition: last_read}, log_starts
        ):
            raise KafkaError(
                f"{partition.topic}, partition {partition.partition}, no longer holds the record that was read at offset"
                f" {last_read.offset if last_read else 0}"
            )
        position = await self._consumer.position(partition)
        if self._may_seek(partition):
            self._consumer.seek(
                partition, max(log_starts[partition], last_read.offset + 1) if last_read else position
            )
