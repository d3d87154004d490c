import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from producer.metrics import Metrics
from producer.publishing.dead_letters import letters
from producer.publishing.transaction import Advance, Draft, Finding, positioned, take
from producer.state.checkpoint import Checkpoint
from producer.state.intervals import Range
from producer.state.ledger import Delta
from producer.state.shard_state import Memory, Progress
from relay.avro.codec import Encoder, InternalCodec
from relay.errors import RelayError
from relay.kafka.producer import ProducerRecord
from relay.kafka.topics import Topics
from relay.kafka.transactions import Publisher, PublishError


class DeskClosedError(Exception):
    """Nothing can be published any more: the shard is being opened anew, or is not ours."""


class TooLargeError(RelayError):
    """What is known of one organization does not fit into Kafka."""


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
        largest: Callable[[], int],
        metrics: Metrics,
        now_ms: Callable[[], int],
    ) -> None:
        """`largest`: bytes of the largest message that every topic takes, as it is now."""
        self.broken = asyncio.Event()
        self.fenced = False
        self._publisher = publisher
        self._memory = memory
        self._encoder = encoder
        self._topics = topics
        self._partition = partition
        self._largest = largest
        self._metrics = metrics
        self._now_ms = now_ms
        self._lock = asyncio.Lock()
        self._history_lock = asyncio.Lock()
        self._closed = False
        self._checkpoints = InternalCodec("checkpoint")
        self._ledgers = InternalCodec("day_ledger")

    def checkpoint(self, organization: str) -> Checkpoint | None:
        """How far the organization has been read, as committed; None: never."""
        return self._memory.progress(organization).checkpoint

    async def write(self, organization: str, change: Callable[[Checkpoint | None], Checkpoint]) -> Checkpoint:
        """Commit what `change` makes of the checkpoint as it then is: the first, or one set back. Raises DeskClosedError."""
        async with self._lock:
            progress = self._memory.progress(organization)
            checkpoint = change(progress.checkpoint)
            await self._commit(progress, Draft(self._next_collected()), checkpoint, paired=False)
            return progress.checkpoint or checkpoint

    async def publish(
        self, organization: str, finding: Finding, advance: Advance, *, persist: bool, history: bool = False
    ) -> Published:
        """Publish what is new of a finding; the last transaction also moves the checkpoint.

        Where nothing is new, the checkpoint is moved only if `persist`. Of those who publish `history` only one at a time
        stands in the queue of the others. Raises DeskClosedError: how much of the finding stands in Kafka is then for the
        next desk to find out; and TooLargeError, which concerns this organization alone.
        """
        modes: Counter[str] = Counter()
        newest, dead_letters = None, 0
        while True:
            async with self._turn(history=history):
                draft = await self._publish_some(
                    organization, finding, advance, persist=persist or bool(modes or dead_letters)
                )
            self._tell(organization, draft)
            modes.update(event["mode"] for event in draft.events)
            newest = max((event["created"] for event in draft.events), default=newest)
            dead_letters += len(draft.unreadable)
            if finding.empty:
                return Published(modes, newest, dead_letters)

    @asynccontextmanager
    async def _turn(self, *, history: bool) -> AsyncIterator[None]:
        if not history:
            async with self._lock:
                yield
            return
        async with self._history_lock, self._lock:
            yield

    @asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """While this is held no transaction is under way: whoever is cancelled now breaks nothing."""
        async with self._lock:
            yield

    async def _publish_some(
        self, organization: str, finding: Finding, advance: Advance, *, persist: bool
    ) -> Draft:
        progress = self._memory.progress(organization)
        if progress.checkpoint is None:
            raise ValueError(f"{organization} has no checkpoint yet")
        draft = take(
            finding,
            progress.checkpoint,
            progress.ledger,
            self._encoder,
            self._next_collected(),
            self._largest(),
        )
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
        first = [*self._events(draft), *self._letters(checkpoint.organization, draft)]
        days = self._days(progress, delta)
        committed = checkpoint

        def then(offsets: list[int]) -> list[ProducerRecord]:
            nonlocal committed
            committed = positioned(checkpoint, draft, offsets, paired=paired)
            value = self._checkpoints.encode(committed.to_record())
            return [
                ProducerRecord(self._topics.progress, self._partition, key.encode(), record, draft.collected)
                for key, record in {**days, checkpoint.organization: value}.items()
            ]

        with self._in_doubt():
            await self._publisher.publish(first, then)
            progress.ledger.commit(delta)
            progress.checkpoint = committed
            self._memory.last_collected = draft.collected

    @contextmanager
    def _in_doubt(self) -> Iterator[None]:
        """Until this is left in good order nobody knows what stands in Kafka, and the desk is no good any more."""
        if self._closed or self.broken.is_set():
            raise DeskClosedError("The shard is being opened anew.")
        started, outcome, reason = time.monotonic(), "in doubt", "it was cancelled, or a defect came between"
        try:
            yield
            outcome = "committed"
        except PublishError as error:
            self.fenced = error.fenced
            outcome, reason = "fenced" if error.fenced else "failed", str(error)
            raise DeskClosedError(reason) from error
        finally:
            self._metrics.transaction(outcome, time.monotonic() - started)
            if outcome != "committed":
                self.broken.set()
                self._metrics.desk_broken(self._partition, reason)

    def _events(self, draft: Draft) -> list[ProducerRecord]:
        topic = {"live": self._topics.events, "late": self._topics.events, "backfill": self._topics.backfill}
        return [
            ProducerRecord(
                topic[event["mode"]], self._partition, event["organization"].encode(), value, draft.collected
            )
            for event, value in zip(draft.events, draft.values, strict=True)
        ]

    def _letters(self, organization: str, draft: Draft) -> list[ProducerRecord]:
        return [
            letter
            for unreadable in draft.unreadable
            for letter in letters(
                unreadable,
                topic=self._topics.dead_letters,
                partition=self._partition,
                organization=organization,
                at_ms=draft.collected,
                largest=self._largest(),
            )
        ]

    def _days(self, progress: Progress, delta: Delta) -> Mapping[str, bytes | None]:
        """The ledgers to write, by key. Their sizes are looked at before anything is begun, as those of events are."""
        days = {
            key: None if record is None else self._ledgers.encode(record)
            for key, record in progress.ledger.to_records(delta).items()
        }
        largest = self._largest()
        for key, value in days.items():
            if value is not None and len(value) > largest:
                raise TooLargeError(
                    f"The ledger of {key} has {len(value)} bytes, and Kafka takes {largest}: raise max.message.bytes of"
                    f" {self._topics.progress}. Nothing more of that day is published until then."
                )
        return days

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
