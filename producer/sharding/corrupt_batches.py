"""Batches of organizations that cannot be read: what is passed over, and when it is tried again."""

from dataclasses import dataclass

from relay.kafka import TopicPartition
from relay.kafka.bounded_consumer import CorruptBatch


@dataclass(slots=True)
class _Gap:
    first: int
    last: int
    retry_at: float
    retrying: bool = False
    steps: int = 0


class CorruptBatches:
    """The offsets of each partition that were passed over, from the first corrupt batch to the last.

    1. Records behind a corrupt batch are read, since one batch must not hold up all organizations of its partition.
    2. After a while reading goes back: another replica may lead that has an intact copy, or an operator has removed the batch.
    3. Only a position beyond the gap after that proves that all of it was read: a corrupt batch fails the fetch.

    Times are seconds of the monotonic clock.
    """

    MAX_STEPS = 1_000
    """Most batches that are passed over in one go. A head that is corrupt too tells no last offset: then each step is an offset."""

    def __init__(self, retry_seconds: float) -> None:
        self._retry_seconds = retry_seconds
        self._gaps: dict[TopicPartition, _Gap] = {}

    def pass_over(self, tp: TopicPartition, offset: int, batch: CorruptBatch, now: float) -> int | None:
        """Return the offset at which reading goes on; None: too much was passed over, and the partition has to wait."""
        gap = self._gaps.setdefault(tp, _Gap(offset, batch.last_offset, now))
        gap.first, gap.last = min(gap.first, offset), max(gap.last, batch.last_offset)
        gap.retry_at, gap.retrying = now + self._retry_seconds, False
        gap.steps += 1
        return None if gap.steps > self.MAX_STEPS else batch.last_offset + 1

    def due(self, now: float) -> dict[TopicPartition, int]:
        """Return the partitions whose gap is to be read again, and its first offset."""
        due = {tp: gap for tp, gap in self._gaps.items() if gap.retry_at <= now and not gap.retrying}
        for gap in due.values():
            gap.retrying, gap.steps = True, 0
        return {tp: gap.first for tp, gap in due.items()}

    def retrying(self) -> list[TopicPartition]:
        """Return the partitions whose gap is being read again."""
        return [tp for tp, gap in self._gaps.items() if gap.retrying]

    def is_read(self, tp: TopicPartition, position: int) -> bool:
        """Return whether the gap has been read, and forget it then. `position`: the next offset to read."""
        gap = self._gaps[tp]
        if not gap.retrying or position <= gap.last:
            return False
        del self._gaps[tp]
        return True

    def forget(self, tp: TopicPartition) -> None:
        self._gaps.pop(tp, None)

    def clear(self) -> None:
        self._gaps.clear()
