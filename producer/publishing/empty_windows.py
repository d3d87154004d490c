"""Windows without records whose checkpoints may move: many organizations of a shard in one transaction.

A quiet organization moves its checkpoint every five minutes. With a transaction for each, most of what a quiet shard asks of
Kafka would be transactions, and a start with thousands of organizations would take one after the other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from producer.publishing.shard_topics import ShardTopics
from producer.publishing.transaction import (
    AdvanceCheckpoint,
    Transaction,
    TransactionPlan,
    build_transaction,
)
from producer.state.intervals import TimeRange
from producer.state.shard_state import OrganizationState, ShardState
from relay.kafka.topic_facts import TopicLimits


@dataclass(slots=True, eq=False)
class EmptyWindow:
    """A window of an organization that was read, and proven to be empty. `advance` moves the checkpoint over it."""

    organization: str
    window: TimeRange
    advance: AdvanceCheckpoint
    done: bool = False
    error: Exception | None = None
    """Why this organization's checkpoint was not committed with the others."""

    def part(
        self, shard: ShardState, topics: ShardTopics, collected: int, limits: TopicLimits
    ) -> tuple[OrganizationState, Transaction] | None:
        """Return the part of a transaction that moves the checkpoint; None: it cannot be moved, and `error` says why."""
        try:
            state = shard.organization(self.organization)
            if state.checkpoint is None:
                raise ValueError(f"{self.organization} has no checkpoint yet")
            return state, build_transaction(
                TransactionPlan(collected),
                self.advance(state.checkpoint),
                state.ledger,
                topics,
                limits,
                window_complete=True,
                window=self.window,
            )
        except Exception as error:  # noqa: BLE001 - its own caller raises it; the others of the transaction go on
            self.error = error
            return None


@dataclass(slots=True)
class EmptyWindows:
    """The windows of a shard that wait for a transaction: one every `seconds` at most, of so many organizations.

    Each caller waits for itself, and the first that wakes up commits for all. So no task is needed that could die, and a caller
    that is cancelled takes only its own window along.
    """

    lock: asyncio.Lock
    """Of the shard's transactions; `commit` is called while it is held."""
    is_alone: Callable[[str], bool]
    """Whether an organization gets a transaction to itself: its last one failed, and may be to blame."""
    seconds: float = 2.0
    most: int = 100
    _waiting: list[EmptyWindow] = field(default_factory=list)
    _next_at: float = 0.0
    """The time of the loop before which no transaction begins."""

    async def publish(
        self, window: EmptyWindow, commit: Callable[[Sequence[EmptyWindow]], Awaitable[None]]
    ) -> None:
        """Wait until the window is committed, by this caller or by another. Raises what `commit` raises, and its own error."""
        loop = asyncio.get_running_loop()
        self._waiting.append(window)
        try:
            while not window.done:
                if (pause := self._next_at - loop.time()) > 0:
                    await asyncio.sleep(pause)
                async with self.lock:
                    await self._commit_once_due(window, loop.time(), commit)
        finally:
            self._waiting.remove(window)
        if window.error is not None:
            raise window.error

    async def _commit_once_due(
        self, window: EmptyWindow, now: float, commit: Callable[[Sequence[EmptyWindow]], Awaitable[None]]
    ) -> None:
        """Commit the next windows, unless another caller has done so while this one waited for the lock."""
        if window.done or now < self._next_at:
            return
        self._next_at = now + self.seconds
        together = self._next()
        await commit(together)
        for each in together:
            each.done = True

    def _next(self) -> Sequence[EmptyWindow]:
        """Return the windows of the next transaction, the oldest first, and one of each organization: another one is built on it."""
        found: dict[str, EmptyWindow] = {}
        for each in self._waiting:
            if each.done or len(found) == self.most:
                continue
            if not self.is_alone(each.organization):
                found.setdefault(each.organization, each)
            elif not found:
                return [each]
        return list(found.values())
