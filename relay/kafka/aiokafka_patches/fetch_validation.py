"""What a consumer fetches, looked at before aiokafka does."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from struct import Struct
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.util import calc_crc32c

from relay.kafka import TopicPartition
from relay.kafka.aiokafka_patches.leader_epochs import LeaderEpochs

_HEAD = Struct(">qiibIhi")
"""Of a batch: first offset, length of what follows that, leader's epoch, version, checksum, attributes, last offset from the first."""
_LENGTH_ENDS, _CHECKSUM_ENDS = 12, 21
_VERSION = 2


@dataclass(frozen=True, slots=True)
class Batch:
    first: int
    """Its first offset."""
    last: int
    epoch: int
    """Of the leader that wrote it."""
    start: int
    """Where it begins in what was fetched."""
    intact: bool


class Fetches:
    """Makes the fetch of a partition fail with OffsetOutOfRangeError where it does not begin with what should stand there: with a
    batch of another leader than what was read before, or with one whose checksum is wrong.

    aiokafka would notice nothing of the first, and read the second again and again, whatever else there is to read.
    """

    def __init__(self) -> None:
        self._epochs = LeaderEpochs()
        self._damaged: dict[TopicPartition, Batch] = {}

    def forget(self, tp: TopicPartition) -> None:
        """Reading goes on elsewhere, or what was read before is known to stand."""
        self._epochs.forget(tp)

    def damaged(self, tp: TopicPartition) -> Batch | None:
        """The damaged batch for which the last fetch failed; told once."""
        return self._damaged.pop(tp, None)

    def guard(self, consumer: AIOKafkaConsumer) -> None:
        """Look at all that this consumer fetches. It need not check checksums itself any more."""
        client = consumer._client  # noqa: SLF001
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
            for at, (partition, error, *facts, fetched) in enumerate(partitions):
                if error or not fetched:
                    continue
                tp = TopicPartition(topic, partition)
                intact = self._intact(tp, offsets[topic, partition], fetched)
                if intact is None:
                    partitions[at] = (partition, OffsetOutOfRangeError.errno, *facts, b"")
                elif intact < len(fetched):
                    partitions[at] = (partition, error, *facts, fetched[:intact])

    def _intact(self, tp: TopicPartition, offset: int, fetched: bytes) -> int | None:
        """How much of it may be read; None where that is nothing."""
        batches = list(batches_of(fetched))
        good = list(takewhile(lambda batch: batch.intact, batches))
        if batches and not good:
            self._damaged[tp] = batches[0]
            return None
        if not self._epochs.goes_on(tp, offset, [(batch.first, batch.epoch) for batch in good]):
            return None
        return len(fetched) if len(good) == len(batches) else batches[len(good)].start


def batches_of(fetched: bytes) -> Iterator[Batch]:
    """The whole batches, as far as they are of the format of today (magic 2)."""
    at, view = 0, memoryview(fetched)
    while at + _HEAD.size <= len(fetched):
        first, length, epoch, version, checksum, _, last = _HEAD.unpack_from(fetched, at)
        end = at + _LENGTH_ENDS + length
        if version != _VERSION or end <= at + _CHECKSUM_ENDS or end > len(fetched):
            return
        yield Batch(first, first + last, epoch, at, calc_crc32c(view[at + _CHECKSUM_ENDS : end]) == checksum)
        at = end
