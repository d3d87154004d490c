"""Write records to Kafka."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from relay.errors import RelayError
from relay.kafka import KAFKA_FAILURES
from relay.kafka.aiokafka_patches.client import patch_client
from relay.kafka.aiokafka_patches.producer import discard_producer
from relay.kafka.connection import Connection

MAX_BATCH_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class RecordWriterTiming:
    """`open_seconds`: bound of the start of a producer."""

    open_seconds: float = 10.0


DEFAULT_TIMING = RecordWriterTiming()


class TopicWriteError(RelayError):
    """Kafka did not confirm a write. The record may be on the topic or not."""


class NotWrittenError(TopicWriteError):
    """The record was not sent, or was refused. It is not on the topic, and never will be."""


class RecordTooLargeError(NotWrittenError):
    """The topic or the brokers reject a record of this size. A retry does not help."""


class ProducerRecord(NamedTuple):
    """A record to write. `value` None deletes the key on a compacted topic; `timestamp` is ms since 1970 UTC."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    timestamp: int | None = None
    headers: Sequence[tuple[str, bytes]] = ()


def producer_options(connection: Connection, max_batch_bytes: int = MAX_BATCH_BYTES) -> dict[str, Any]:
    """Return the keyword arguments of every producer.

    `max_batch_bytes`: largest record batch; a record above it makes a batch of its own. A broker compares the batch,
    not its records, with max.message.bytes of the topic.
    """
    profile = connection.profile
    return {
        **connection.options(),
        "acks": "all",
        "enable_idempotence": profile.idempotence,
        "compression_type": profile.compression,
        "max_request_size": profile.max_request_bytes,
        "max_batch_size": min(
            max_batch_bytes, profile.max_request_bytes // 4
        ),  # a request may hold one batch of each topic
        "request_timeout_ms": int(5_000 * connection.patience),
    }


class RecordWriter:
    """Write single records, each confirmed by all in-sync replicas. Delivery is at least once.

    aiokafka's producer never recovers from a failure, so a failed one is discarded and replaced at the next write.
    """

    def __init__(self, connection: Connection, timing: RecordWriterTiming = DEFAULT_TIMING) -> None:
        self._connection = connection
        self._timing = timing
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._discard()

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        timestamp_ms: int | None = None,
        seconds: float | None = None,
    ) -> int:
        """Write one record and return its offset. `seconds` None: 20, with the connection's patience.

        Raises TopicWriteError if Kafka does not confirm it within `seconds`, and NotWrittenError if it was not sent: no producer
        could start, or the topic is missing or refused.
        """
        producer = acknowledgement = None
        try:
            async with asyncio.timeout(20.0 * self._connection.patience if seconds is None else seconds):
                producer = await self._ensure_started()
                acknowledgement = await producer.send(
                    topic, value, key, partition=partition, headers=list(headers), timestamp_ms=timestamp_ms
                )
                return int((await acknowledgement).offset)
        except KAFKA_FAILURES as error:
            if producer is not None:
                await self._discard(producer)
            if isinstance(error, MessageSizeTooLargeError):
                raise RecordTooLargeError(
                    f"Kafka rejected a record of {len(value or b'')} bytes on {topic} for its size. Raise max.message.bytes of the"
                    " topic; `jira-relay topics check` names the value."
                ) from error
            reason = str(error).removesuffix(".") or type(error).__name__
            if acknowledgement is None:
                raise NotWrittenError(f"Nothing was written to {topic}: {reason}.") from error
            raise TopicWriteError(f"Kafka did not confirm a write to {topic}: {reason}.") from error
        except asyncio.CancelledError:
            if producer is not None:
                await asyncio.shield(self._discard(producer))
            raise

    async def _ensure_started(self) -> AIOKafkaProducer:
        async with self._lock:
            if self._producer is None:
                producer = AIOKafkaProducer(**producer_options(self._connection))
                patch_client(producer.client, self._connection.login)
                try:
                    async with asyncio.timeout(self._timing.open_seconds * self._connection.patience):
                        await producer.start()
                except BaseException:
                    await discard_producer(producer, 1)
                    raise
                self._producer = producer
            return self._producer

    async def _discard(self, failed: AIOKafkaProducer | None = None) -> None:
        producer = self._producer
        if producer is None or (failed is not None and failed is not producer):
            return
        self._producer = None
        await discard_producer(producer, 3 if failed is None else 1)
