import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from producer.metrics import ProducerMetrics
from producer.publishing.dead_letters import dead_letter_records
from producer.publishing.transaction import (
    AdvanceCheckpoint,
    PendingRecords,
    TransactionPlan,
    plan_transaction,
    with_positions,
)
from producer.state.checkpoint import Checkpoint
from producer.state.intervals import TimeRange
from producer.state.ledger import LedgerDelta
from producer.state.shard_state import OrganizationState, ShardState
from relay.avro.codec import Encoder, InternalCodec
from relay.errors import RelayError
from relay.kafka.producer import ProducerRecord
from relay.kafka.topics import Topics
from relay.kafka.transactions import Publisher, PublishError


class ShardClosedError(Exception):
    """Nothing can be published any more: the shard is being opened anew, or is not ours."""


class LedgerTooLargeError(RelayError):
    """What is known of one organization does not fit into Kafka."""


@dataclass(frozen=True, slots=True)
class PublishResult:
    """What of the pending records was new: events by mode, created when, and dead letters."""

    events_by_mode: Counter[str]
    newest_created: int | None
    dead_letters: int


class ShardPublisher:
    """Where everything of one shard is published: one transaction at a time, planned from committed state.

    After any doubt about a transaction the publisher has failed for good, and its state with it: what was committed is then
    read again for a new one.
    """

    def __init__(
        self,
        transactions: Publisher,
        state: ShardState,
        encoder: Encoder,
        topics: Topics,
        partition: int,
        max_event_bytes: Callable[[], int],
        metrics: ProducerMetrics,
        now_ms: Callable[[], int],
    ) -> None:
        """`max_event_bytes`: bytes of the largest message that every topic takes, as it is now."""
        self.failed = asyncio.Event()
        self.fenced = False
        self._transactions = transactions
        self._state = state
        self._encoder = encoder
        self._topics = topics
        self._partition = partition
        self._max_event_bytes = max_event_bytes
        self._metrics = metrics
        self._now_ms = now_ms
        self._lock = asyncio.Lock()
        self._low_priority_lock = asyncio.Lock()
        self._closed = False
        self._checkpoint_codec = InternalCodec("checkpoint")
        self._ledger_codec = InternalCodec("day_ledger")

    def checkpoint(self, organization: str) -> Checkpoint | None:
        """How far the organization has been read, as committed; None: never."""
        return self._state.organization(organization).checkpoint

    async def write_checkpoint(
        self, organization: str, change: Callable[[Checkpoint | None], Checkpoint]
    ) -> Checkpoint:
        """Commit what `change` makes of the checkpoint as it then is: the first, or one set back. Raises ShardClosedError."""
        async with self._lock:
            organization_state = self._state.organization(organization)
            checkpoint = change(organization_state.checkpoint)
            await self._commit(
                organization_state, TransactionPlan(self._next_collected()), checkpoint, window_complete=False
            )
            return organization_state.checkpoint or checkpoint

    async def publish(
        self,
        organization: str,
        pending: PendingRecords,
        advance: AdvanceCheckpoint,
        *,
        persist: bool,
        low_priority: bool = False,
    ) -> PublishResult:
        """Publish what is new of the pending records; the last transaction also moves the checkpoint.

        Where nothing is new, the checkpoint is moved only if `persist`. Of those who publish `low_priority` only one at a time
        stands in the queue of the others. Raises ShardClosedError: how much of them stands in Kafka is then for the
        next publisher to find out; and LedgerTooLargeError, which concerns this organization alone.
        """
        events_by_mode: Counter[str] = Counter()
        newest_created, dead_letters = None, 0
        while True:
            async with self._exclusive(low_priority=low_priority):
                plan = await self._publish_transaction(
                    organization, pending, advance, persist=persist or bool(events_by_mode or dead_letters)
                )
            self._record_metrics(organization, plan)
            events_by_mode.update(event["mode"] for event in plan.events)
            newest_created = max((event["created"] for event in plan.events), default=newest_created)
            dead_letters += len(plan.unreadable)
            if pending.empty:
                return PublishResult(events_by_mode, newest_created, dead_letters)

    @asynccontextmanager
    async def _exclusive(self, *, low_priority: bool) -> AsyncIterator[None]:
        if not low_priority:
            async with self._lock:
                yield
            return
        async with self._low_priority_lock, self._lock:
            yield

    @asynccontextmanager
    async def between_transactions(self) -> AsyncIterator[None]:
        """While this is held no transaction is under way: whoever is cancelled now breaks nothing."""
        async with self._lock:
            yield

    async def _publish_transaction(
        self, organization: str, pending: PendingRecords, advance: AdvanceCheckpoint, *, persist: bool
    ) -> TransactionPlan:
        organization_state = self._state.organization(organization)
        if organization_state.checkpoint is None:
            raise ValueError(f"{organization} has no checkpoint yet")
        plan = plan_transaction(
            pending,
            organization_state.checkpoint,
            organization_state.ledger,
            self._encoder,
            self._next_collected(),
            self._max_event_bytes(),
        )
        checkpoint = (
            advance(organization_state.checkpoint) if pending.empty else organization_state.checkpoint
        )
        if persist or not plan.empty:
            await self._commit(
                organization_state, plan, checkpoint, window_complete=pending.empty, window=pending.window
            )
        return plan

    def _next_collected(self) -> int:
        """When a transaction has its events: now, but always after the one before, whatever the clock does."""
        return max(self._now_ms(), self._state.last_collected + 1)

    async def _commit(
        self,
        organization_state: OrganizationState,
        plan: TransactionPlan,
        checkpoint: Checkpoint,
        *,
        window_complete: bool,
        window: TimeRange | None = None,
    ) -> None:
        """One transaction. State changes after it, and only if it is known to have been committed."""
        delta = organization_state.ledger.expire_days(
            organization_state.ledger.plan(plan.events, plan.unreadable, read=window), checkpoint
        )
        records = [*self._event_records(plan), *self._dead_letter_records(checkpoint.organization, plan)]
        days = self._ledger_values(organization_state, delta)
        committed = checkpoint

        def after_offsets(offsets: list[int]) -> list[ProducerRecord]:
            nonlocal committed
            committed = with_positions(checkpoint, plan, offsets, window_complete=window_complete)
            value = self._checkpoint_codec.encode(committed.to_record())
            return [
                ProducerRecord(self._topics.progress, self._partition, key.encode(), record, plan.collected)
                for key, record in {**days, checkpoint.organization: value}.items()
            ]

        with self._fail_unless_committed():
            await self._transactions.publish(records, after_offsets)
            organization_state.ledger.commit(delta)
            organization_state.checkpoint = committed
            self._state.last_collected = plan.collected

    @contextmanager
    def _fail_unless_committed(self) -> Iterator[None]:
        """Until this is left in good order nobody knows what stands in Kafka, and the publisher is no good any more."""
        if self._closed or self.failed.is_set():
            raise ShardClosedError("The shard is being opened anew.")
        started, outcome, reason = time.monotonic(), "in doubt", "it was cancelled, or a defect came between"
        try:
            yield
            outcome = "committed"
        except PublishError as error:
            self.fenced = error.fenced
            outcome, reason = "fenced" if error.fenced else "failed", str(error)
            raise ShardClosedError(reason) from error
        finally:
            self._metrics.transaction(outcome, time.monotonic() - started)
            if outcome != "committed":
                self.failed.set()
                self._metrics.publisher_failed(self._partition, reason)

    def _event_records(self, plan: TransactionPlan) -> list[ProducerRecord]:
        topic = {"live": self._topics.events, "late": self._topics.events, "backfill": self._topics.backfill}
        return [
            ProducerRecord(
                topic[event["mode"]], self._partition, event["organization"].encode(), value, plan.collected
            )
            for event, value in zip(plan.events, plan.values, strict=True)
        ]

    def _dead_letter_records(self, organization: str, plan: TransactionPlan) -> list[ProducerRecord]:
        return [
            record
            for unreadable in plan.unreadable
            for record in dead_letter_records(
                unreadable,
                topic=self._topics.dead_letters,
                partition=self._partition,
                organization=organization,
                at_ms=plan.collected,
                max_event_bytes=self._max_event_bytes(),
            )
        ]

    def _ledger_values(
        self, organization_state: OrganizationState, delta: LedgerDelta
    ) -> Mapping[str, bytes | None]:
        """The ledgers to write, by key. Their sizes are looked at before anything is begun, as those of events are."""
        days = {
            key: None if record is None else self._ledger_codec.encode(record)
            for key, record in organization_state.ledger.to_records(delta).items()
        }
        max_event_bytes = self._max_event_bytes()
        for key, value in days.items():
            if value is not None and len(value) > max_event_bytes:
                raise LedgerTooLargeError(
                    f"The ledger of {key} has {len(value)} bytes, and Kafka takes {max_event_bytes}: raise max.message.bytes of"
                    f" {self._topics.progress}. Nothing more of that day is published until then."
                )
        return days

    def _record_metrics(self, organization: str, plan: TransactionPlan) -> None:
        for mode, count in Counter(event["mode"] for event in plan.events).items():
            newest = max(event["created"] for event in plan.events)
            self._metrics.events_published(organization, mode, count, newest)
        for event in plan.events:
            if event["mode"] == "late":
                self._metrics.late_arrival(organization, (plan.collected - event["created"]) / 1000)
        for unreadable in plan.unreadable:
            self._metrics.dead_lettered(organization, unreadable.reason)

    async def close(self) -> None:
        """Refuse what comes, and wait for the transaction under way."""
        self._closed = True
        async with self._lock:
            pass

    async def discard(self) -> None:
        """Let go of the producer; what was not committed is lost, and found again by the next owner."""
        self.failed.set()
        await self._transactions.discard()
