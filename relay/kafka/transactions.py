import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import IllegalOperation, InvalidTimestampError, KafkaError, ProducerFenced

from relay.aio import asked_to_end
from relay.errors import RelayError, describe
from relay.kafka import TopicPartition
from relay.kafka.aiokafka_patches.client import guard_client, retrieve
from relay.kafka.aiokafka_patches.producer import add_to_transaction, discard_producer, is_fenced
from relay.kafka.connection import Connection
from relay.kafka.log_reader import group_less, settled_spans
from relay.kafka.producer import OPEN_SECONDS, Outgoing, producer_options

TRANSACTION_SECONDS = 8.0
TRANSACTION_TIMEOUT_MS = 15_000


Then = Callable[[list[int]], Sequence[Outgoing]]


def _nothing(_offsets: list[int]) -> Sequence[Outgoing]:
    return ()


class PublishError(RelayError):
    """A publication failed, or nobody knows whether it did: the publisher must be discarded and all memory with it.

    `fenced`: another owner has taken over.
    """

    def __init__(self, message: str, *, fenced: bool = False) -> None:
        super().__init__(message)
        self.fenced = fenced


class Publisher:
    """Publishes records together: in one transaction, or, where Kafka has none, events first and progress after.

    After any error, time-out or cancellation it must be discarded: a commit whose answer was lost may have happened.
    """

    def __init__(self, connection: Connection, producer: AIOKafkaProducer) -> None:
        self._connection = connection
        self._producer = producer
        self._transactional = connection.profile.transactions
        self._newest: dict[tuple[str, int], int] = {}

    @classmethod
    async def open(cls, connection: Connection, transactional_id: str) -> "Publisher":
        """Fence whoever used `transactional_id` before and end its open transaction.

        Raises PublishError; nothing is left alive then, so that no late start can fence a successor.
        """
        options = producer_options(connection)
        if connection.profile.transactions:
            options |= {
                "transactional_id": transactional_id,
                "transaction_timeout_ms": TRANSACTION_TIMEOUT_MS,
            }
        producer = AIOKafkaProducer(**options)
        guard_client(producer.client)
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await producer.start()
        except BaseException as error:
            await asyncio.shield(discard_producer(producer, 0.5))
            if isinstance(error, (KafkaError, TimeoutError, OSError)) or not _asked(error):
                raise PublishError(f"Kafka did not let a producer start: {describe(error)}.") from error
            raise
        return cls(connection, producer)

    async def publish(self, first: Sequence[Outgoing], then: Then = _nothing) -> list[int]:
        """Commit `first` together with what `then` makes of its offsets, sent once `first` stands; return those offsets.

        Raises PublishError. A cancellation leaves nothing running.
        """
        task = asyncio.create_task(self._publish(first, then))
        try:
            async with asyncio.timeout(TRANSACTION_SECONDS):
                return await asyncio.shield(task)
        except TimeoutError as error:
            raise PublishError(
                f"Kafka did not confirm a transaction within {TRANSACTION_SECONDS:.0f} s."
            ) from error
        except ProducerFenced as error:
            raise PublishError("Another owner has taken over the shard.", fenced=True) from error
        except IllegalOperation as error:  # the producer left the transaction between two sends, on its own
            raise PublishError(
                "Kafka ended a transaction before we did.", fenced=is_fenced(self._producer)
            ) from error
        except InvalidTimestampError as error:
            raise PublishError(
                "Kafka refused a transaction because of its time: the clock of this machine is ahead of Kafka's by more than"
                " message.timestamp.after.max.ms (an hour unless set); set the clocks right."
            ) from error
        except (KafkaError, AssertionError, OSError) as error:
            raise PublishError(f"Kafka refused a transaction: {describe(error)}.") from error
        except asyncio.CancelledError as error:
            if _asked(error):
                raise
            raise PublishError("Kafka's client gave a transaction up.") from error
        finally:
            task.add_done_callback(retrieve)
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=1)

    async def _publish(self, first: Sequence[Outgoing], then: Then) -> list[int]:
        if not self._transactional:
            offsets = await self._send(first)
            await self._send(then(offsets))
            return offsets
        await self._producer.begin_transaction()
        offsets = await self._send(first)
        await self._send(then(offsets))
        await self._producer.commit_transaction()
        return offsets

    async def _send(self, records: Sequence[Outgoing]) -> list[int]:
        acknowledgements = [await self._hand_over(record) for record in records]
        if acknowledgements:
            await asyncio.wait(acknowledgements)
        offsets = [int(acknowledgement.result().offset) for acknowledgement in acknowledgements]
        if -1 in offsets:
            raise KafkaError("a batch was taken for one already there, its offset is unknown")
        for record, offset in zip(records, offsets, strict=True):
            self._behind_the_last(record, offset)
        return offsets

    def _behind_the_last(self, record: Outgoing, offset: int) -> None:
        """What stands at an offset that was given away before has taken the place of something lost."""
        place = (record.topic, record.partition)
        if offset <= self._newest.get(place, -1):
            raise KafkaError(f"it has lost the end of {record.topic}, partition {record.partition}")
        self._newest[place] = offset

    async def _hand_over(self, record: Outgoing) -> "asyncio.Future[Any]":
        acknowledgement: asyncio.Future[Any] = await self._producer.send(**_arguments(record))
        acknowledgement.add_done_callback(retrieve)  # of a batch whose transaction was given up
        return acknowledgement

    async def end_dangling(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        """End transactions that Kafka acknowledged but left without markers, and return where they were.

        Kafka killed between the end of a transaction and its markers forgets to write them; committed events then
        stay invisible, and visible twice once the next transaction of the same producer has ended.
        Raises PublishError when they cannot be ended.
        """
        if not self._transactional:
            return []
        dangling = await self._dangling(partitions)
        if dangling:
            await self._commit_empty(dangling)
            if still := await self._dangling(dangling):
                raise PublishError(
                    f"Transactions without end stand on {still}, and Kafka does not end them: they are not of this shard's"
                    " producer. See who left them with kafka-transactions.sh find-hanging, and abort them with it."
                )
        return dangling

    async def _dangling(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        """Also remember where they end: whoever writes below that later takes the place of something lost."""
        async with group_less(self._connection) as reader:
            extents = await settled_spans(reader, partitions)
        for tp, extent in extents.items():
            self._newest[tp.topic, tp.partition] = extent.high_watermark - 1
        return [tp for tp, extent in extents.items() if extent.committed_end < extent.high_watermark]

    async def _commit_empty(self, partitions: Sequence[TopicPartition]) -> None:
        try:
            async with asyncio.timeout(TRANSACTION_SECONDS):
                await self._producer.begin_transaction()
                add_to_transaction(self._producer, partitions)
                await self._producer.commit_transaction()
        except (KafkaError, IllegalOperation, TimeoutError, AssertionError, OSError) as error:
            raise PublishError(f"A transaction without end could not be ended: {describe(error)}.") from error

    async def discard(self) -> None:
        """Let go of the producer within two seconds, whatever state it is in."""
        await discard_producer(self._producer, 1)


def _arguments(record: Outgoing) -> dict[str, Any]:
    return {
        "topic": record.topic,
        "partition": record.partition,
        "key": record.key,
        "value": record.value,
        "timestamp_ms": record.timestamp,
        "headers": list(record.headers),
    }


def _asked(error: BaseException) -> bool:
    """Whether this is no cancellation that came from inside aiokafka."""
    return not isinstance(error, asyncio.CancelledError) or asked_to_end()
