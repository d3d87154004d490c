import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka.errors import KafkaError, ProducerFenced

from relay.kafka import TopicPartition
from relay.kafka.aiokafka_patches.client import wait_bounded


async def discard_producer(producer: Any, seconds: float) -> None:
    """Stop a producer within `seconds` and a few more, giving up whatever it still wanted to send; who waits for it is told."""
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


def _fail_pending_batches(accumulator: Any) -> None:
    """Tell whoever waits for a batch. One that was put back for another try is no longer where its callback looks for it."""
    accumulator._pending_batches.update(batch for queue in accumulator._batches.values() for batch in queue)  # noqa: SLF001
    accumulator.fail_all(KafkaError("the producer was given up"))


def _consume_exceptions(producer: Any) -> None:
    """Whoever discards a producer knows that it failed: its futures need not say so at their end."""
    accumulator = producer._message_accumulator  # noqa: SLF001
    batches = [batch for queue in accumulator._batches.values() for batch in queue]  # noqa: SLF001
    waiters = [batch._drain_waiter for batch in (*batches, *accumulator._pending_batches)]  # noqa: SLF001
    waiters.append(getattr(producer._txn_manager, "_transaction_waiter", None))  # noqa: SLF001
    for waiter in waiters:
        if waiter is not None and waiter.done() and not waiter.cancelled():
            waiter.exception()


def is_fenced(producer: Any) -> bool:
    """Whether a transactional producer has learned that another one took over its transactional id."""
    waiter = producer._txn_manager._transaction_waiter  # noqa: SLF001
    return bool(waiter.done() and not waiter.cancelled() and isinstance(waiter.exception(), ProducerFenced))


def add_to_transaction(producer: Any, partitions: Iterable[TopicPartition]) -> None:
    """Make partitions part of the open transaction without writing to them: its end then puts a marker there."""
    for tp in partitions:
        producer._txn_manager.maybe_add_partition_to_txn(tp)  # noqa: SLF001
