"""The publisher of one shard: one transaction at a time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import replace

from producer.metrics import ProducerMetrics
from producer.publishing.empty_windows import EmptyWindow, EmptyWindows
from producer.publishing.letters import LetterRedrive, LetterResult, letter_transaction
from producer.publishing.publish_result import PublishResult
from producer.publishing.published_metrics import count_published
from producer.publishing.refill import RefillWindow
from producer.publishing.refill_transaction import refill_transaction
from producer.publishing.shard_topics import ShardTopics
from producer.publishing.traced_commit import traced_commit
from producer.publishing.transaction import (
    AdvanceCheckpoint,
    PendingRecords,
    Transaction,
    TransactionPlan,
    build_transaction,
    plan_transaction,
)
from producer.publishing.transaction_outcomes import TransactionOutcomes
from producer.state.checkpoint import Checkpoint, IdReuse
from producer.state.intervals import TimeRange
from producer.state.refill import RefillCursor
from producer.state.shard_state import OrganizationState, ShardState
from relay.kafka.publish_errors import PublishError
from relay.kafka.topic_facts import TopicLimits
from relay.kafka.transactions import TransactionalProducer


class ShardClosedError(Exception):
    """The shard accepts nothing more: it is being reloaded, or belongs to another process."""


class ShardPublisher:
    """Publishes everything of one shard: one transaction at a time, planned from committed state.

    Invariant: `state` is what Kafka has committed. Once the outcome of a transaction is unknown, the publisher has failed
    for good, and its state is discarded with it; the next publisher loads the state from Kafka.
    """

    def __init__(
        self,
        transactions: TransactionalProducer,
        state: ShardState,
        topics: ShardTopics,
        topic_limits: Callable[[], TopicLimits],
        metrics: ProducerMetrics,
        now_ms: Callable[[], int],
        outcomes: TransactionOutcomes,
    ) -> None:
        """`topic_limits`: what the topics accept now. `outcomes`: of this shard, across its publishers."""
        self.outcomes = outcomes
        self.failed = asyncio.Event()
        self.fenced = False
        self._transactions = transactions
        self._state = state
        self._topics = topics
        self._topic_limits = topic_limits
        self._metrics = metrics
        self._now_ms = now_ms
        self._lock = asyncio.Lock()
        self._low_priority_lock = asyncio.Lock()
        self._closed = False
        self._empty_windows = EmptyWindows(self._lock, outcomes.has_failed)
        self.in_transaction = False
        """Whether a transaction is under way; it ends by itself."""

    @property
    def partition(self) -> int:
        """The number of its shard, which is the partition of everything that it writes."""
        return self._topics.partition

    @property
    def batches_too_large(self) -> bool:
        """Whether its producer makes batches that a topic refuses by now; the next publisher makes smaller ones."""
        return self._transactions.max_batch_bytes > self._topic_limits().max_batch_bytes

    def checkpoint(self, organization: str) -> Checkpoint | None:
        """Return the committed checkpoint of an organization. None: it was never polled."""
        return self._state.organization(organization).checkpoint

    def _id_reuse(self, organization: str) -> IdReuse | None:
        checkpoint = self.checkpoint(organization)
        return None if checkpoint is None else checkpoint.id_reuse

    async def write_checkpoint(
        self, organization: str, change: Callable[[Checkpoint | None], Checkpoint]
    ) -> Checkpoint:
        """Commit `change` of the checkpoint as it is when the lock is free, and return it. Raises ShardClosedError."""
        async with self._lock:
            organization_state = self._state.organization(organization)
            checkpoint = change(organization_state.checkpoint)
            transaction = build_transaction(
                TransactionPlan(self._next_collected()),
                checkpoint,
                organization_state.ledger,
                self._topics,
                self._topic_limits(),
                window_complete=False,
            )
            await self._commit((organization_state, transaction))
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
        """Publish the new among the pending records; the last transaction also moves the checkpoint.

        With nothing new, the checkpoint moves only if `persist`. Of all `low_priority` callers only one waits for the
        lock at a time. Raises ShardClosedError: the next publisher finds out how many of the records are in Kafka. Raises
        ProgressTooLargeError, which concerns this organization alone.
        """
        if pending.empty and not persist:  # most windows: no transaction of others is waited for
            return PublishResult(Counter(), None, 0, self._id_reuse(organization))
        by_mode: Counter[str] = Counter()
        newest_created, dead_letters = None, 0
        while True:
            async with self._exclusive(low_priority=low_priority):
                plan = await self._publish_transaction(
                    organization, pending, advance, persist=persist or bool(by_mode or dead_letters)
                )
            count_published(self._metrics, organization, plan, self._id_reuse(organization))
            by_mode.update(event["mode"] for event in plan.events)
            newest_created = max((event["created"] for event in plan.events), default=newest_created)
            dead_letters += len(plan.unreadable)
            if pending.empty:
                return PublishResult(by_mode, newest_created, dead_letters, self._id_reuse(organization))

    async def publish_empty(self, organization: str, window: TimeRange, advance: AdvanceCheckpoint) -> None:
        """Move the checkpoint over a window without records; see empty_windows.py. Raises as `publish`."""
        await self._empty_windows.publish(EmptyWindow(organization, window, advance), self._commit_empty)

    async def _commit_empty(self, windows: Sequence[EmptyWindow]) -> None:
        """Commit the checkpoints of windows of several organizations. The caller holds the lock."""
        at, limits = self._next_collected(), self._topic_limits()
        parts = [each.part(self._state, self._topics, at, limits) for each in windows]
        if known := [each for each in parts if each is not None]:
            await self._commit(*known)

    async def publish_refill(self, organization: str, window: RefillWindow) -> RefillCursor:
        """Publish the events of a part of a replay's window, whatever the ledger holds; return the cursor that is committed.

        Events that a former owner has published for this replay are left out. Raises as `publish`.
        """
        state, taken = self._state.organization(organization), 0
        while True:
            async with self._exclusive(low_priority=True):
                topics = replace(self._topics, limits=self.outcomes.limits(self._topics.limits))
                at, limits = self._next_collected(), self._topic_limits()
                batch, transaction = refill_transaction(state, window, taken, topics, at, limits)
                await traced_commit(self._commit, state, transaction, topics)
            taken += batch.taken
            self._metrics.events_refilled(organization, len(batch.records))
            if taken == len(window.events):
                return batch.cursor

    async def publish_letters(self, organization: str, redrive: LetterRedrive) -> LetterResult:
        """Publish the new among the records of dead letters, each with the mark of its letter. Raises as `publish`."""
        state, taken, result = self._state.organization(organization), 0, LetterResult()
        while taken < len(redrive.letters):
            async with self._exclusive(low_priority=True):
                topics = replace(self._topics, limits=self.outcomes.limits(self._topics.limits))
                plan, transaction = letter_transaction(
                    state, redrive, taken, topics, self._next_collected(), self._topic_limits()
                )
                if transaction is not None:
                    await traced_commit(self._commit, state, transaction, topics)
            taken += plan.taken
            redrive.note_published(plan)
            count_published(self._metrics, organization, plan.plan, self._id_reuse(organization))
            result.add(plan.result)
        return result

    @asynccontextmanager
    async def _exclusive(self, *, low_priority: bool) -> AsyncIterator[None]:
        async with self._low_priority_lock if low_priority else nullcontext(), self._lock:
            yield

    @asynccontextmanager
    async def between_transactions(self) -> AsyncIterator[None]:
        """Let no transaction begin meanwhile, so that cancelling a caller of `publish` leaves no outcome unknown."""
        async with self._lock:
            yield

    async def _publish_transaction(
        self, organization: str, pending: PendingRecords, advance: AdvanceCheckpoint, *, persist: bool
    ) -> TransactionPlan:
        """Plan, build and commit one transaction of the pending records. The caller holds the lock."""
        organization_state = self._state.organization(organization)
        before, ledger = organization_state.checkpoint, organization_state.ledger
        if before is None:
            raise ValueError(f"{organization} has no checkpoint yet")
        # Read once: the watcher may lower them meanwhile, and plan and ledgers must agree.
        topic_limits = self._topic_limits()
        topics = replace(self._topics, limits=self.outcomes.limits(self._topics.limits))
        plan = plan_transaction(pending, before, ledger, topics, self._next_collected(), topic_limits)
        if persist or not plan.empty:
            transaction = build_transaction(
                plan,
                advance(before) if pending.empty else before,
                ledger,
                topics,
                topic_limits,
                window_complete=pending.empty,
                window=pending.window,
            )
            await traced_commit(self._commit, organization_state, transaction, topics)
        return plan

    def _next_collected(self) -> int:
        """Return the Kafka timestamp of a transaction: now, but always after the one before, even if the clock goes back."""
        return max(self._now_ms(), self._state.last_collected + 1)

    async def _commit(self, *parts: tuple[OrganizationState, Transaction]) -> None:
        """Commit one transaction, then change the state. Only one without records has parts of several organizations. The order
        is the whole of exactly-once:

        1. The transaction was planned from committed state, under the lock, so two readers of overlapping windows
           cannot both find an id missing from the ledger.
        2. It was built before `begin`: a record or ledger that Kafka would refuse fails its own organization and leaves
           the shard open.
        3. Events are acknowledged first. Their offsets go into the checkpoint, by which the next owner checks that
           Kafka still has them.
        4. From begin to the answer of commit the outcome is unknown. An error, a timeout or a cancellation there may
           come after Kafka has committed, so nothing may be planned from this state again.
        5. The state changes only after the answer, without an await in between: a cancellation finds either the old
           state and a failed publisher, or the new state.
        """
        transactions = [transaction for _, transaction in parts]
        with self._fail_unless_committed(transactions):
            offsets = await self._transactions.publish(
                [record for each in transactions for record in each.records],
                lambda offsets: [record for each in transactions for record in each.after_offsets(offsets)],
            )
            for organization_state, transaction in parts:
                organization_state.ledger.commit(transaction.delta)
                organization_state.checkpoint = transaction.checkpoint(offsets)
                self._state.last_collected = transaction.plan.collected

    @contextmanager
    def _fail_unless_committed(self, transactions: Sequence[Transaction]) -> Iterator[None]:
        """Fail the publisher for good, unless the block ends without an exception. Raises ShardClosedError."""
        if self._closed or self.failed.is_set():
            raise ShardClosedError("The shard is being reloaded.")
        loop = asyncio.get_running_loop()
        started, outcome = loop.time(), "in doubt"
        reason = "The transaction was cancelled, or a defect interrupted it."
        self.in_transaction = True
        try:
            yield
            outcome = "committed"
        except PublishError as error:
            self.fenced = error.fenced
            outcome, reason = "fenced" if error.fenced else "failed", str(error)
            self._note_failure(transactions, error)
            raise ShardClosedError(reason) from error
        finally:
            self.in_transaction = False
            seconds = loop.time() - started
            self._metrics.transaction(self._topics.partition, outcome, seconds)
            if outcome == "committed":
                for each in transactions:
                    if self.outcomes.committed(each.organization, each.size, seconds):
                        self._metrics.transactions_succeed(self._topics.partition, each.organization)
            else:
                self.failed.set()
                self._metrics.publisher_failed(self._topics.partition, reason)

    def _note_failure(self, transactions: Sequence[Transaction], error: PublishError) -> None:
        """Decide how the next attempt differs. A former owner's failure says nothing about the shard."""
        if error.fenced:
            return
        organizations = [each.organization for each in transactions]
        for each in self.outcomes.failed_by(error, organizations, transactions[0].size, self._now_ms()):
            self._metrics.transactions_fail(self._topics.partition, each, str(error))

    async def close(self) -> None:
        """Refuse new transactions, and wait for the one under way."""
        self._closed = True
        async with self._lock:
            pass

    async def discard(self) -> None:
        """Close the Kafka producer. Records that were not committed are read again by the next owner."""
        self.failed.set()
        await self._transactions.discard()
