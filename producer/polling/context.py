import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field

from producer.metrics import ProducerMetrics
from producer.polling import window
from producer.polling.window import PollingConfig
from producer.publishing.publisher import ShardPublisher
from producer.publishing.transaction import AdvanceCheckpoint, PendingRecords
from producer.sources.contract import Source
from producer.sources.errors import BackoffScope, RetryAction, SourceError
from producer.sources.walk import Walk
from producer.sources.window_result import WindowResult
from producer.state.checkpoint import Checkpoint
from producer.state.intervals import TimeRange
from producer.status_reporter import OrganizationStatusReporter
from relay import timestamps
from relay.organizations import Organization


@dataclass(slots=True)
class PollingContext:
    """What the three loops of a poller share: where they read, where they publish, and how far back a window begins.

    `overlap` (ms) is set by live rounds and used by all: it decides whether an event is live or late. `last_proof` is
    the time (ms) of the last proof that an empty answer was an answer.
    """

    organization: Organization
    publisher: ShardPublisher
    source: Source
    reporter: OrganizationStatusReporter
    metrics: ProducerMetrics
    config: PollingConfig
    now_ms: Callable[[], int]
    overlap: int = field(init=False)
    last_proof: int | None = None
    outage_noted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the checkpoint holds an outage."""

    def __post_init__(self) -> None:
        self.overlap = self.config.overlap

    @property
    def name(self) -> str:
        return self.organization.name

    def checkpoint(self) -> Checkpoint | None:
        """Return the committed checkpoint. None: the organization was never polled."""
        return self.publisher.checkpoint(self.name)

    def until(self) -> int:
        """Return the end of a window that begins now: a little before now, by the slower of the two clocks."""
        return self.source.clock_skew.correct(self.now_ms()) - self.config.settle

    def read(
        self, wanted: TimeRange, walk: Walk
    ) -> AbstractAsyncContextManager[AsyncGenerator[WindowResult, None]]:
        """Open the results of a window. The source is closed also where publishing a result raises, as for a closed shard."""
        return aclosing(
            self.source.read(wanted, walk, on_retry=lambda error: self.report_source_error(error, walk))
        )

    async def read_and_publish(self, wanted: TimeRange, walk: Walk = Walk.LIVE) -> "WindowProgress":
        """Read a window to its end, and publish each result as it comes.

        The checkpoint moves with new events, or where it has fallen behind; never while all results were empty.
        """
        progress = WindowProgress(wanted.start)
        async with self.read(wanted, walk) as results:
            async for result in results:
                progress.add(result)
                read_so_far = TimeRange(wanted.start, progress.end)
                at_end = walk.low_priority and result.window.end == wanted.end
                persist = progress.record_count > 0 and (at_end or self._checkpoint_lags(read_so_far))
                await self.publish(result, self._advance_over(read_so_far), walk, persist=persist)
        return progress

    async def publish(
        self, result: WindowResult, advance: AdvanceCheckpoint, walk: Walk, *, persist: bool
    ) -> None:
        """Publish the new events of a result; see ShardPublisher.publish."""
        if not result.proven:
            self.metrics.window_unproven(
                self.name, timestamps.to_iso(result.window.start), result.record_count
            )
        published = await self.publisher.publish(
            self.name,
            self._pending(result.window, result),
            advance,
            persist=persist,
            low_priority=walk.low_priority,
        )
        self.reporter.events_published(published)

    async def publish_verified_empty(self, empty: TimeRange, walk: Walk = Walk.LIVE) -> None:
        """Move the checkpoint over an empty window, once the source has shown that its answer was one."""
        await self.source.verify_empty(empty, walk)
        self.last_proof = self.now_ms()
        await self.publisher.publish(self.name, self._pending(empty), self._advance_over(empty), persist=True)
        self.reporter.complete_up_to(empty.end)

    def report_source_error(self, error: SourceError, walk: Walk = Walk.LIVE) -> None:
        """Show a failure in status and metrics; the source waits by itself.

        A failure that holds up only a walk beside live polling is a notice, since live events still arrive.
        """
        if walk is not Walk.LIVE and error.failure.scope is BackoffScope.WALK:
            self.reporter.walk_failing(walk, error.kind, error.failure.message, error.retry_seconds)
            return
        waiting = error.action is RetryAction.WAIT
        self.reporter.failing(error.kind, error.failure.message, error.retry_seconds, waiting=waiting)

    def _pending(self, read: TimeRange, result: WindowResult | None = None) -> PendingRecords:
        return PendingRecords(
            list(result.events) if result else [],
            list(result.unreadable) if result else [],
            read,
            self.overlap,
            self.organization.backfill_from,
            self.source.restore,
        )

    def _checkpoint_lags(self, read_so_far: TimeRange) -> bool:
        checkpoint = self.checkpoint()
        return checkpoint is None or read_so_far.end - checkpoint.window_end >= self.config.proof_every

    def _advance_over(self, read_so_far: TimeRange) -> AdvanceCheckpoint:
        def advance(checkpoint: Checkpoint) -> Checkpoint:
            return window.advance(checkpoint, read_so_far, self.config, self.organization.backfill_from)

        return advance


@dataclass(slots=True)
class WindowProgress:
    """How far a window has been read: to `end`, so many records; `created` (ms) of each event."""

    end: int
    record_count: int = 0
    created: list[int] = field(default_factory=list)

    def add(self, result: WindowResult) -> None:
        self.end = result.covered.end
        self.record_count += result.record_count
        self.created += [event["created"] for event in result.events]
