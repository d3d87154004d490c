import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from producer.checkpoint import Checkpoint
from producer.drafts import Advance, Draft, Finding, positioned, take
from producer.ledger import Delta
from producer.letters import letters
from producer.memory import Memory, Progress
from producer.ranges import Range
from producer.telemetry import Metrics
from relay.codec import Encoder, Internal
from relay.kafka.producing import Outgoing
from relay.kafka.topics import Topics
from relay.kafka.transactions import Publisher, PublishError


class DeskClosedError(Exception):
    """Nothing can be published any more: the shard is being opened anew, or is not ours."""


@dataclass(frozen=True, slots=True)
class Published:
    """What of a finding was new: events by mode, created when, and dead letters."""

    modes: Counter[str]
    newest: int | None
    dead_letters: int


class Desk:
    """Where everything of one shard is published: one transaction at a time, drafted from committed memory.

    After any doubt about a transaction the desk is broken for good, and its memory with it: what was committed is then
    read again for a new one.
    """

    def __init__(
        self,
        publisher: Publisher,
        memory: Memory,
        encoder: Encoder,
        topics: Topics,
        partition: int,
        metrics: Metrics,
        now_ms: Callable[[], int],
    ) -> None:
        self.broken = asyncio.Event()
        self.fenced = False
        self._publisher = publisher
        self._memory = memory
        self._encoder = encoder
        self._topics = topics
        self._partition = partition
        self._metrics = metrics
        self._now_ms = now_ms
        self._lock = asyncio.Lock()
        self._closed = False
        self._checkpoints = Internal("checkpoint")
        self._ledgers = Internal("day_ledger")

    def checkpoint(self, organization: str) -> Checkpoint | None:
        """How far the organization has been read, as committed; None: never."""
        return self._memory.progress(organization).checkpoint

    async def write(self, checkpoint: Checkpoint) -> None:
        """Commit a checkpoint as it is: the first, or one that was set back. Raises DeskClosedError."""
        async with self._lock:
            progress = self._memory.progress(checkpoint.organization)
            await self._commit(progress, Draft(self._next_collected()), checkpoint, paired=False)

    async def publish(
        self, organization: str, finding: Finding, advance: Advance, *, persist: bool
    ) -> Published:
        """Publish what is new of a finding; the last transaction also moves the checkpoint.

        Where nothing is new, the checkpoint is moved only if `persist`. Raises DeskClosedError: how much of the finding
        stands in Kafka is then for the next desk to find out.
        """
        modes: Counter[str] = Counter()
        newest, dead_letters = None, 0
        while True:
            async with self._lock:
                draft = await self._publish_some(
                    organization, finding, advance, persist=persist or bool(modes)
                )
            self._tell(organization, draft)
            modes.update(event["mode"] for event in draft.events)
            newest = max((event["created"] for event in draft.events), default=newest)
            dead_letters += len(draft.unreadable)
            if finding.empty:
                return Published(modes, newest, dead_letters)

    async def _publish_some(
        self, organization: str, finding: Finding, advance: Advance, *, persist: bool
    ) -> Draft:
        progress = self._memory.progress(organization)
        if progress.checkpoint is None:
            raise ValueError(f"{organization} has no checkpoint yet")
        draft = take(finding, progress.checkpoint, progress.ledger, self._encoder, self._next_collected())
        checkpoint = advance(progress.checkpoint) if finding.empty else progress.checkpoint
        if persist or not draft.empty:
            await self._commit(progress, draft, checkpoint, paired=finding.empty, read=finding.read)
        return draft

    def _next_collected(self) -> int:
        """When a transaction has its events: now, but always after the one before, whatever the clock does."""
        return max(self._now_ms(), self._memory.last_collected + 1)

    async def _commit(
        self,
        progress: Progress,
        draft: Draft,
        checkpoint: Checkpoint,
        *,
        paired: bool,
        read: Range | None = None,
    ) -> None:
        """One transaction. Memory changes after it, and only if it is known to have been committed."""
        delta = progress.ledger.forget(
            progress.ledger.plan(draft.events, draft.unreadable, read=read), checkpoint
        )
        committed = checkpoint

        def then(offsets: list[int]) -> list[Outgoing]:
            nonlocal committed
            committed = positioned(checkpoint, draft, offsets, paired=paired)
            return self._progress_records(progress, delta, committed)

        await self._transact([*self._events(draft), *self._letters(checkpoint.organization, draft)], then)
        progress.ledger.commit(delta)
        progress.checkpoint = committed
        self._memory.last_collected = draft.collected

    async def _transact(
        self, first: Sequence[Outgoing], then: Callable[[list[int]], Sequence[Outgoing]]
    ) -> None:
        if self._closed or self.broken.is_set():
            raise DeskClosedError("The shard is being opened anew.")
        started, outcome = time.monotonic(), "in doubt"
        try:
            await self._publisher.publish(first, then)
            outcome = "committed"
        except PublishError as error:
            self.fenced = error.fenced
            outcome = "fenced" if error.fenced else "failed"
            raise DeskClosedError(str(error)) from error
        finally:
            if outcome != "committed":
                self.broken.set()
            self._metrics.transaction(outcome, time.monotonic() - started)

    def _events(self, draft: Draft) -> list[Outgoing]:
        topic = {"live": self._topics.events, "late": self._topics.events, "backfill": self._topics.backfill}
        return [
            Outgoing(
                topic[event["mode"]], self._partition, event["organization"].encode(), value, draft.collected
            )
            for event, value in zip(draft.events, draft.values, strict=True)
        ]

    def _letters(self, organization: str, draft: Draft) -> list[Outgoing]:
        return [
            letter
            for unreadable in draft.unreadable
            for letter in letters(
                unreadable,
                topic=self._topics.dead_letters,
                partition=self._partition,
                organization=organization,
                at_ms=draft.collected,
            )
        ]

    def _progress_records(self, progress: Progress, delta: Delta, checkpoint: Checkpoint) -> list[Outgoing]:
        values = {
            key: None if record is None else self._ledgers.encode(record)
            for key, record in progress.ledger.to_records(delta).items()
        }
        values[checkpoint.organization] = self._checkpoints.encode(checkpoint.to_record())
        return [
            Outgoing(self._topics.progress, self._partition, key.encode(), value, checkpoint.written)
            for key, value in values.items()
        ]

    def _tell(self, organization: str, draft: Draft) -> None:
        for mode, count in Counter(event["mode"] for event in draft.events).items():
            newest = max(event["created"] for event in draft.events)
            self._metrics.events_published(organization, mode, count, newest)
        for event in draft.events:
            if event["mode"] == "late":
                self._metrics.late_arrival(organization, (draft.collected - event["created"]) / 1000)
        for unreadable in draft.unreadable:
            self._metrics.dead_lettered(organization, unreadable.reason)

    async def close(self) -> None:
        """Refuse what comes, and wait for the transaction under way."""
        self._closed = True
        async with self._lock:
            pass

    async def discard(self) -> None:
        """Let go of the producer; what was not committed is lost, and found again by the next owner."""
        self.broken.set()
        await self._publisher.discard()
