"""Patches of producers, and facts about them."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.protocol.produce import ProduceRequest, ProduceRequest_v8

from relay.kafka import TopicPartition
from relay.kafka.aiokafka_patches.client import consume_exception, wait_bounded


def observe_throttling(client: Any, on_throttled: Callable[[float], None]) -> None:
    """Call `on_throttled` with the seconds for which a broker mutes this client because of a quota.

    1. Each answer has throttle_time_ms since Kafka 0.9 (KIP-13), and aiokafka does not look at it.
    2. The broker answers at once, and then reads nothing from the connection for that time (KIP-219).
    3. A request that is sent meanwhile looks like one that is never answered.
    """
    send = client.send

    async def observed(*args: Any, **options: Any) -> Any:
        response = await send(*args, **options)
        if milliseconds := getattr(response, "throttle_time_ms", 0):
            on_throttled(milliseconds / 1000)
        return response

    client.send = observed


def consume_batch_errors(producer: Any) -> None:
    """Retrieve the error of each batch that its sender no longer awaits, so that asyncio does not log it.

    `send_batch` returns a shield of the batch's future, and a cancelled shield leaves the error of what it shielded alone.
    """
    append = producer._message_accumulator._append_batch  # noqa: SLF001

    def patched(*args: Any) -> Any:
        batch = append(*args)
        batch.future.add_done_callback(consume_exception)
        return batch

    producer._message_accumulator._append_batch = patched  # noqa: SLF001


@dataclass(frozen=True, slots=True)
class BatchRefusal:
    """A broker's answer that refuses a record batch. `code`: error code of Kafka's protocol."""

    code: int
    message: str = ""
    records: Mapping[int, str] = field(default_factory=dict)
    """The records to blame, by their place in the batch; empty: the broker names none (before Kafka 2.4, KIP-467)."""


def observe_refusals(client: Any, on_refusal: Callable[[TopicPartition, BatchRefusal], None]) -> None:
    """Call `on_refusal` for each record batch that a broker refuses.

    1. aiokafka knows no code above 79, and makes one error of all others, INVALID_RECORD (87) among them.
    2. It has version 8 of the request, whose answer names the records to blame (KIP-467), and does not use it.
    """
    send = client.send

    async def observed(node_id: Any, request: Any, *args: Any, **options: Any) -> Any:
        if isinstance(request, ProduceRequest):
            request._CLASSES = [*ProduceRequest._CLASSES, ProduceRequest_v8]  # noqa: SLF001
        response = await send(node_id, request, *args, **options)
        if isinstance(request, ProduceRequest):
            for topic, partitions in response.topics:
                for partition, code, *rest in partitions:
                    if code:
                        on_refusal(TopicPartition(topic, partition), _refusal(code, rest))
        return response

    client.send = observed


def _refusal(code: int, rest: Sequence[Any]) -> BatchRefusal:
    """`rest`: the members behind the code; the last two are the records to blame and a message, since version 8."""
    if len(rest) < 5:
        return BatchRefusal(code)
    records, message = rest[-2:]
    return BatchRefusal(code, message or "", {index: text or "" for index, text in records or ()})


async def discard_producer(producer: Any, seconds: float) -> None:
    """Stop a producer within `seconds` and a few more. Records not yet sent fail with KafkaError."""
    if not await wait_bounded(asyncio.ensure_future(producer.stop()), seconds):
        sender = producer._sender.sender_task  # noqa: SLF001
        for _ in range(20):
            if sender is None or sender.done():
                break
            sender.cancel()
            await asyncio.wait({sender}, timeout=0.1)
        _fail_pending_batches(producer._message_accumulator)  # noqa: SLF001
    await wait_bounded(asyncio.ensure_future(producer.client.close()), 1)
    _consume_exceptions(producer)


def transaction_failure(producer: Any) -> BaseException | None:
    """Return why aiokafka left the transaction by itself. None: it did not."""
    waiter = getattr(producer._txn_manager, "_transaction_waiter", None)  # noqa: SLF001
    if waiter is None or not waiter.done() or waiter.cancelled():
        return None
    failure: BaseException | None = waiter.exception()
    return failure


def _fail_pending_batches(accumulator: Any) -> None:
    """Fail all waiting sends. A batch that was queued for a retry is missing in the list that fail_all goes through."""
    accumulator._pending_batches.update(batch for queue in accumulator._batches.values() for batch in queue)  # noqa: SLF001
    accumulator.fail_all(KafkaError("the producer was discarded"))


def _consume_exceptions(producer: Any) -> None:
    """Retrieve the errors of a discarded producer's futures, so that asyncio does not log them."""
    accumulator = producer._message_accumulator  # noqa: SLF001
    batches = [batch for queue in accumulator._batches.values() for batch in queue]  # noqa: SLF001
    waiters = [batch._drain_waiter for batch in (*batches, *accumulator._pending_batches)]  # noqa: SLF001
    waiters.append(getattr(producer._txn_manager, "_transaction_waiter", None))  # noqa: SLF001
    for waiter in waiters:
        if waiter is not None and waiter.done() and not waiter.cancelled():
            waiter.exception()


def is_fenced(producer: Any) -> bool:
    """Return whether a transactional producer has learned that another took over its transactional id."""
    waiter = producer._txn_manager._transaction_waiter  # noqa: SLF001
    return bool(waiter.done() and not waiter.cancelled() and isinstance(waiter.exception(), ProducerFenced))


def add_to_transaction(producer: Any, partitions: Iterable[TopicPartition]) -> None:
    """Add partitions to the open transaction without writing to them. Its end then writes a marker there."""
    for tp in partitions:
        producer._txn_manager.maybe_add_partition_to_txn(tp)  # noqa: SLF001
