"""Leader epochs of fetched batches. After a change of leader, a log may have lost its end (KIP-320)."""

from collections import defaultdict
from collections.abc import Sequence

from relay.kafka import TopicPartition


class LeaderEpochs:
    """The epochs of the batches that one consumer has fetched.

    1. A leader that lost the end of a log assigns the same offsets to other records.
    2. Kafka reports that only to clients that follow leader epochs, and aiokafka does not.
    3. A new leader alone does not prove a loss.
    """

    def __init__(self) -> None:
        self._epoch_starts: dict[TopicPartition, list[tuple[int, int]]] = defaultdict(list)
        """For each partition, first offset and epoch, in order."""

    def forget(self, tp: TopicPartition) -> None:
        """Accept any leader for the next batch. Call it after a seek, or when the earlier records are known to exist."""
        self._epoch_starts.pop(tp, None)

    def accept(self, tp: TopicPartition, offset: int, batches: Sequence[tuple[int, int]]) -> bool:
        """Return whether the batches fetched from `offset` continue those fetched before. If so, remember them.

        `batches`: base offset and epoch of each.
        """
        before = self._epoch(tp, offset - 1)
        if batches and before is not None and batches[0][1] not in (before, self._epoch(tp, batches[0][0])):
            return False
        starts = self._epoch_starts[tp]
        for first, epoch in batches:
            if self._epoch(tp, first) != epoch:
                while starts and starts[-1][0] >= first:  # fetched before, and never handed over
                    starts.pop()
                starts.append((first, epoch))
        while len(starts) > 1 and starts[1][0] < offset:
            del starts[0]
        return True

    def _epoch(self, tp: TopicPartition, offset: int) -> int | None:
        return next((epoch for first, epoch in reversed(self._epoch_starts[tp]) if first <= offset), None)
