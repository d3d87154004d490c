"""The start offset of each partition after an assignment."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from consumer.assignment.event_log import EventLog, with_fingerprint
from consumer.assignment.first_start import LiveProgress, first_progress, with_split_offset
from consumer.assignment.log_proof import LogProof
from consumer.assignment.moved_start import MovedStartFinder
from consumer.assignment.split_offset import SplitOffsetFinder
from consumer.assignment.start_candidates import (
    Candidates,
    LogEndWait,
    candidates_of_backup,
    candidates_of_group,
)
from consumer.assignment.start_offset import StartOffset, start_within_log
from consumer.assignment.start_offset_texts import unproven_text
from consumer.config import StartPosition
from consumer.losses.loss_log import LossLog
from consumer.metrics import PipelineMetrics
from consumer.offsets.backup import OffsetBackup
from consumer.offsets.delivered import DeliveryProgress
from consumer.timing import StartTiming
from relay.kafka import TopicPartition
from relay.kafka.bounded_consumer import BoundedConsumer
from relay.timestamps import now_ms


class StartOffsetResolver:
    """Finds the start offsets of one group, and remembers the deliveries of this process.

    An offset is a number, and another log may hold another record there: a mirrored cluster, a topic made anew, a log that lost
    its end and has grown past the offset. So every offset that the relay wrote is proved by the record before it.

    | source of the offset                                   | proof                            | without proof              |
    |--------------------------------------------------------|----------------------------------|----------------------------|
    | 1. memory of this process, of the lineage of 2         | the last record at its offset    | 2                          |
    | 2. the group's commit, with the relay's metadata       | the last record at its offset    | 5                          |
    | 3. the group's commit with other metadata, or none:    | none: an operator is obeyed, and | -                          |
    |    set by an operator, or translated by MirrorMaker    | MirrorMaker never translates to  |                            |
    |    (sync.group.offsets.enabled)                        | a later event; proved afterwards |                            |
    | 4. the backup on the status topic                      | the last record at its offset    | 5                          |
    | 5. the last record of 1, 2 or 4 elsewhere in the log,  | the record itself; reading       | 6                          |
    |    searched from its timestamp on                      | begins after it                  |                            |
    | 6. the timestamp of that record, less ten minutes      | none: events are repeated        | -                          |
    | 7. an offset of 2 or 4 for which no record is known    | no record is before it           | the first event kept       |
    | 8. nothing: the first start, by the setting            | the record before it becomes the last record            |

    A last record that Kafka has deleted or cannot read disproves nothing. The memory survives assignments and memberships, since
    a commit may fail after the destination has accepted rows; it counts only for the lineage of the group's offset, so that an
    operator who sets an offset is obeyed.

    `read_backup` reads the status topic; it raises when that fails, since then nothing may be assumed. `live` makes it the resolver
    of a group of older events: it tells where the live group began, which is the end of each partition. `began_ms`: when the
    destination began, in ms UTC; None: not known.
    """

    def __init__(
        self,
        start: StartPosition,
        read_backup: Callable[[], Awaitable[OffsetBackup]],
        log: EventLog,
        metrics: PipelineMetrics,
        timing: StartTiming | None = None,
        clock: Callable[[], float] = time.monotonic,
        live: LiveProgress | None = None,
        now: Callable[[], int] = now_ms,
        began_ms: Callable[[], int | None] = lambda: None,
        losses: LossLog | None = None,
    ) -> None:
        self._start = start
        self._read_backup = read_backup
        self._log = log
        self._metrics = metrics
        self._timing = timing or StartTiming()
        self._live = live
        self.proof = LogProof(log)
        self._moved_starts = MovedStartFinder(log, read_backup, metrics, self._timing.reread_margin_ms)
        self._split_offsets = SplitOffsetFinder(log, self.proof.matching_partitions)
        self._now = now
        self._began_ms = began_ms
        self._log_ends = LogEndWait(self._timing.log_end_wait_seconds, clock)
        self.known_progress: dict[TopicPartition, DeliveryProgress] = {}
        self.losses = losses

    async def resolve(
        self, consumer: BoundedConsumer, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, StartOffset]:
        """Look up the start of each partition. Raises KafkaError, TimeoutError or RelayError; the caller tries again."""
        live = await self._live(partitions) if self._live else {}
        candidates = await self._candidates(consumer, partitions)
        log_starts = await consumer.first_offsets(partitions)
        log_ends = await consumer.end_offsets(partitions)
        self._log_ends.check(candidates, log_ends)
        valid = await self.proof.first_valid(candidates, log_starts, log_ends)
        first_starts = await first_progress(
            self._start,
            consumer,
            [each for each in partitions if each not in candidates],
            log_starts,
            log_ends,
            self._now() - self._timing.recent_ms,
            self._began_ms(),
        )
        starts: dict[TopicPartition, StartOffset] = {}
        bounds = {each: (log_starts[each], log_ends[each]) for each in partitions}
        for each in partitions:
            if each in first_starts:
                starts[each] = await self._first_start(each, first_starts[each])
            else:
                starts[each] = await self._known_start(
                    consumer, each, candidates[each], valid[each], bounds[each]
                )
        for each, start in starts.items():
            starts[each] = await self._divided(
                consumer, each, start, candidates.get(each), live.get(each), bounds[each]
            )
            await self._remember(each, starts[each])
        self._report(starts)
        return starts

    async def _known_start(
        self,
        consumer: BoundedConsumer,
        partition: TopicPartition,
        candidates: Candidates,
        valid: DeliveryProgress | None,
        bounds: tuple[int, int],
    ) -> StartOffset:
        """Return the start of a partition with candidates. `valid`: the first that agrees with the log; None: it is another log."""
        log_start, log_end = bounds
        if valid is None:
            return await self._moved_starts.find(consumer, partition, candidates, log_end)
        if await self.proof.is_missing(partition, valid, candidates, log_start):
            return self._first_event_kept(partition, valid, log_start)
        progress = valid if candidates.provable else await with_fingerprint(self._log, partition, valid)
        first_needed = self._first_needed(progress, log_start)
        return start_within_log(progress, first_needed, candidates.reason_of(progress))

    async def _divided(
        self,
        consumer: BoundedConsumer,
        partition: TopicPartition,
        start: StartOffset,
        candidates: Candidates | None,
        live: DeliveryProgress | None,
        bounds: tuple[int, int],
    ) -> StartOffset:
        """Return the start with its split offset. `live`: progress of the live group, for a group of older events."""
        divided = await self._split_offsets.carry_over(consumer, partition, start, candidates, bounds)
        if live is None:
            return divided
        located = await self._split_offsets.locate(consumer, partition, live, bounds, same_log=True)
        return with_split_offset(partition, divided, located)

    def _report(self, starts: Mapping[TopicPartition, StartOffset]) -> None:
        for reason in sorted({start.reason for start in starts.values()}):
            begun = {each: start.offset for each, start in starts.items() if start.reason == reason}
            self._metrics.reading_started(begun, reason)

    def _first_needed(self, progress: DeliveryProgress, log_start: int) -> int:
        """Return the first offset of the log, or the end of older events where Kafka has deleted beyond it: the rest is live."""
        if self._live is None or progress.live_from is None:
            return log_start
        return min(log_start, progress.live_from)

    async def _first_start(self, partition: TopicPartition, progress: DeliveryProgress) -> StartOffset:
        first = await with_fingerprint(self._log, partition, progress)
        older_last = None if first.live_from is None else first.last
        return StartOffset(replace(first, older_last=older_last), "the first start")

    async def _remember(self, partition: TopicPartition, start: StartOffset) -> None:
        """Remember a start, once its loss is recorded: a later look-up would not find that again."""
        if start.deleted_range:
            if self.losses is not None:
                await self.losses.note(partition, start.deleted_range, start.lost_count, start.deleted_after)
            self._metrics.offsets_lost(partition, *start.deleted_range, start.lost_count)
        if start.mismatch:
            self._metrics.offset_mismatched(partition, start.offset, start.mismatch)
        self.known_progress[partition] = start.progress

    async def _candidates(
        self, consumer: BoundedConsumer, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, Candidates]:
        """Return the candidates of the group or, where Kafka has no offset, of the backup; a partition of neither is left out."""
        committed = await consumer.committed(partitions)
        candidates = {
            each: candidates_of_group(found, self.known_progress.get(each))
            for each, found in committed.items()
            if found is not None
        }
        if len(candidates) < len(partitions):
            backup = await self._read_backup()
            candidates |= {
                each: candidates_of_backup(backup.progress[each])
                for each in partitions
                if each not in candidates and each in backup.progress
            }
        return candidates

    def _first_event_kept(
        self, partition: TopicPartition, progress: DeliveryProgress, log_start: int
    ) -> StartOffset:
        return StartOffset(
            DeliveryProgress.starting_at(log_start),
            "the first event kept, since nothing proves the offset",
            mismatch=unproven_text(partition, progress.offset, log_start),
        )
