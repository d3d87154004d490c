"""Under which leaders the batches of a log were written: after another leader, it may be another log (KIP-320)."""

from collections import defaultdict
from collections.abc import Sequence

from relay.kafka import TopicPartition


class LeaderEpochs:
    """Of the batches that one consumer has fetched.

    A leader that has lost the end of a log writes other records to the same offsets, and Kafka says nothing of it to a client that
    does not follow the epochs of leaders, as aiokafka does not. A new leader alone is no proof that something was lost.
    """

    def __init__(self) -> None:
        self._epoch_starts: dict[TopicPartition, list[tuple[int, int]]] = defaultdict(list)
        """From which offset on there is which epoch."""

    def forget(self, tp: TopicPartition) -> None:
        """Reading goes on elsewhere, or what was read before is known to stand."""
        self._epoch_starts.pop(tp, None)

    def accept(self, tp: TopicPartition, offset: int, batches: Sequence[tuple[int, int]]) -> bool:
        """Whether what was fetched from `offset` is of the leader that wrote what was fetched before it; then it is taken note of.

        `batches`: the first offset and the epoch of each.
        """
        before = self._epoch(tp, offset - 1)
        if batches and before is not None and batches[0][1] not in (before, self._epoch(tp, batches[0][0])):
            return False
        starts = self._epoch_starts[tp]
        for first, epoch in batches:
            if self._epoch(tp, first) != epoch:
                while starts and starts[-1][0] >= first:  # it was fetched before and never given out
                    starts.pop()
                starts.append((first, epoch))
        while len(starts) > 1 and starts[1][0] < offset:
            del starts[0]
        return True

    def _epoch(self, tp: TopicPartition, offset: int) -> int | None:
        return next((epoch for first, epoch in reversed(self._epoch_starts[tp]) if first <= offset), None)
