"""The context that the loops of one poller share, and how they read and publish a window."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace

from producer.metrics import ProducerMetrics
from producer.polling import unread_range_search, window
from producer.polling.misplaced_notice import MisplacedNotice
from producer.polling.traced_window import traced_window
from producer.polling.window import PollingConfig, WindowProgress
from producer.publishing.publisher import ShardPublisher
from producer.publishing.transaction import AdvanceCheckpoint, PendingRecords
from producer.replays.jobs import RefillJobs
from producer.silence.judge import SilenceJudge
from producer.sources.contract import Source
from producer.sources.errors import BackoffScope, RetryAction, SourceError
from producer.sources.purpose import Purpose
from producer.sources.window_result import WindowResult
from producer.state.checkpoint import Checkpoint
from producer.state.intervals import TimeRange, missing_ranges
from producer.status_reporter import OrganizationStatusReporter
from relay import timestamps
from relay.organizations import Organization
from relay.telemetry.traces.tracer import NOT_TRACED, Tracer


@dataclass(slots=True)
class PollingContext:
    """The values that the loops of a poller share: source, publisher, and how far back a window begins.

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
    refills: RefillJobs = field(default_factory=RefillJobs)
    outage_noted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the checkpoint holds an outage."""
    misplaced: MisplacedNotice = field(init=False)
    silence: SilenceJudge = field(default_factory=SilenceJudge)
    unread_ranges_known: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the checkpoint has unread ranges."""
    tracer: Tracer = NOT_TRACED

    def __post_init__(self) -> None:
        self.overlap = self.config.overlap_ms
        self.misplaced = MisplacedNotice(2 * self.config.reread_day_every_ms)

    @property
    def name(self) -> str:
        return self.organization.name

    def checkpoint(self) -> Checkpoint | None:
        """Return the committed checkpoint. None: the organization was never polled."""
        return self.publisher.checkpoint(self.name)

    def until(self) -> int:
        """Return the end of a window that begins now: a little before now, by the slower of the two clocks."""
        return self.source.clock_skew.correct(self.now_ms()) - self.config.settle_ms

    def read(
        self, wanted: TimeRange, purpose: Purpose
    ) -> AbstractAsyncContextManager[AsyncGenerator[WindowResult, None]]:
        """Open the results of a window. The source is closed also where publishing a result raises, as for a closed shard."""
        results = self.source.read(
            wanted, purpose, on_retry=lambda error: self.report_source_error(error, purpose)
        )
        return traced_window(self.tracer, self.name, wanted, purpose, results)

    def unread_ranges(self) -> tuple[TimeRange, ...]:
        """Return the ranges that the source fails to serve, as committed."""
        checkpoint = self.checkpoint()
        return () if checkpoint is None else checkpoint.unread_ranges

    async def read_and_publish(self, wanted: TimeRange, purpose: Purpose = Purpose.LIVE) -> WindowProgress:
        """Read a window to its end, unread ranges left out, and publish each result as it comes.

        The checkpoint moves with new events, or where it has fallen behind; never while all results were empty.
        """
        progress = WindowProgress(wanted.start)
        parts = missing_ranges(self.unread_ranges(), wanted)
        last_end = parts[-1].end if parts else wanted.start

        async def publish(result: WindowResult) -> None:
            progress.add(result)
            at_end = progress.end == last_end
            read_so_far = TimeRange(wanted.start, wanted.end if at_end else progress.end)
            persist = progress.record_count > 0 and (
                (at_end and purpose.low_priority) or self._checkpoint_lags(read_so_far)
            )
            await self.publish(result, self._advance_over(read_so_far), purpose, persist=persist)

        progress.end = await self.read_around_unread_ranges(
            wanted,
            purpose,
            publish,
            lambda unread_range: self._advance_over(TimeRange(wanted.start, unread_range.end)),
        )
        return progress

    async def read_around_unread_ranges(
        self,
        wanted: TimeRange,
        purpose: Purpose,
        publish: Callable[[WindowResult], Awaitable[None]],
        advance_over: Callable[[TimeRange], AdvanceCheckpoint],
    ) -> int:
        """Read the parts of a window that are in no unread range, and return its end, or the instant that the API's clock had reached.

        A part that the source fails to serve becomes an unread range, in one transaction with the cursor that `advance_over` moves.
        """
        for part in missing_ranges(self.unread_ranges(), wanted):
            end = await self._read_part(part, purpose, publish, advance_over)
            if end < part.end:
                return end
        return wanted.end

    async def _read_part(
        self,
        part: TimeRange,
        purpose: Purpose,
        publish: Callable[[WindowResult], Awaitable[None]],
        advance_over: Callable[[TimeRange], AdvanceCheckpoint],
    ) -> int:
        """Read a part, and return the instant up to which it was read, or made an unread range.

        1. The source has repeated the request that fails, several times.
        2. Another request must be answered: a site that is down altogether is waited for, and no unread range is opened.
        3. The part is read once more: the site may have come back between 1 and 2.
        """
        end = part.start
        for attempt in (purpose, Purpose.UNREAD_RANGES):
            published: WindowResult | None = None
            try:
                async with self.read(TimeRange(end, part.end), attempt) as results:
                    async for result in results:
                        published = result
                        await publish(result)
                        end, published = result.covered.end, None
                return end
            except SourceError as error:
                was_read = (
                    published is not None and published.failure is None
                )  # its empty answer was not believed
                if was_read or not error.failure.may_concern_records:
                    raise
                if attempt is purpose:
                    await self._require_other_answer_or_raise(TimeRange(end, part.end), error)
                else:
                    await self._open_unread_range(TimeRange(end, part.end), error, advance_over)
        return part.end

    async def _require_other_answer_or_raise(self, unread: TimeRange, error: SourceError) -> None:
        """Raise `error` unless the source answers another request."""
        try:
            await self.require_other_answer(unread, Purpose.UNREAD_RANGES)
        except SourceError:
            raise error from None

    async def require_other_answer(self, unread: TimeRange, purpose: Purpose) -> None:
        """Return once the source has answered a request for another window than the unread one. Raises SourceError."""
        checkpoint = self.checkpoint()
        windows = () if checkpoint is None else unread_range_search.other_windows(checkpoint, unread)
        failure: SourceError | None = None
        for window_to_read in windows:
            try:
                async with self.read(window_to_read, purpose) as results:
                    async for _ in results:
                        pass
                return
            except SourceError as error:
                if not error.failure.may_concern_records:
                    raise
                failure = error
        if failure is not None:
            raise failure

    async def _open_unread_range(
        self, unread: TimeRange, error: SourceError, advance_over: Callable[[TimeRange], AdvanceCheckpoint]
    ) -> None:
        """Commit an unread range together with the cursor that passes it."""

        def advance(checkpoint: Checkpoint) -> Checkpoint:
            return advance_over(unread)(unread_range_search.open_unread_range(checkpoint, unread))

        await self.publisher.publish(self.name, self._pending(unread), advance, persist=True)
        since, until = timestamps.to_iso(unread.start), timestamps.to_iso(unread.end)
        self.metrics.unread_range_opened(self.name, since, until, error.failure.message)
        self.report_unread_ranges()

    def report_unread_ranges(self) -> None:
        """Show the unread ranges in status and metrics, and wake the loop that reads them."""
        unread_ranges = self.unread_ranges()
        if unread_ranges:
            self.unread_ranges_known.set()
        self.reporter.unread_ranges(unread_ranges)

    async def publish(
        self, result: WindowResult, advance: AdvanceCheckpoint, purpose: Purpose, *, persist: bool
    ) -> None:
        """Publish the new events of a result; see ShardPublisher.publish."""
        if result.failure is not None:
            # What was served is published; the cursors stay, and the caller learns that the rest is missing.
            await self._publish_served(result, purpose)
            raise SourceError(result.failure)
        self._report_misplaced(result)
        if not result.proven:
            self.metrics.window_unproven(
                self.name, timestamps.to_iso(result.window.start), result.record_count
            )
        published = await self.publisher.publish(
            self.name,
            self._pending(result.window, result),
            advance,
            persist=persist,
            low_priority=purpose.low_priority,
        )
        self.reporter.events_published(published)

    async def _publish_served(self, result: WindowResult, purpose: Purpose) -> None:
        published = await self.publisher.publish(
            self.name,
            self._pending(result.window, result),
            lambda checkpoint: checkpoint,
            persist=False,
            low_priority=purpose.low_priority,
        )
        self.reporter.events_published(published)

    async def publish_verified_empty(self, empty: TimeRange, purpose: Purpose = Purpose.LIVE) -> None:
        """Move the checkpoint over an empty window, once the source has shown that its answer was one."""
        for part in missing_ranges(self.unread_ranges(), empty):
            await self.source.verify_empty(part, purpose)
            self.last_proof = self.now_ms()
        await self.publisher.publish_empty(self.name, empty, self._advance_over(empty))
        self.report_complete_up_to()

    def report_complete_up_to(self, read_until: int | None = None) -> None:
        """Report the instant up to which everything is published. `read_until`: the end of a window that needed no commit."""
        if (checkpoint := self.checkpoint()) is not None:
            reached = replace(checkpoint, window_end=max(checkpoint.window_end, read_until or 0))
            silence = self.silence.judge(reached, self.organization.added)
            self.reporter.complete_up_to(reached.complete_up_to, silence)

    def report_source_error(self, error: SourceError, purpose: Purpose = Purpose.LIVE) -> None:
        """Show a failure in status and metrics; the source waits by itself.

        A failure that holds up only requests of another purpose than live is a notice, since live events still arrive.
        """
        if purpose is not Purpose.LIVE and error.failure.scope is BackoffScope.PURPOSE:
            self.reporter.purpose_failing(purpose, error.kind, error.failure.message, error.retry_seconds)
            return
        waiting = error.action is RetryAction.WAIT
        self.reporter.failing(error.kind, error.failure.message, error.retry_seconds, waiting=waiting)

    def _report_misplaced(self, result: WindowResult) -> None:
        """Report the records that the source shows in answers about another time; log each once."""
        if new := self.misplaced.add(result, self.now_ms()):
            self.metrics.records_misplaced(self.name, new)
        self.reporter.misplaced(self.misplaced.records)

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
        return checkpoint is None or read_so_far.end - checkpoint.window_end >= self.config.proof_every_ms

    def _advance_over(self, read_so_far: TimeRange) -> AdvanceCheckpoint:
        def advance(checkpoint: Checkpoint) -> Checkpoint:
            return window.advance(checkpoint, read_so_far, self.config, self.organization.backfill_from)

        return advance
