"""The death of this process by SIGKILL at a step of a producer's round, between two awaits."""

import os
import signal
from collections.abc import Callable
from functools import wraps
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from producer.polling.unread_range_search import UnreadRangeSearch
from producer.publishing.publisher import ShardPublisher
from producer.publishing.refill import RefillBatch
from producer.replays.jobs import RefillJobs
from producer.sources.jira_cloud.pager import Pager
from producer.state.ledger import Ledger
from relay.kafka.transactions import TransactionalProducer

BETWEEN_BATCHES = "between two batches of events"
SMALL_BATCH_BYTES = 2_000
"""Holds a few events, so that those of one window make several batches."""

STEPS: dict[str, tuple[type, str, int]] = {
    "before begin": (AIOKafkaProducer, "begin_transaction", 0),
    "after begin": (TransactionalProducer, "_send", 0),
    BETWEEN_BATCHES: (AIOKafkaProducer, "send_batch", 1),
    "after the events": (TransactionalProducer, "_send", 1),
    "between events and commit": (AIOKafkaProducer, "commit_transaction", 0),
    "after the commit": (Ledger, "commit", 0),
    "before a transaction": (ShardPublisher, "_commit", 0),
    "in the middle of pages": (Pager, "add", 1),
    "while a range is halved": (UnreadRangeSearch, "failed", 1),
}
"""Class and method whose call kills, and how many calls of it pass before."""

REFILL_STEPS: dict[str, tuple[type, str, int]] = {
    "after the commit of a refill": (RefillBatch, "with_offsets", 1),
    "between events and checkpoint of a refill": (RefillBatch, "with_offsets", 0),
    "before the report of the end of a refill": (RefillJobs, "report", 0),
}
"""The same for a refill; a transaction asks twice for the checkpoint: to send it, and after the commit."""

ALWAYS = (BETWEEN_BATCHES, "after the events", "after the commit", "in the middle of pages")
"""The steps that every run of the tests plays."""


def die_at(step: str) -> None:
    """Kill this process at a step. Records wait when it starts, so that its first transaction holds some."""
    owner, name, passed = (STEPS | REFILL_STEPS)[step]
    method: Callable[..., Any] = getattr(owner, name)
    calls = 0
    if step == BETWEEN_BATCHES:
        AIOKafkaProducer.create_batch = _create_small_batch

    @wraps(method)
    def dying(self: Any, *given: Any, **options: Any) -> Any:
        nonlocal calls
        if _counts(step, given):
            calls += 1
            if calls > passed:
                os.kill(os.getpid(), signal.SIGKILL)
        return method(self, *given, **options)

    setattr(owner, name, dying)


def _create_small_batch(_producer: AIOKafkaProducer) -> BatchBuilder:
    return BatchBuilder(SMALL_BATCH_BYTES, 0, is_transactional=1)


def _counts(step: str, given: tuple[Any, ...]) -> bool:
    """Return whether a call belongs to a round with records: others come before it."""
    if step == "in the middle of pages":
        return bool(given[0])
    if step == BETWEEN_BATCHES:
        return str(given[1]).endswith(".events")
    if step in {"after the commit of a refill", "between events and checkpoint of a refill"}:
        return bool(given[1])
    if step == "before the report of the end of a refill":
        return bool(given[0].ended)
    return True
