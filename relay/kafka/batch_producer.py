"""Write many records with one idempotent producer, and report the fate of each."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aiokafka import AIOKafkaProducer

from relay.errors import describe
from relay.kafka import KAFKA_FAILURES, TopicPartition
from relay.kafka.aiokafka_patches.client import patch_client
from relay.kafka.aiokafka_patches.producer import (
    BatchRefusal,
    consume_batch_errors,
    discard_producer,
    observe_refusals,
    observe_throttling,
)
from relay.kafka.connection import Connection
from relay.kafka.producer import producer_options
from relay.kafka.topic_access import ClusterAccess, read_access
from relay.kafka.topics import partition_of

RECORD_OVERHEAD_BYTES = 40
"""Bytes of a record in a batch beside key, value and headers; at most (org.apache.kafka.common.record.DefaultRecord)."""
REQUEST_TIMEOUT_MS = 10_000
"""A broker that does not answer for so long is asked again, with the same sequence number."""

KeyedRecord = tuple[bytes, bytes, int, Sequence[tuple[str, bytes]]]
"""Key, value, time in ms UTC, headers. The partition is that of the key."""

Compression = Literal["none", "gzip", "snappy", "lz4", "zstd"]


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Bounds of a record batch before compression. A record above `max_bytes` has a batch to itself."""

    max_bytes: int
    max_records: int | None = None
    """None: bounded by bytes only."""


@dataclass(frozen=True, slots=True)
class WriteError:
    """Why the records of a batch are not confirmed. `records` and `bytes`: size of the batch, before compression.

    `records` is 1 for a record that the broker blames alone, whatever its batch.
    """

    state: Literal["not sent", "unanswered", "refused", "failed"]
    """Only records that were refused or not sent are certainly not on the topic."""
    code: int | None = None
    """Error code of Kafka's protocol, where the broker refused the batch."""
    text: str = ""
    """What the broker or aiokafka says."""
    records: int = 0
    bytes: int = 0


NOT_SENT = WriteError("not sent")
"""Of records behind a batch that failed: they would overtake it."""


class BatchProducer:
    """One idempotent producer. After an error it is of no use: sequence numbers of the partition have a gap for ever.

    `throttled_until`: until when a quota of a broker mutes the connection, by `time.monotonic`.
    """

    def __init__(self, connection: Connection, compression: Compression) -> None:
        """Must be called in a running event loop; `start` connects."""
        options = producer_options(connection)
        options |= {
            "compression_type": compression
            if connection.profile.compression and compression != "none"
            else None,
            "max_batch_size": options["max_request_size"],
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
        }
        self._max_request_bytes: int = options["max_request_size"]
        self._producer: Any = AIOKafkaProducer(**options)
        self._refusals: dict[TopicPartition, BatchRefusal] = {}
        self.failed = False
        self.throttled_until = 0.0
        patch_client(self._producer.client, connection.login)
        consume_batch_errors(self._producer)
        observe_throttling(self._producer.client, self._note_throttling)
        observe_refusals(self._producer.client, self._refusals.__setitem__)

    async def start(self) -> None:
        """Connect. May wait without end: the caller bounds it. Raises KAFKA_FAILURES."""
        await self._producer.start()

    async def read_access(self, topics: Sequence[str]) -> ClusterAccess:
        """Return the access of this producer's user to topics. Raises KAFKA_FAILURES."""
        return await read_access(self._producer.client, topics)

    async def discard(self, seconds: float) -> None:
        """Stop within `seconds` and a few more. What is not written then is not written later."""
        await discard_producer(self._producer, seconds)

    async def write(
        self,
        topic: str,
        records: Sequence[KeyedRecord],
        limits: BatchLimits,
        results: "list[WriteError | None]",
    ) -> None:
        """Write records, and put into `results` why each is not confirmed; None: all in-sync replicas have it.

        `results` begins as a list of NOT_SENT, and is true at every moment, also after a cancellation. The records of a key are
        written in order: none is sent before the one ahead of it is confirmed, apart from those of its own batch. May wait
        without end: the caller bounds it. Raises KAFKA_FAILURES for a topic without partitions.
        """
        try:
            count = len(await self._producer.partitions_for(topic))
            for together in _requests(records, _by_partition(records, count), self._max_request_bytes):
                async with asyncio.TaskGroup() as group:
                    for partition, indices in together.items():
                        tp = TopicPartition(topic, partition)
                        group.create_task(self._write_partition(tp, records, indices, limits, results))
        except BaseException:
            self.failed = True
            raise

    async def _write_partition(
        self,
        tp: TopicPartition,
        records: Sequence[KeyedRecord],
        indices: Sequence[int],
        limits: BatchLimits,
        results: "list[WriteError | None]",
    ) -> None:
        start = 0
        while start < len(indices):
            batch, size, stop = self._fill(records, indices, start, limits)
            part = indices[start:stop]
            _put(results, part, WriteError("unanswered", records=len(part), bytes=size))
            try:
                await (await self._producer.send_batch(batch, tp.topic, partition=tp.partition))
            except KAFKA_FAILURES as error:
                self.failed = True
                self._put_error(results, part, size, self._refusals.pop(tp, None), error)
                return
            self._refusals.pop(tp, None)  # a passing one, after which aiokafka tried again
            _put(results, part, None)
            start = stop

    def _fill(
        self, records: Sequence[KeyedRecord], indices: Sequence[int], start: int, limits: BatchLimits
    ) -> tuple[Any, int, int]:
        """Return a batch of the records from `start` on, its bytes, and where the next one begins."""
        batch, size, stop = self._producer.create_batch(), 0, start
        end = len(indices) if limits.max_records is None else min(len(indices), start + limits.max_records)
        while stop < end:
            key, value, timestamp, headers = records[indices[stop]]
            size_with = size + _size(key, value, headers)
            if stop > start and size_with > limits.max_bytes:
                break
            if batch.append(timestamp=timestamp, key=key, value=value, headers=headers) is None:
                break
            size, stop = size_with, stop + 1
        batch.close()
        return batch, size, stop

    def _put_error(
        self,
        results: "list[WriteError | None]",
        part: Sequence[int],
        size: int,
        refusal: BatchRefusal | None,
        error: Exception,
    ) -> None:
        if refusal is None:
            _put(results, part, WriteError("failed", None, describe(error), len(part), size))
            return
        if not refusal.records:
            _put(results, part, WriteError("refused", refusal.code, refusal.message, len(part), size))
            return
        _put(results, part, NOT_SENT)  # the broker stores all of a batch or nothing
        for place, text in refusal.records.items():
            if 0 <= place < len(part):
                blamed = WriteError("refused", refusal.code, text or refusal.message, 1, size)
                results[part[place]] = blamed

    def _note_throttling(self, seconds: float) -> None:
        self.throttled_until = time.monotonic() + seconds


def _by_partition(records: Sequence[KeyedRecord], count: int) -> dict[int, list[int]]:
    """Return the places of the records of each partition."""
    partitions: dict[bytes, int] = {}
    found: dict[int, list[int]] = defaultdict(list)
    for index, (key, *_) in enumerate(records):
        partition = partitions.get(key)
        if partition is None:
            partition = partitions[key] = partition_of(key, count)
        found[partition].append(index)
    return found


def _requests(
    records: Sequence[KeyedRecord], partitions: dict[int, list[int]], max_bytes: int
) -> Iterator[dict[int, list[int]]]:
    """Return the partitions that may be written at a time: aiokafka sends their batches in one request.

    A partition whose records are larger is alone; its batches follow one another.
    """
    together: dict[int, list[int]] = {}
    total = 0
    for partition, indices in partitions.items():
        size = sum(_size(key, value, headers) for key, value, _, headers in map(records.__getitem__, indices))
        if together and total + size > max_bytes:
            yield together
            together, total = {}, 0
        together[partition] = indices
        total += size
    if together:
        yield together


def _size(key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]) -> int:
    return RECORD_OVERHEAD_BYTES + len(key) + len(value) + sum(len(n) + len(v) + 4 for n, v in headers)


def _put(results: "list[WriteError | None]", indices: Sequence[int], result: WriteError | None) -> None:
    for index in indices:
        results[index] = result
