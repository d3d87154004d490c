"""Validate fetched batches before aiokafka reads them."""

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
"""Head of a batch: base offset, length of the rest, leader epoch, magic, checksum, attributes, last offset delta."""
_LENGTH_END, _CHECKSUM_END = 12, 21
_VERSION = 2


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """The head of a batch, as far as validation needs it."""

    base_offset: int
    last_offset: int
    epoch: int
    """Epoch of the leader that wrote it."""
    start: int
    """Index of its first byte in the fetched bytes."""
    intact: bool
    """Whether its checksum is right."""


class FetchValidator:
    """Fail the fetch of a partition with OffsetOutOfRangeError if its first batch is invalid.

    Invalid is a batch of another leader than the batch read before it, or one with a wrong checksum.
    Without this, aiokafka does not notice the first, and retries the second for ever, while all other partitions
    wait.
    """

    def __init__(self) -> None:
        self._epochs = LeaderEpochs()
        self._corrupt: dict[TopicPartition, RecordBatch] = {}

    def forget(self, tp: TopicPartition) -> None:
        """Accept any leader for the next batch. Call it after a seek, or when the earlier records are known to exist."""
        self._epochs.forget(tp)

    def corrupt_batch(self, tp: TopicPartition) -> RecordBatch | None:
        """Return the damaged batch that failed the last fetch, once; then None."""
        return self._corrupt.pop(tp, None)

    def attach(self, consumer: AIOKafkaConsumer) -> None:
        """Validate every fetch of this consumer. It need not check checksums itself any more."""
        client = consumer._client  # noqa: SLF001
        send = client.send

        async def validated(node_id: Any, request: Any, **options: Any) -> Any:
            response = await send(node_id, request, **options)
            if isinstance(request, FetchRequest):
                self._validate(request, response)
            return response

        client.send = validated

    def _validate(self, request: FetchRequest, response: Any) -> None:
        offsets = {
            (topic, asked[0]): asked[1] for topic, partitions in request.topics for asked in partitions
        }
        for topic, partitions in response.topics:
            for at, (partition, error, *facts, fetched) in enumerate(partitions):
                if error or not fetched:
                    continue
                tp = TopicPartition(topic, partition)
                valid_bytes = self._valid_bytes(tp, offsets[topic, partition], fetched)
                if valid_bytes is None:
                    partitions[at] = (partition, OffsetOutOfRangeError.errno, *facts, b"")
                elif valid_bytes < len(fetched):
                    partitions[at] = (partition, error, *facts, fetched[:valid_bytes])

    def _valid_bytes(self, tp: TopicPartition, offset: int, fetched: bytes) -> int | None:
        """Return the number of bytes that may be read, None if there are none."""
        # 1. Batches before a damaged one are read; the next fetch then begins with the damaged one and fails.
        # 2. Bytes after the last complete batch stay: aiokafka knows that a fetch may end within a batch.
        batches = list(parse_batches(fetched))
        valid = list(takewhile(lambda batch: batch.intact, batches))
        if batches and not valid:
            self._corrupt[tp] = batches[0]
            return None
        if not self._epochs.accept(tp, offset, [(batch.base_offset, batch.epoch) for batch in valid]):
            return None
        return len(fetched) if len(valid) == len(batches) else batches[len(valid)].start


def parse_batches(fetched: bytes) -> Iterator[RecordBatch]:
    """Yield the complete batches, up to the first that is not of magic 2."""
    at, view = 0, memoryview(fetched)
    while at + _HEAD.size <= len(fetched):
        first, length, epoch, version, checksum, _, last = _HEAD.unpack_from(fetched, at)
        end = at + _LENGTH_END + length
        if version != _VERSION or end <= at + _CHECKSUM_END or end > len(fetched):
            return
        yield RecordBatch(
            first, first + last, epoch, at, calc_crc32c(view[at + _CHECKSUM_END : end]) == checksum
        )
        at = end
