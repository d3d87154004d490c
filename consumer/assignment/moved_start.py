"""The start offset in a log that disproves every known offset: a mirrored cluster, a topic made anew, a lost end."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from consumer.assignment.event_log import EventLog, with_fingerprint
from consumer.assignment.first_start import or_default
from consumer.assignment.start_candidates import Candidates
from consumer.assignment.start_offset import StartOffset
from consumer.assignment.start_offset_texts import moved_text, reread_text
from consumer.metrics import PipelineMetrics
from consumer.offsets.backup import OffsetBackup
from consumer.offsets.delivered import DeliveryProgress
from relay.kafka import TopicPartition
from relay.kafka.bounded_consumer import BoundedConsumer


class MovedStartFinder:
    """Looks for the last delivered record in the log of now, and else reads again from before every record that may be new."""

    def __init__(
        self,
        log: EventLog,
        read_backup: Callable[[], Awaitable[OffsetBackup]],
        metrics: PipelineMetrics,
        reread_margin_ms: int,
    ) -> None:
        self._log = log
        self._read_backup = read_backup
        self._metrics = metrics
        self._reread_margin_ms = reread_margin_ms

    async def find(
        self, consumer: BoundedConsumer, partition: TopicPartition, candidates: Candidates, log_end: int
    ) -> StartOffset:
        """Return the start after the last delivered record, wherever this log has it, or before every record that may be new."""
        for fingerprint in candidates.fingerprints:
            since = await consumer.offsets_for_time([partition], max(fingerprint.timestamp, 0))
            start = since.get(partition)
            found = None if start is None else await self._log.find(partition, start, fingerprint)
            if found is not None:
                progress = replace(DeliveryProgress.starting_at(found.offset + 1), last=found)
                return StartOffset(
                    progress,
                    "the last delivered event, found at another offset",
                    mismatch=moved_text(partition, candidates.progress[-1].offset, progress.offset),
                )
        return await self._after_lost_end(consumer, partition, candidates.progress[-1], log_end)

    async def _after_lost_end(
        self, consumer: BoundedConsumer, partition: TopicPartition, progress: DeliveryProgress, log_end: int
    ) -> StartOffset:
        """Return a start from which every record written after the loss is read.

        1. Such records are newer than the last delivered record, so its timestamp bounds them.
        2. The time of the backup is a weaker bound: backups go on while the destination accepts nothing and the loss is not
           noticed.
        3. Kafka accepts any number as a timestamp, so the lower of both counts.
        """
        written_at = (await self._read_backup()).written_at
        newest = min(written_at, progress.last.timestamp if progress.last else written_at)
        since = max(newest - self._reread_margin_ms, 0)
        found = await consumer.offsets_for_time([partition], since)
        start = or_default(found.get(partition), log_end)
        self._metrics.log_end_lost(partition, progress.offset, log_end, start)
        return StartOffset(
            await with_fingerprint(self._log, partition, DeliveryProgress.starting_at(start)),
            "a lost end of the log",
            mismatch=reread_text(partition, progress.offset, start, since),
        )
