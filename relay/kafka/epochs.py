"""Under which leaders the batches of a log were written: after another leader, it may be another log (KIP-320)."""

from collections import defaultdict
from collections.abc import Iterator
from struct import Struct
from typing import Any

from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.protocol.fetch import FetchRequest

from relay.kafka import TopicPartition

_HEAD = Struct(">qiib")
"""Of a batch: its first offset, the length of what follows that, the epoch of its leader, and the version of its format."""
_LENGTH_ENDS = 12
_WITH_EPOCHS = 2


class LeaderEpochs:
    """Of the batches that one consumer has fetched.

    A leader that has lost the end of a log writes other records to the same offsets, and Kafka says nothing of it to a client that
    does not follow the epochs of leaders, as aiokafka does not. A new leader alone is no proof that something was lost.
    """

    def __init__(self) -> None:
        self._begun: dict[TopicPartition, list[tuple[int, int]]] = defaultdict(list)
        """From which offset on there is which epoch."""

    def forget(self, tp: TopicPartition) -> None:
        """Reading goes on elsewhere, or what was read before is known to stand."""
        self._begun.pop(tp, None)

    def goes_on(self, tp: TopicPartition, offset: int, batches: bytes) -> bool:
        """Whether what was fetched from `offset` is of the leader that wrote what was fetched before it; then it is taken note of."""
        found = list(_epochs(batches))
        before = self._epoch(tp, offset - 1)
        if found and before is not None and found[0][1] not in (before, self._epoch(tp, found[0][0])):
            return False
        begun = self._begun[tp]
        for first, epoch in found:
            if self._epoch(tp, first) != epoch:
                while begun and begun[-1][0] >= first:  # it was fetched before and never given out
                    begun.pop()
                begun.append((first, epoch))
        while len(begun) > 1 and begun[1][0] < offset:
            del begun[0]
        return True

    def guard(self, client: Any) -> None:
        """Make the fetches of a client fail with OffsetOutOfRangeError, once each, where they do not go on as before."""
        send = client.send

        async def guarded(node_id: Any, request: Any, **options: Any) -> Any:
            response = await send(node_id, request, **options)
            if isinstance(request, FetchRequest):
                self._look(request, response)
            return response

        client.send = guarded

    def _look(self, request: FetchRequest, response: Any) -> None:
        offsets = {
            (topic, asked[0]): asked[1] for topic, partitions in request.topics for asked in partitions
        }
        for topic, partitions in response.topics:
            for at, (partition, error, *rest) in enumerate(partitions):
                asked_from = offsets[topic, partition]
                if not error and not self.goes_on(
                    TopicPartition(topic, partition), asked_from, rest[-1] or b""
                ):
                    partitions[at] = (partition, OffsetOutOfRangeError.errno, *rest)

    def _epoch(self, tp: TopicPartition, offset: int) -> int | None:
        return next((epoch for first, epoch in reversed(self._begun[tp]) if first <= offset), None)


def _epochs(batches: bytes) -> Iterator[tuple[int, int]]:
    """First offset and epoch of each batch; the last may be cut off."""
    at = 0
    while at + _HEAD.size <= len(batches):
        first, length, epoch, version = _HEAD.unpack_from(batches, at)
        if version < _WITH_EPOCHS or length <= 0:
            return
        yield first, epoch
        at += _LENGTH_ENDS + length
