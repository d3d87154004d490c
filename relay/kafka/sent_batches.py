"""Send records as whole batches: the answer of the broker is one future for each batch, not one for each record."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from relay.kafka.aiokafka_patches.client import consume_exception
from relay.kafka.producer import ProducerRecord
from relay.kafka.size_refusals import SizeRefusal, SizeRefusedError


@dataclass(frozen=True, slots=True)
class SentBatch:
    """A batch on its way. `places`: of its records among those that were sent together, ascending."""

    topic: str
    partition: int
    places: Sequence[int]
    acknowledgement: "asyncio.Future[Any]"

    @property
    def base_offset(self) -> int:
        """Offset of the first record; the others follow without a gap. -1: the broker took the batch for a duplicate.

        Raises the error of the batch. Source: Kafka protocol, Produce response, `base_offset`.
        """
        return int(self.acknowledgement.result().offset)


async def send_in_batches(
    producer: AIOKafkaProducer, records: Sequence[ProducerRecord], max_request_bytes: int
) -> list[SentBatch]:
    """Hand records to the producer, in order within each partition, and return their batches without awaiting the last answers.

    Of one partition a batch waits for the answer to the one before: aiokafka sends no two at a time, and it counts the time
    that `send_batch` waits for a free place twice. After a batch that failed, no other is sent. Raises SizeRefusedError for a
    record above `max_request_bytes`, and the errors of `AIOKafkaProducer.send_batch`.
    """
    sent: list[SentBatch] = []
    for (topic, partition), places in _by_partition(records).items():
        start = 0
        while start < len(places):
            builder, stop = _fill(producer, records, places, start, max_request_bytes)
            if start and not await _is_written(sent[-1].acknowledgement):
                return sent
            acknowledgement = await producer.send_batch(builder, topic, partition=partition)
            acknowledgement.add_done_callback(consume_exception)  # its transaction may fail first
            sent.append(SentBatch(topic, partition, places[start:stop], acknowledgement))
            start = stop
    return sent


async def _is_written(acknowledgement: "asyncio.Future[Any]") -> bool:
    await asyncio.wait({acknowledgement})
    return not acknowledgement.cancelled() and acknowledgement.exception() is None


def _by_partition(records: Sequence[ProducerRecord]) -> dict[tuple[str, int], list[int]]:
    """Return the places of the records of each partition."""
    found: dict[tuple[str, int], list[int]] = {}
    for place, record in enumerate(records):
        found.setdefault((record.topic, record.partition), []).append(place)
    return found


def _fill(
    producer: AIOKafkaProducer,
    records: Sequence[ProducerRecord],
    places: Sequence[int],
    start: int,
    max_request_bytes: int,
) -> tuple[Any, int]:
    """Return a closed batch with the records from `start` on, and where the next batch begins. It has one record at least."""
    builder, stop = producer.create_batch(), start
    while stop < len(places):
        record = records[places[stop]]
        headers = list(record.headers)
        size = DefaultRecordBatchBuilder.estimate_size_in_bytes(record.key, record.value, headers)
        if size > max_request_bytes:
            raise SizeRefusedError(SizeRefusal(record.topic, len(record.value or b"")))
        added = builder.append(
            timestamp=record.timestamp, key=record.key, value=record.value, headers=headers
        )
        if added is None:
            break
        stop += 1
    builder.close()
    return builder, stop


def raise_refusal_of_size(
    records: Sequence[ProducerRecord], batches: Sequence[SentBatch], max_batch_bytes: int
) -> None:
    """Raise SizeRefusedError if a topic refused a batch for its size; ignore all other errors.

    `max_batch_bytes`: largest batch that the producer makes of several records.
    Call it before other errors are raised: the batches after a refused one fail too, with errors that name another cause.
    """
    for batch in batches:
        if not batch.acknowledgement.cancelled():
            error = batch.acknowledgement.exception()
            if isinstance(error, (MessageSizeTooLargeError, RecordListTooLargeError)):
                sizes = [len(one.value or b"") for one in records if one.topic == batch.topic]
                raise SizeRefusedError(SizeRefusal(batch.topic, max(max_batch_bytes, *sizes))) from error
