"""The offset commits of one assignment."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from consumer.metrics import PipelineMetrics
from consumer.offsets.delivered import MAX_DELIVERED_RANGES, DeliveryProgress
from consumer.offsets.tracker import OffsetTracker, SequenceRange
from consumer.timing import AssignmentTiming
from relay.errors import describe
from relay.kafka import KafkaError, OffsetAndMetadata, OffsetMetadataTooLargeError, TopicPartition
from relay.kafka.bounded_consumer import BoundedConsumer

METADATA_LEVELS: Sequence[Callable[[DeliveryProgress], OffsetAndMetadata]] = (
    DeliveryProgress.to_offset_and_metadata,
    partial(DeliveryProgress.to_offset_and_split_offset, with_record=True),
    partial(DeliveryProgress.to_offset_and_split_offset, with_record=False),
    lambda progress: OffsetAndMetadata(progress.offset, ""),
)
"""The contents of metadata, longest first: the progress, the split offset with its record, the split offset, nothing."""


class OffsetCommitter:
    """Commits offsets with as many delivered ranges as the brokers accept.

    It begins with the number that fits by default, and goes down to none, and at last to the split offset of the partition, or to
    no metadata at all.
    """

    def __init__(self, consumer: BoundedConsumer, metrics: PipelineMetrics) -> None:
        self._consumer = consumer
        self._metrics = metrics
        self._committed: dict[TopicPartition, DeliveryProgress] = {}
        self._max_ranges = MAX_DELIVERED_RANGES
        self._metadata_level = 0
        """Index of the longest of `METADATA_LEVELS` that the brokers accept."""

    @property
    def committed(self) -> Mapping[TopicPartition, DeliveryProgress]:
        """The committed progress of each partition."""
        return self._committed

    @property
    def max_ranges(self) -> int:
        """How many delivered ranges of a partition the brokers accept, as far as is known."""
        return self._max_ranges if self._metadata_level == 0 else 0

    async def commit(self, progress: Mapping[TopicPartition, DeliveryProgress]) -> None:
        """Commit what has changed. Raises KafkaError, also when the partition may have another owner, and TimeoutError."""
        while True:
            limited = {each: made.with_first_ranges(self._max_ranges) for each, made in progress.items()}
            changed = {each: made for each, made in limited.items() if self._committed.get(each) != made}
            if not changed:
                return
            try:
                await self._consumer.commit(
                    {each: METADATA_LEVELS[self._metadata_level](made) for each, made in changed.items()}
                )
            except OffsetMetadataTooLargeError:
                if self._metadata_level == len(METADATA_LEVELS) - 1:
                    raise
                self._shorten()
            else:
                self._committed |= changed
                return

    def _shorten(self) -> None:
        """Commit less metadata from now on."""
        if self._metadata_level == 0 and self._max_ranges > 0:
            self._max_ranges //= 4
            return
        if self._metadata_level == 0:
            self._metrics.offset_metadata_rejected()
        self._metadata_level += 1


class CommitLoop:
    """Commits what the tracker knows as delivered, soon after each delivery and now and then without one.

    `remember` receives the progress before each commit: a commit may fail after the destination has accepted the rows.
    `on_commit` is called after each commit.
    """

    def __init__(
        self,
        committer: OffsetCommitter,
        tracker: OffsetTracker,
        consumer: BoundedConsumer,
        ready: Collection[TopicPartition],
        remember: Callable[[Mapping[TopicPartition, DeliveryProgress]], None],
        on_commit: Callable[[], None],
        metrics: PipelineMetrics,
        timing: AssignmentTiming,
    ) -> None:
        self._committer = committer
        self._tracker = tracker
        self._consumer = consumer
        self._ready = ready
        self._remember = remember
        self._on_commit = on_commit
        self._metrics = metrics
        self._timing = timing
        self._delivered = asyncio.Event()
        self._committed_count = 0
        """How many of the delivered records are committed as such."""
        self._count_at_commit = 0
        """How many records were delivered at the last commit."""

    def wake(self) -> None:
        """Commit soon: records were delivered."""
        self._delivered.set()

    def uncommitted(self) -> int:
        """Return how many delivered records a kill now would send again."""
        return self._tracker.delivered_count() - self._committed_count

    def blocks(self, partition: TopicPartition, sequences: Iterable[SequenceRange]) -> bool:
        """Return whether these records hold the first undelivered one of the partition, while others behind it are delivered."""
        return self._tracker.blocks(partition, sequences)

    def uncommittable(self, partition: TopicPartition) -> int:
        """Return how many delivered records of a partition no commit holds until an earlier one is delivered."""
        return self._tracker.uncommittable_count(partition, self._committer.max_ranges)

    @property
    def is_current(self) -> bool:
        """Whether another commit now would not lower `uncommitted`."""
        return self._tracker.delivered_count() == self._count_at_commit

    async def run(self) -> None:
        """Commit until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timing.idle_commit_interval_seconds):
                    await self._delivered.wait()
            self._delivered.clear()
            committed = await self.commit()
            await asyncio.sleep(
                self._timing.commit_interval_seconds if committed else self._timing.retry_seconds
            )

    async def commit(self) -> bool:
        """Commit what is delivered. Return whether Kafka has all of it now."""
        self._remember(self._tracker.progress())
        try:
            positions = {each: await self._position(each) for each in sorted(self._ready)}
            progress = self._tracker.progress(positions)
            delivered_count, counts = self._tracker.delivered_count(), self._tracker.delivered_counts()
            await self._committer.commit(progress)
        except (KafkaError, TimeoutError) as error:
            self._metrics.commit_failed(describe(error))
            return False
        self._metrics.offsets_committed()
        # after the commit, which may have shortened the metadata
        self._committed_count = counts.committable(self._committer.max_ranges)
        self._count_at_commit = delivered_count
        self._on_commit()
        return True

    async def _position(self, partition: TopicPartition) -> int:
        """Return the next offset to read; 0 when only the records are certain."""
        return 0 if self._consumer.unreliable else await self._consumer.position(partition)
