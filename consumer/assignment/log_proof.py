"""Prove a known offset by the record before it: the log of now may be another one."""

from collections.abc import Mapping

from consumer.assignment.event_log import EventLog
from consumer.assignment.start_candidates import Candidates, delivered_end
from consumer.offsets.delivered import DeliveryProgress, RecordFingerprint
from relay.kafka import TopicPartition


class LogProof:
    """Compares the last delivered records with the log. One that Kafka has deleted or cannot read disproves nothing."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def first_valid(
        self,
        candidates: Mapping[TopicPartition, Candidates],
        log_starts: Mapping[TopicPartition, int],
        log_ends: Mapping[TopicPartition, int],
    ) -> dict[TopicPartition, DeliveryProgress | None]:
        """Return the first progress that agrees with the log; None when none does, since then it is another log."""
        remaining = {
            each: [progress for progress in made.progress if delivered_end(progress) <= log_ends[each]]
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

    async def matching_partitions(
        self,
        fingerprints: Mapping[TopicPartition, RecordFingerprint | None],
        log_starts: Mapping[TopicPartition, int],
    ) -> set[TopicPartition]:
        """Return the partitions whose log still holds the record of its fingerprint, or cannot disprove it."""
        kept = {
            each: fingerprint
            for each, fingerprint in fingerprints.items()
            if fingerprint is not None and fingerprint.offset >= log_starts[each]
        }
        records = (
            await self._log.records_at({each: fingerprint.offset for each, fingerprint in kept.items()})
            if kept
            else {}
        )
        return fingerprints.keys() - {
            each for each, record in records.items() if not kept[each].is_of(record)
        }

    async def is_missing(
        self, partition: TopicPartition, progress: DeliveryProgress, candidates: Candidates, log_start: int
    ) -> bool:
        """Return whether nothing proves an offset of the relay: it knew no record before it, and the log has one."""
        if not candidates.provable or progress.last_fingerprint is not None or progress.offset <= log_start:
            return False
        return await self._log.last_before(partition, progress.offset) is not None
