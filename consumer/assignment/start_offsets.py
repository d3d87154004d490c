"""Where reading begins after an assignment."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from consumer.metrics import FROM_COMMITTED_OFFSET, PipelineMetrics
from consumer.offsets.backup import OffsetBackup
from consumer.offsets.delivered import DeliveryProgress, RecordFingerprint
from relay.kafka import KafkaError, Record, TopicPartition
from relay.kafka.positions import Positions

Start = Literal["earliest", "latest"] | datetime

FROM_STATUS_TOPIC = "the status topic, since Kafka has forgotten the group's offset"
LOG_END_WAIT_SECONDS = 30.0
REREAD_MARGIN_MS = 600_000
"""Where the end of a log was lost: from how long before the last delivered record events are read again, for clocks that differ."""


@dataclass(frozen=True, slots=True)
class StartOffset:
    progress: DeliveryProgress
    reason: str
    deleted_range: tuple[int, int] | None = None
    """From which offset to before which one Kafka had deleted what was not delivered."""
    lost_count: int = 0
    """How many offsets of these were not delivered."""

    @property
    def offset(self) -> int:
        return self.progress.offset

    @property
    def last_read_offset(self) -> int:
        """The offset of the last record before it, as far as one is known."""
        return self.progress.last.offset if self.progress.last else self.offset


def start_within_log(progress: DeliveryProgress, log_start: int, reason: str) -> StartOffset:
    """At what is not yet delivered, or at the first offset kept."""
    kept, lost_count = progress.without_deleted(log_start)
    if not lost_count:
        return StartOffset(kept, reason)
    return StartOffset(kept, "the first event kept", (progress.offset, log_start), lost_count)


class StartOffsetResolver:
    """Finds the start offsets of one group; remembers what it has to be patient about, and what this process has delivered.

    The memory survives assignments and memberships, since what a destination has accepted stays accepted: a commit may fail
    after the answer of the destination, as Kafka is away, or the group has moved on. It counts while the group's offset is
    of the same lineage, so that an operator who sets an offset is obeyed.

    What would break offsets, remembered or committed, is one that has come to mean another record: a log that lost its end, or
    was made anew, and has grown past the offset again. So the last record goes with them, and is looked for in the log before
    they count.

    `read_backup` returns what the status topic says; it raises where that cannot be read, since nothing may be assumed then.
    `records_at` reads single records: None where none stands, left out where nothing is kept any more.
    """

    def __init__(
        self,
        start: Start,
        read_backup: Callable[[], Awaitable[OffsetBackup]],
        records_at: Callable[
            [Mapping[TopicPartition, int]], Awaitable[Mapping[TopicPartition, Record | None]]
        ],
        metrics: PipelineMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._read_backup = read_backup
        self._records_at = records_at
        self._metrics = metrics
        self._clock = clock
        self._short_logs: dict[TopicPartition, tuple[float, float]] = {}
        """Partitions that end before what was delivered: since when, and when that was seen last."""
        self.known_progress: dict[TopicPartition, DeliveryProgress] = {}

    async def resolve(
        self, positions: Positions, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, StartOffset]:
        """May take long and raise KafkaError, TimeoutError or RelayError; then ask again."""
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
            self._metrics.reading_started(each, start.offset, start.reason)
        return resolved

    async def _first_valid(
        self,
        candidates: Mapping[TopicPartition, Sequence[DeliveryProgress]],
        log_starts: Mapping[TopicPartition, int],
        log_ends: Mapping[TopicPartition, int],
    ) -> dict[TopicPartition, DeliveryProgress | None]:
        """The first claim that the log bears out; None where it bears out none, and is another log."""
        remaining = {
            each: [claim for claim in made if _delivered_end(claim) <= log_ends[each]]
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
        """What the group's offset and this process know, then less and less of it."""
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
        """Where the log ends before what was delivered: wait whether it comes back, for so long as it may.

        A broker that has just come up may tell too low an end, and a transaction whose markers were lost holds it back.
        """
        now = self._clock()
        for each in delivered_ends:
            since, last_seen = self._short_logs.pop(each, (now, now))
            if delivered_ends[each] > log_ends[each]:
                self._short_logs[each] = (since if now - last_seen <= 2 * LOG_END_WAIT_SECONDS else now, now)
        for each in delivered_ends:
            if each in self._short_logs and now - self._short_logs[each][0] <= LOG_END_WAIT_SECONDS:
                raise KafkaError(
                    f"{each.topic}, partition {each.partition}, ends at offset {log_ends[each]}, before {delivered_ends[each]}, up to"
                    f" which the group has got; if Kafka is not just coming up, it has lost events"
                )

    async def matching_partitions(
        self,
        fingerprints: Mapping[TopicPartition, RecordFingerprint | None],
        log_starts: Mapping[TopicPartition, int],
    ) -> set[TopicPartition]:
        """Where nothing speaks against the log being the one in which these records were read."""
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
        """What stands there now was written after the end was lost, and so after the last delivered record. When the offsets
        were backed up says less: that goes on while nobody notices the loss, as long as the destination takes nothing.
        """
        backup_written_at = (await self._read_backup()).written_at
        reread_from = (
            min(backup_written_at, group_progress.last.timestamp)
            if group_progress.last
            else backup_written_at
        )  # Kafka takes any number for a time
        found = await positions.offsets_for_time([partition], max(reread_from - REREAD_MARGIN_MS, 0))
        start = _or_default(found.get(partition), log_end)
        self._metrics.log_end_lost(partition, group_progress.offset, log_end, start)
        return StartOffset(DeliveryProgress.starting_at(start), "an end of the log that Kafka has lost")


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
        else "what this process has delivered since the last commit"
    )


def _or_default(offset: int | None, default: int) -> int:
    return default if offset is None else offset
