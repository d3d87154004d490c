"""Where a partition was divided into older and live events, in the log that is read now."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from consumer.assignment.event_log import EventLog
from consumer.assignment.start_candidates import Candidates
from consumer.assignment.start_offset import StartOffset
from consumer.offsets.delivered import DeliveryProgress, RecordFingerprint
from relay.kafka import TopicPartition
from relay.kafka.bounded_consumer import BoundedConsumer

Matching = Callable[
    [Mapping[TopicPartition, RecordFingerprint | None], Mapping[TopicPartition, int]],
    Awaitable[set[TopicPartition]],
]
"""Returns the partitions whose log holds the record at its offset, or cannot disprove it; by the first offsets of the logs."""


class SplitOffsetFinder:
    """Finds the split offset of a partition again, in the same log or in another one.

    | what is known of it            | where it is in this log                                                          |
    |--------------------------------|----------------------------------------------------------------------------------|
    | an offset of this very log     | there                                                                            |
    | the last older record          | after that record, wherever it is                                                |
    | a record that this log lacks   | at the first later timestamp: timestamps only move forward within a partition     |
    | an offset of another log alone | not known: `live_from` is None                                                    |
    """

    def __init__(self, log: EventLog, matching: Matching) -> None:
        self._log = log
        self._matching = matching

    async def carry_over(
        self,
        consumer: BoundedConsumer,
        partition: TopicPartition,
        start: StartOffset,
        candidates: Candidates | None,
        bounds: tuple[int, int],
    ) -> StartOffset:
        """Return the start with the split offset that its candidates know. None: it is the first start, which divides by itself."""
        known = [each for each in candidates.progress if each.live_from is not None] if candidates else []
        if candidates is None or not known or (candidates.provable and start.progress.live_from is not None):
            return start
        found = await self.locate(consumer, partition, known[0], bounds, same_log=not candidates.provable)
        return replace(
            start, progress=replace(start.progress, live_from=found.live_from, older_last=found.older_last)
        )

    async def locate(
        self,
        consumer: BoundedConsumer,
        partition: TopicPartition,
        known: DeliveryProgress,
        bounds: tuple[int, int],
        *,
        same_log: bool,
    ) -> DeliveryProgress:
        """Return `known` with the split offset as this log has it.

        `bounds`: first and end offset of the log. `same_log`: whether an offset without a record may be of this log.
        """
        record, (log_start, log_end) = known.older_last, bounds
        if known.live_from is None:
            return known
        if record is None:
            return known if same_log else replace(known, live_from=None)
        if record.offset < log_end and await self._matching({partition: record}, {partition: log_start}):
            return known
        at = max(record.timestamp, 0)
        since = (await consumer.offsets_for_time([partition], at)).get(partition)
        found = None if since is None else await self._log.find(partition, since, record)
        if found is not None:
            return replace(known, live_from=found.offset + 1, older_last=found)
        later = (await consumer.offsets_for_time([partition], at + 1)).get(partition)
        live_from = log_end if later is None else later
        return replace(
            known, live_from=live_from, older_last=await self._log.last_before(partition, live_from)
        )
