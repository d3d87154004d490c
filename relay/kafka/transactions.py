"""Publish records together, in one transaction where the cluster has transactions."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from aiokafka import AIOKafkaProducer
from aiokafka.errors import IllegalOperation, KafkaError

from relay.aio import cancellation_requested
from relay.errors import describe
from relay.kafka import TopicPartition, partitions_text
from relay.kafka.aiokafka_patches.client import consume_exception, patch_client
from relay.kafka.aiokafka_patches.producer import (
    add_to_transaction,
    consume_batch_errors,
    discard_producer,
    is_fenced,
    observe_throttling,
    transaction_failure,
)
from relay.kafka.connection import Connection
from relay.kafka.log_reader import stable_bounds, standalone_consumer
from relay.kafka.producer import MAX_BATCH_BYTES, ProducerRecord, producer_options
from relay.kafka.publish_errors import PublishError, publish_error
from relay.kafka.sent_batches import SentBatch, raise_refusal_of_size, send_in_batches
from relay.kafka.size_refusals import SizeRefusedError

TRANSACTION_SECONDS = 8.0
"""Bound of one publication; a transaction that is open for longer has lost its producer, or its end markers."""


@dataclass(frozen=True, slots=True)
class TransactionTiming:
    """Bounds of a publisher."""

    transaction_seconds: float = TRANSACTION_SECONDS
    timeout_ms: int = 15_000
    """After this the broker itself aborts an open transaction (Kafka: transaction.timeout.ms)."""
    open_seconds: float = 10.0

    def lasting(self, seconds: float) -> "TransactionTiming":
        """Return the bounds of transactions that may take `seconds`; the broker waits as much longer as by default."""
        grace_ms = self.timeout_ms - int(1000 * self.transaction_seconds)
        return replace(self, transaction_seconds=seconds, timeout_ms=int(1000 * seconds) + grace_ms)

    def times(self, patience: float) -> "TransactionTiming":
        """Return the bounds multiplied by `patience`."""
        lasting = self.lasting(self.transaction_seconds * patience)
        return replace(lasting, open_seconds=self.open_seconds * patience)


DEFAULT_TIMING = TransactionTiming()

AfterOffsets = Callable[[list[int]], Sequence[ProducerRecord]]


def _no_records(_offsets: list[int]) -> Sequence[ProducerRecord]:
    return ()


class TransactionalProducer:
    """Publish records in one transaction. Without transactions: `records` first, then those of `after_offsets`.

    Discard it after any error, timeout or cancellation: a commit whose answer was lost may have happened.
    """

    def __init__(
        self,
        connection: Connection,
        producer: AIOKafkaProducer,
        timing: TransactionTiming = DEFAULT_TIMING,
        max_batch_bytes: int = MAX_BATCH_BYTES,
    ) -> None:
        """`max_batch_bytes`: largest batch that `producer` makes of several records."""
        self.max_batch_bytes = max_batch_bytes
        self.may_be_written = False
        """Whether records of the last publication may be on the topics, once it has raised."""
        self._connection = connection
        self._producer = producer
        self._timing = timing
        self._transactional = connection.profile.transactions
        self._last_offsets: dict[tuple[str, int], int] = {}
        self._throttled_seconds = 0.0
        """For how long brokers muted this producer since its last publication began."""
        observe_throttling(producer.client, self._note_throttling)

    def _note_throttling(self, seconds: float) -> None:
        self._throttled_seconds += seconds

    @classmethod
    async def open(
        cls,
        connection: Connection,
        transactional_id: str,
        timing: TransactionTiming | None = None,
        max_batch_bytes: int = MAX_BATCH_BYTES,
    ) -> "TransactionalProducer":
        """Start a producer. It fences every earlier one with this `transactional_id` and aborts its open transaction.

        `timing` None: the default, with the connection's patience.
        `max_batch_bytes`: largest record batch that every topic accepts.

        Raises PublishError. The producer is closed then, so that a late start cannot fence a successor.
        """
        timing = timing or DEFAULT_TIMING.times(connection.patience)
        options = producer_options(connection, max_batch_bytes)
        if connection.profile.transactions:
            options |= {
                "transactional_id": transactional_id,
                "transaction_timeout_ms": timing.timeout_ms,
            }
        producer = AIOKafkaProducer(**options)
        patch_client(producer.client, connection.login)
        consume_batch_errors(producer)
        try:
            async with asyncio.timeout(timing.open_seconds):
                await producer.start()
        except BaseException as error:
            await asyncio.shield(discard_producer(producer, 0.5))
            if isinstance(error, (KafkaError, TimeoutError, OSError)) or not _not_cancelled_inside(error):
                raise PublishError(
                    f"Kafka did not start a producer: {describe(error)}. Run `jira-relay check`."
                ) from error
            raise
        return cls(connection, producer, timing, options["max_batch_size"])

    async def publish(
        self, records: Sequence[ProducerRecord], after_offsets: AfterOffsets = _no_records
    ) -> list[int]:
        """Commit `records`, and the records that `after_offsets` derives from their offsets; return the offsets.

        Raises PublishError. A cancellation leaves nothing running.
        """
        self._throttled_seconds = 0.0
        self.may_be_written = not self._transactional
        task = asyncio.create_task(self._publish(records, after_offsets))
        try:
            async with asyncio.timeout(self._timing.transaction_seconds):
                return await asyncio.shield(task)
        except TimeoutError as error:
            throttled = self._throttled_seconds > 0
            raise PublishError(self._timeout_text(), timed_out=True, throttled=throttled) from error
        except IllegalOperation as error:  # aiokafka left the transaction by itself, between two sends
            cause = transaction_failure(self._producer) or error
            fenced = is_fenced(self._producer)
            raise PublishError(
                f"The transaction ended before its commit: {describe(cause)}.", fenced=fenced
            ) from cause
        except (SizeRefusedError, KafkaError, AssertionError, OSError) as error:
            raise publish_error(error) from error
        except asyncio.CancelledError as error:
            if _not_cancelled_inside(error):
                raise
            raise PublishError("aiokafka cancelled a transaction.") from error
        finally:
            task.add_done_callback(consume_exception)
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=1)

    def _timeout_text(self) -> str:
        late = f"Kafka did not confirm a transaction within {self._timing.transaction_seconds:g} s"
        if not self._throttled_seconds:
            return f"{late}: Kafka is slow, or does not answer. See Kafka's log."
        return (
            f"{late}: it was throttled by a quota, for {self._throttled_seconds:.1f} s. Raise or remove "
            "producer_byte_rate and request_percentage of the relay's user and client id (`kafka-configs.sh --describe "
            "--entity-type users --entity-type clients`)."
        )

    async def _publish(self, records: Sequence[ProducerRecord], after_offsets: AfterOffsets) -> list[int]:
        if not self._transactional:
            offsets = await self._send(records)
            await self._send(after_offsets(offsets))
            return offsets
        await self._producer.begin_transaction()
        offsets = await self._send(records)
        await self._send(after_offsets(offsets))
        self.may_be_written = True
        await self._producer.commit_transaction()
        return offsets

    async def _send(self, records: Sequence[ProducerRecord]) -> list[int]:
        """Send records and return their offsets, in the order of `records`. Raises if Kafka did not write one of them."""
        max_request_bytes = self._connection.profile.max_request_bytes
        batches = await send_in_batches(self._producer, records, max_request_bytes)
        if batches:
            await asyncio.wait([batch.acknowledgement for batch in batches])
        raise_refusal_of_size(records, batches, self.max_batch_bytes)
        if -1 in [batch.base_offset for batch in batches]:
            raise KafkaError("the broker took a batch for a duplicate, so its offset is unknown")
        offsets = [-1] * len(records)
        for batch in batches:
            self._check_offset_advances(batch)
            for offset, place in enumerate(batch.places, batch.base_offset):
                offsets[place] = offset
        return offsets

    def _check_offset_advances(self, batch: SentBatch) -> None:
        """Raise if an offset was assigned before: the partition has then lost records that it had acknowledged."""
        place = (batch.topic, batch.partition)
        if batch.base_offset <= self._last_offsets.get(place, -1):
            raise KafkaError(f"the end of {batch.topic}, partition {batch.partition}, was lost")
        self._last_offsets[place] = batch.base_offset + len(batch.places) - 1

    async def end_hanging(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        """End transactions that Kafka acknowledged without writing their markers, and return their partitions.

        1. A broker that is killed between the end of a transaction and its markers never writes the markers.
        2. The committed events then stay invisible to read_committed readers.
        3. They would become visible twice once the next transaction of the same producer ends.

        Raises PublishError if they do not end.
        """
        if not self._transactional:
            return []
        hanging = await self._find_hanging(partitions)
        if hanging:
            await self._commit_empty_transaction(hanging)
            if still := await self._find_hanging(hanging):
                raise PublishError(
                    "Transactions that another producer left open hang on "
                    f"{partitions_text(still)}. "
                    "Find them with kafka-transactions.sh find-hanging, and abort them with it."
                )
        return hanging

    async def _find_hanging(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        """Return the partitions with a hanging transaction.
        Record the end of each log: a later write below it means lost records.
        """
        async with standalone_consumer(self._connection) as reader:
            extents = await stable_bounds(reader, partitions)
        for tp, extent in extents.items():
            self._last_offsets[tp.topic, tp.partition] = extent.high_watermark - 1
        return [tp for tp, extent in extents.items() if extent.last_stable_offset < extent.high_watermark]

    async def _commit_empty_transaction(self, partitions: Sequence[TopicPartition]) -> None:
        try:
            async with asyncio.timeout(self._timing.transaction_seconds):
                await self._producer.begin_transaction()
                add_to_transaction(self._producer, partitions)
                await self._producer.commit_transaction()
        except (KafkaError, IllegalOperation, TimeoutError, AssertionError, OSError) as error:
            raise PublishError(
                f"A hanging transaction could not be ended: {describe(error)}. "
                "Find it with kafka-transactions.sh find-hanging."
            ) from error

    async def discard(self) -> None:
        """Close the producer within two seconds, whatever its state."""
        await discard_producer(self._producer, 1)


def _not_cancelled_inside(error: BaseException) -> bool:
    """Return whether this is anything but a cancellation from inside aiokafka."""
    return not isinstance(error, asyncio.CancelledError) or cancellation_requested()
