"""The start offset of each partition after an assignment."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from consumer.metrics import FROM_COMMITTED_OFFSET, PipelineMetrics
from consumer.offsets.backup import OffsetBackup
from consumer.offsets.delivered import DeliveryProgress, RecordFingerprint
from consumer.timing import StartTiming
from relay.kafka import KafkaError, Record, TopicPartition
from relay.kafka.positions import Positions

Start = Literal["earliest", "latest"] | datetime

FROM_STATUS_TOPIC = "the backup on the status topic, since Kafka has no offset of the group"


@dataclass(frozen=True, slots=True)
class StartOffset:
    progress: DeliveryProgress
    reason: str
    deleted_range: tuple[int, int] | None = None
    """Offsets [first, stop) that Kafka deleted before all of them were delivered; None: there are none."""
    lost_count: int = 0
    """How many of these offsets had not been delivered."""

    @property
    def offset(self) -> int:
        return self.progress.offset

    @property
    def last_read_offset(self) -> int:
        """The offset of the last record before the start; the start itself if no such record is known."""
        return self.progress.last.offset if self.progress.last else self.offset


def start_within_log(progress: DeliveryProgress, log_start: int, reason: str) -> StartOffset:
    """Return the start at the first undelivered offset, or at the first one that the log still has."""
    kept, lost_count = progress.without_deleted(log_start)
    if not lost_count:
        return StartOffset(kept, reason)
    return StartOffset(kept, "the first event kept", (progress.offset, log_start), lost_count)


class StartOffsetResolver:
    """Finds the start offsets of one group, and remembers what this process has delivered.

    1. The memory survives assignments and memberships: a commit may fail after the destination has accepted rows, because
       Kafka is unavailable or the group has moved on.
    2. The memory counts only for the lineage of the group's offset, so an operator who sets an offset is obeyed.
    3. An offset can come to mean another record: a log lost its end, or was created anew, and has grown past the offset.
       So the fingerprint of the last record is compared with the log before an offset counts.

    `read_backup` reads the status topic; it raises when that fails, since then nothing may be assumed.
    `records_at` reads single records: None where the log has no record, left out where Kafka has deleted the offset.
    """

    def __init__(
        self,
        start: Start,
        read_backup: Callable[[], Awaitable[OffsetBackup]],
        records_at: Callable[
            [Mapping[TopicPartition, int]], Awaitable[Mapping[TopicPartition, Record | None]]
        ],
        metrics: PipelineMetrics,
        timing: StartTiming | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._read_backup = read_backup
        self._records_at = records_at
        self._metrics = metrics
        self._timing = timing or StartTiming()
        self._clock = clock
        self._short_logs: dict[TopicPartition, tuple[float, float]] = {}
        """Partitions whose log ends before a delivered offset: since when, and when that was seen last."""
        self.known_progress: dict[TopicPartition, DeliveryProgress] = {}

    async def resolve(
        self, positions: Positions, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, StartOffset]:
        """Look up the start of each partition. Raises KafkaError, TimeoutError or RelayError; the caller tries again."""
        committed = await positions.committed(partitions)
        log_starts = await positions.first_offsets(partitions)
        log_ends = await positions.end_offsets(partitions)
        group_progress = {
            each: DeliveryProgress.from_offset_and_metadata(*resolved)
            for each, resolved in committed.items()
            if resolved is not None
        }
        candidates = {each: self._candidates(each, progress) for each, progress in group_progress.items()}
        backup = await self._read_backup() if len(group_progress) < len(partitions) else OffsetBackup({}, 0)
        candidates |= {
            each: [DeliveryProgress.starting_at(backup.offsets[each])]
            for each in partitions
            if each not in group_progress and each in backup.offsets
        }
        self._wait_for_log_end(
            {each: max(map(_delivered_end, made)) for each, made in candidates.items()}, log_ends
        )
        valid = await self._first_valid(candidates, log_starts, log_ends)
        first_starts = await self._first_start_offsets(
            positions, [each for each in partitions if each not in candidates], log_starts, log_ends
        )
        resolved = {}
        for each in partitions:
            if each in first_starts:
                resolved[each] = StartOffset(
                    DeliveryProgress.starting_at(max(first_starts[each], log_starts[each])), "the first start"
                )
            elif (progress := valid[each]) is None:
                resolved[each] = await self._start_after_lost_end(
                    positions, each, candidates[each][-1], log_ends[each]
                )
            else:
                resolved[each] = start_within_log(
                    progress, log_starts[each], _start_reason(progress, group_progress.get(each))
                )
        for each, start in resolved.items():
            if start.deleted_range:
                self._metrics.offsets_lost(each, *start.deleted_range, start.lost_count)
            self.known_progress[each] = start.progress
        for reason in sorted({start.reason for start in resolved.values()}):
            begun = {each: start.offset for each, start in resolved.items() if start.reason == reason}
            self._metrics.reading_started(begun, reason)
        return resolved

    async def _first_valid(
        self,
        candidates: Mapping[TopicPartition, Sequence[DeliveryProgress]],
        log_starts: Mapping[TopicPartition, int],
        log_ends: Mapping[TopicPartition, int],
    ) -> dict[TopicPartition, DeliveryProgress | None]:
        """Return the first candidate that agrees with the log; None when none does, since then it is another log."""
        remaining = {
            each: [candidate for candidate in made if _delivered_end(candidate) <= log_ends[each]]
            for each, made in candidates.items()
        }
        valid: dict[TopicPartition, DeliveryProgress | None] = dict.fromkeys(candidates)
        while remaining := {each: made for each, made in remaining.items() if made}:
            matching = await self.matching_partitions(
                {each: made[0].last_fingerprint for each, made in remaining.items()}, log_starts
            )
            valid |= {each: remaining[each][0] for each in matching}
            remaining = {each: made[1:] for each, made in remaining.items() if each not in matching}
        return valid

    def _candidates(
        self, partition: TopicPartition, group_progress: DeliveryProgress
    ) -> list[DeliveryProgress]:
        """Return the progress that group and memory know together, then less and less of it."""
        known = self.known_progress.get(partition)
        merged = (
            group_progress.merged(known)
            if known and known.lineage == group_progress.lineage
            else group_progress
        )
        return list(dict.fromkeys((merged, group_progress, group_progress.without_ranges())))

    def _wait_for_log_end(
        self, delivered_ends: Mapping[TopicPartition, int], log_ends: Mapping[TopicPartition, int]
    ) -> None:
        """Raise KafkaError while a log ends before a delivered offset, for `log_end_wait_seconds` at most.

        The end may come back: a broker that has just started may report too low an end, and a transaction without markers
        holds the end back.
        """
        now = self._clock()
        for each in delivered_ends:
            since, last_seen = self._short_logs.pop(each, (now, now))
            if delivered_ends[each] > log_ends[each]:
                self._short_logs[each] = (
                    since if now - last_seen <= 2 * self._timing.log_end_wait_seconds else now,
                    now,
                )
        for each in delivered_ends:
            if (
                each in self._short_logs
                and now - self._short_logs[each][0] <= self._timing.log_end_wait_seconds
            ):
                raise KafkaError(
                    f"{each.topic}, partition {each.partition}, ends at offset {log_ends[each]}, but the group has delivered up to"
                    f" {delivered_ends[each]}; unless Kafka is starting, it has lost events"
                )

    async def matching_partitions(
        self,
        fingerprints: Mapping[TopicPartition, RecordFingerprint | None],
        log_starts: Mapping[TopicPartition, int],
    ) -> set[TopicPartition]:
        """Return the partitions whose log still holds the record of its fingerprint, or cannot disprove it."""
        kept = {
            each: mark
            for each, mark in fingerprints.items()
            if mark is not None and mark.offset >= log_starts[each]
        }
        records = await self._records_at({each: mark.offset for each, mark in kept.items()}) if kept else {}
        return fingerprints.keys() - {
            each for each, record in records.items() if not _matches(record, kept[each])
        }

    async def _first_start_offsets(
        self,
        positions: Positions,
        partitions: Sequence[TopicPartition],
        log_starts: Mapping[TopicPartition, int],
        log_ends: Mapping[TopicPartition, int],
    ) -> dict[TopicPartition, int]:
        match self._start:
            case "earliest":
                return {partition: log_starts[partition] for partition in partitions}
            case "latest":
                return {partition: log_ends[partition] for partition in partitions}
            case moment:
                offsets = await positions.offsets_for_time(partitions, int(moment.timestamp() * 1000))
                return {
                    partition: _or_default(offsets.get(partition), log_ends[partition])
                    for partition in partitions
                }

    async def _start_after_lost_end(
        self, positions: Positions, partition: TopicPartition, group_progress: DeliveryProgress, log_end: int
    ) -> StartOffset:
        """Return a start from which every record written after the loss is read.

        1. Such records are newer than the last delivered record, so its timestamp bounds them.
        2. The time of the backup is a weaker bound: backups go on while the destination accepts nothing and the loss is not
           noticed.
        3. Kafka accepts any number as a timestamp, so the lower of both counts.
        """
        backup_written_at = (await self._read_backup()).written_at
        reread_from = (
            min(backup_written_at, group_progress.last.timestamp)
            if group_progress.last
            else backup_written_at
        )
        found = await positions.offsets_for_time(
            [partition], max(reread_from - self._timing.reread_margin_ms, 0)
        )
        start = _or_default(found.get(partition), log_end)
        self._metrics.log_end_lost(partition, group_progress.offset, log_end, start)
        return StartOffset(DeliveryProgress.starting_at(start), "a lost end of the log")


def _delivered_end(progress: DeliveryProgress) -> int:
    return progress.delivered_ahead[-1].stop if progress.delivered_ahead else progress.offset


def _matches(record: Record | None, fingerprint: RecordFingerprint) -> bool:
    return record is not None and RecordFingerprint.of(record) == fingerprint


def _start_reason(progress: DeliveryProgress, group_progress: DeliveryProgress | None) -> str:
    if group_progress is None:
        return FROM_STATUS_TOPIC
    return (
        FROM_COMMITTED_OFFSET
        if progress in (group_progress, group_progress.without_ranges())
        else "the deliveries of this process since the last commit"
    )


def _or_default(offset: int | None, default: int) -> int:
    return default if offset is None else offset
