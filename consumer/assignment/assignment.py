"""One assignment of partitions: the life of everything that belongs to it."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from consumer.assignment.losses import LossReport
from consumer.assignment.partition_starter import PartitionStarter
from consumer.assignment.pipeline import Pipeline
from consumer.assignment.pump import Pump
from consumer.assignment.reading_pauses import ReadingPauses
from consumer.assignment.record_buffer import RecordBuffer
from consumer.assignment.refilled import skip_refilled
from consumer.assignment.route_holds import route_holds
from consumer.assignment.schema_hold import SchemaHold
from consumer.assignment.unreadable_positions import UnreadablePositions, split_offset
from consumer.delivery.sender import Sender
from consumer.offsets.committer import CommitLoop, OffsetCommitter
from consumer.offsets.delivered import DeliveryProgress
from consumer.offsets.tracker import OffsetTracker, TrackedRecords
from relay.aio import Signal
from relay.kafka import KafkaError, Record, TopicPartition, partition_text
from relay.kafka.bounded_consumer import BoundedConsumer

FETCHED_MS = 15_000
"""Age of a fetch that still says what a partition has: Kafka answers each within half a second, and a busy process waits a little."""


class Assignment:
    """Reads its partitions into the buffer, and owns starter, pump, sender and commit loop.

    Call `pause_until_started`, then start a task of `run`; feed it with `accept_records`, and end it with `close`. After that it sends and
    commits nothing. Records that arrive while it closes are neither sent nor committed.
    """

    def __init__(
        self, pipeline: Pipeline, consumer: BoundedConsumer, partitions: set[TopicPartition]
    ) -> None:
        flow, timing = pipeline.flow, pipeline.timing
        self._pipeline = pipeline
        self._consumer = consumer
        self._partitions = sorted(partitions)
        self._changed = Signal()
        self._tracker = OffsetTracker()
        self._buffer = RecordBuffer(
            timing.buffers.chunk_bytes,
            timing.buffers.aside_bytes,
            keeps_keys=bool(flow.destination.limits.routes),
        )
        self._losses = LossReport(flow.state, flow.metrics, pipeline.start_offsets.losses)
        self._committer = OffsetCommitter(consumer, flow.metrics)
        self._starter = self._new_starter(consumer)
        self._commits = self._new_commit_loop(consumer)
        self._pauses = ReadingPauses(consumer, self._starter.ready, timing.corrupt_pause_seconds)
        self._schema_hold = SchemaHold(
            flow.state, flow.metrics, timing.schema_hold, self._pauses.hold, self._pauses.release
        )
        self._sender = Sender(flow, self._on_delivered, consumer.wait_for_membership, self._changed)
        shared = self._sender, self._commits, self._buffer, self._pauses
        self._route_holds = route_holds(pipeline, self._partitions, *shared, self._on_space_freed)
        self._pump = self._new_pump()
        self._unreadable = UnreadablePositions(
            pipeline, consumer, self._tracker, self._losses, self._pauses, self._may_seek
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._ending: asyncio.Task[None] | None = None

    def _new_starter(self, consumer: BoundedConsumer) -> PartitionStarter:
        pipeline = self._pipeline
        return PartitionStarter(
            pipeline.start_offsets,
            consumer,
            self._partitions,
            self._tracker,
            self._committer,
            self._losses,
            pipeline.flow.metrics,
            pipeline.timing,
            pipeline.require_own_target,
        )

    def _new_commit_loop(self, consumer: BoundedConsumer) -> CommitLoop:
        return CommitLoop(
            self._committer,
            self._tracker,
            consumer,
            self._starter.ready,
            self._remember,
            self._changed.notify,
            self._pipeline.flow.metrics,
            self._pipeline.timing,
        )

    def _new_pump(self) -> Pump:
        return Pump(
            self._pipeline,
            self._buffer,
            self._sender,
            self._tracker,
            self._schema_hold,
            self._changed,
            self._commits,
            self._wake_commits,
            self._on_space_freed,
            self._route_holds,
        )

    @property
    def partitions(self) -> Sequence[TopicPartition]:
        return self._partitions

    @property
    def ready(self) -> bool:
        """Whether every partition has begun."""
        return len(self._starter.ready) == len(self._partitions)

    @property
    def waiting_reason(self) -> str | None:
        """Why it is not ready; None: no look-up has failed."""
        return self._starter.waiting_reason

    def oldest_ms(self) -> int | None:
        """Return the timestamp of the oldest record that was read and is not delivered, in ms UTC; None: there is none."""
        known = (self._pump.oldest_ms(), self._sender.oldest_ms())
        return min((each for each in known if each is not None), default=None)

    def waiting_since(self, read_all_at: Mapping[TopicPartition, int | None], now: int) -> int | None:
        """Return the timestamp of the oldest event that waits, in ms UTC; None: none does.

        `read_all_at`: when the last fetch of each partition said that nothing is left to read; None: something is.
        Raises TimeoutError while an event that is not read may be older than all that are. One is younger than the read
        events of its partition, and than the last fetch that did not show it.
        """
        oldest = self.oldest_ms()
        for partition, fetched_at in read_all_at.items():
            if self._tracker.first_undelivered(partition) is not None:
                if oldest is None:
                    raise TimeoutError("events are on their way")
            elif fetched_at is None:
                raise TimeoutError(f"{partition_text(partition)} is not read to its end")
            elif abs(now - fetched_at) > FETCHED_MS and (oldest is None or oldest > fetched_at):
                raise TimeoutError(f"{partition_text(partition)} is not fetched")
        return oldest

    def committed(self) -> Mapping[TopicPartition, DeliveryProgress]:
        """Return the progress that this assignment has committed."""
        return self._committer.committed

    def pause_until_started(self) -> None:
        """Pause all partitions until their starts are known. Raises KafkaError for a partition that is not assigned."""
        for partition in self._partitions:
            self._consumer.seek(partition, 0)  # so that aiokafka looks up no position of its own
        self._consumer.pause(self._partitions)

    async def run(self) -> None:
        """Run starter, pump and commit loop until `close`. Raises the exception that ended one of them."""
        if self._ending is not None:
            return
        self._tasks = [
            asyncio.create_task(self._starter.run(), name="start of partitions"),
            asyncio.create_task(self._pump.run(), name="pump of events"),
            asyncio.create_task(self._commits.run(), name="commit loop"),
        ]
        pending = set(self._tasks)
        try:
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    self._raise_failure(task)
        finally:
            for task in self._tasks:
                task.cancel()

    def _raise_failure(self, task: asyncio.Task[None]) -> None:
        """Raise the exception that ended a task. A cancellation that `close` did not request came from inside a library."""
        if not task.cancelled():
            task.result()
        elif self._ending is None:
            raise RuntimeError(f"the {task.get_name()} was cancelled from inside a library")

    def raise_defect(self) -> None:
        """Raise the defect that made the sender unreliable, if there is one."""
        if self._sender.defect is not None:
            raise self._sender.defect

    def accept_records(self, batches: Mapping[TopicPartition, Sequence[Record]]) -> None:
        """Buffer records. Called before anything else is awaited, since Kafka's positions are after them already."""
        if self._ending is None:
            self._pauses.resume_due(time.monotonic())
        for partition, read in batches.items():
            if not read:
                continue
            if partition not in self._starter.ready:
                raise KafkaError(f"records of {partition_text(partition)} arrived before its start was known")
            self._losses.readable([partition])
            records = self._before_split_offset(partition, read)
            if not records:
                continue
            tracked = self._tracker.track(partition, records)
            for sequence, undelivered in skip_refilled(tracked, self._tracker, self._pipeline.flow):
                self._buffer.add(undelivered, sequence, time.monotonic())
                self._pipeline.flow.metrics.events_read(len(undelivered))
            self._losses.record_arrived(partition, records[0].timestamp)
        self._changed.notify()

    def _before_split_offset(self, partition: TopicPartition, records: Sequence[Record]) -> Sequence[Record]:
        """Return the records before the split offset where this group ends there, and stop reading there."""
        split = split_offset(self._pipeline, self._tracker, partition)
        if split is None or records[-1].offset < split:
            return records
        self._consumer.seek(partition, split)  # the position is committed
        self._pauses.hold(partition, "end")
        return [each for each in records if each.offset < split]

    def _may_seek(self, partition: TopicPartition) -> bool:
        return partition in self._starter.ready and self._ending is None

    async def out_of_range(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Handle positions at which the log cannot be read; see `UnreadablePositions.handle`."""
        await self._unreadable.handle(offsets)

    async def wait_for_capacity(self) -> None:
        """Wait a little for room in the buffer; if there is none, pause the partitions, so that polling can go on.

        The end of the assignment ends the wait: the partitions may return to the next one, whose polling must not wait, and
        which knows of no pause but its own.
        """
        try:
            async with asyncio.timeout(self._pipeline.timing.capacity_wait_seconds):
                while self._lacks_room():
                    await self._changed.wait()
        except TimeoutError:
            # Room may have come at the same moment, and nothing resumes reading then: the pump has nothing to take.
            if self._lacks_room():
                self._pauses.pause_all()

    def _lacks_room(self) -> bool:
        return (
            self._ending is None and self._buffer.bytes >= self._pipeline.timing.buffers.record_buffer_bytes
        )

    async def close(self, *, finish_seconds: float, answer_seconds: float) -> None:
        """Finish deliveries for `finish_seconds`, then start no request and wait `answer_seconds` for answers; then commit.

        Records that were only read are left to the next owner. A second call with `finish_seconds` of 0 ends the first wait.
        """
        if finish_seconds <= 0:
            self._sender.stop_accepting()
        if self._ending is None:
            ending = self._close(finish_seconds, answer_seconds)
            self._ending = asyncio.create_task(ending, name="end of an assignment")
            self._changed.notify()
        await asyncio.shield(self._ending)

    async def _close(self, finish_seconds: float, answer_seconds: float) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if finish_seconds > 0:
            # The membership goes on, and would read records that this assignment does not send any more.
            self._consumer.pause(self._partitions)
            await self._sender.wait_until_finished(finish_seconds)
        await self._sender.close(answer_seconds)
        self._losses.readable(self._partitions)
        self._schema_hold.close()
        if self._route_holds is not None:
            self._route_holds.close()
        released = self._tracker.tracked_count() - self._tracker.delivered_count()
        self._pipeline.flow.metrics.events_released(released)
        await self._commits.commit()

    def _remember(self, progress: Mapping[TopicPartition, DeliveryProgress]) -> None:
        self._pipeline.start_offsets.known_progress |= progress

    def _on_delivered(self, tracked: TrackedRecords) -> None:
        self._tracker.mark_delivered(tracked)
        self._wake_commits()

    def _wake_commits(self) -> None:
        self._commits.wake()
        self._changed.notify()

    def _on_space_freed(self) -> None:
        """Resume reading when the buffer has room again."""
        self._changed.notify()
        if self._buffer.bytes < self._pipeline.timing.buffers.decode_block_bytes:
            self._pauses.resume_all()
