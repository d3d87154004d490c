import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import structlog

from producer.metrics import ProducerMetrics
from producer.polling import window
from producer.polling.window import PollingConfig
from producer.publishing.publisher import ShardClosedError, ShardPublisher
from producer.publishing.transaction import AdvanceCheckpoint, PendingRecords
from producer.sources.errors import ErrorKind, RetryAction
from producer.sources.jira_cloud.mapping import restore_json, to_event
from producer.sources.jira_cloud.page import Page
from producer.sources.jira_cloud.pager import PAGE_SIZE, Pager, PageRequest
from producer.sources.jira_cloud.source import JiraCloudSource, SourceError
from producer.sources.window_result import WindowResult
from producer.state import checkpoint as checkpoints
from producer.state.checkpoint import Checkpoint
from producer.state.intervals import TimeRange
from producer.status_reporter import StatusReporter
from relay import timestamps
from relay.aio import cancellation_requested
from relay.errors import RelayError
from relay.organizations import Organization

REREAD_CHECK_SECONDS = 30.0
BACKFILL_CHECK_SECONDS = 60.0
SOURCE_ERROR_PAUSE_SECONDS = 1.0
DEFECT_SECONDS = 60.0
REWIND_FROM_MS = 5_000
PAGE_ATTEMPTS = 5
TRANSIENT = {RetryAction.RETRY, RetryAction.WAIT}

PollingRound = Callable[[], Awaitable[None]]

log = structlog.get_logger(__name__)


class Poller:
    """Follows one organization: live rounds, re-reads, and history, each at its own pace, through one publisher.

    Whatever Jira answers is waited out or told, and so is a defect of ours, which ends none of the three; it ends by
    ShardClosedError or by cancellation.
    """

    def __init__(
        self,
        organization: Organization,
        publisher: ShardPublisher,
        source: JiraCloudSource,
        reporter: StatusReporter,
        metrics: ProducerMetrics,
        config: PollingConfig,
        interval_seconds: float,
        now_ms: Callable[[], int],
    ) -> None:
        self._organization = organization
        self._name = organization.name
        self._publisher = publisher
        self._source = source
        self._reporter = reporter
        self._metrics = metrics
        self._config = config
        self._interval_seconds = organization.interval_seconds or interval_seconds
        self._now_ms = now_ms
        self._overlap = config.overlap
        self._last_probe: int | None = None
        self._first_contact: int | None = None
        self._checkpoint_ready = asyncio.Event()
        self._gap_checked = False

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._repeat(self._live_round, self._interval_seconds, jitter_start=True))
                tasks.create_task(self._repeat_once_ready(self._reread_round, REREAD_CHECK_SECONDS))
                tasks.create_task(self._reporter.heartbeat())
                if self._organization.backfill_from is not None:
                    tasks.create_task(self._repeat_once_ready(self._backfill_round, BACKFILL_CHECK_SECONDS))
        except ExceptionGroup as errors:
            if errors.split(ShardClosedError)[1] is not None:
                raise
            raise ShardClosedError(str(errors.exceptions[0])) from errors

    async def _repeat_once_ready(self, polling_round: PollingRound, pause_seconds: float) -> None:
        await self._checkpoint_ready.wait()
        await self._repeat(polling_round, pause_seconds)

    async def _repeat(
        self, polling_round: PollingRound, pause_seconds: float, *, jitter_start: bool = False
    ) -> None:
        """Do it again and again; after a refusal the site's own throttle is what waits."""
        loop = asyncio.get_running_loop()
        if jitter_start and self._publisher.checkpoint(self._name) is not None:
            await asyncio.sleep(random.random() * min(pause_seconds, 5))
        while True:
            started = loop.time()
            try:
                await polling_round()
            except SourceError as source_error:
                await self._report_source_error(source_error)
                continue
            except ShardClosedError:
                raise
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and cancellation_requested():
                    raise
                await self._report_own_error(error)
                continue
            await asyncio.sleep(max(0.0, pause_seconds * random.uniform(0.95, 1.0) - (loop.time() - started)))

    async def _report_source_error(self, source_error: SourceError) -> None:
        """Tell of it; the rest of the wait is the site's, which keeps everybody out meanwhile."""
        failure = source_error.failure
        waiting = failure.action is RetryAction.WAIT
        self._reporter.failing(failure.kind, failure.message, source_error.retry_seconds, waiting=waiting)
        await asyncio.sleep(SOURCE_ERROR_PAUSE_SECONDS)

    async def _report_own_error(self, error: BaseException) -> None:
        """What goes wrong on our side with this organization is told, and holds up nobody else."""
        if isinstance(error, RelayError):
            kind, reason = "too-large", f"{self._name}: {error}"
        else:
            kind = "defect"
            reason = f"{self._name}: a defect of the relay ({type(error).__name__}); its log has the details."
            log.error("A round ended by a defect.", organization=self._name, exc_info=error)
        self._reporter.failing(kind, reason, DEFECT_SECONDS, waiting=False)
        await asyncio.sleep(DEFECT_SECONDS)

    # one round of live polling

    async def _live_round(self) -> None:
        checkpoint_before = self._publisher.checkpoint(self._name)
        await self._source.bind_identity(checkpoint_before.cloud_id if checkpoint_before else None)
        checkpoint = await self._ensure_checkpoint()
        wanted = window.live(checkpoint, self._until(), self._overlap, self._organization.backfill_from)
        progress = await self._read_window(wanted)
        if progress.record_count:
            self._overlap = window.next_overlap(progress.created, progress.end, self._config)
            self._reporter.complete_up_to(progress.end)
        elif not wanted.width:  # a clock is wrong, and without an answer nobody would say so
            await self._source.probe_clock()
        elif window.probe_due(self._last_probe, self._now_ms()):
            await self._publish_verified_empty(TimeRange(wanted.start, progress.end))
        self._gap_checked = False  # the next outage begins here
        self._reporter.active(self._source.clock_skew.ahead if self._source.clock_skew.skewed else 0)

    async def _ensure_checkpoint(self) -> Checkpoint:
        """The checkpoint: the first, one that is set back after a clock went wrong, or as it is."""
        checkpoint = self._publisher.checkpoint(self._name)
        if checkpoint is None:
            self._first_contact = await self._source.probe_clock()
            checkpoint = await self._publisher.write_checkpoint(self._name, self._first_checkpoint)
        elif checkpoint.window_end > self._until() + REWIND_FROM_MS:
            log.warning(
                "The checkpoint lies in the future, a clock was wrong; it is set back.",
                organization=self._name,
                checkpoint=timestamps.to_iso(checkpoint.window_end),
            )
            checkpoint = await self._publisher.write_checkpoint(self._name, self._rewound_checkpoint)
        elif not self._gap_checked:
            await self._report_gap(checkpoint, self._until())
        if checkpoint.cloud_id is None and self._source.cloud_id is not None:
            checkpoint = await self._publisher.write_checkpoint(self._name, self._bound_checkpoint)
        self._checkpoint_ready.set()
        return checkpoint

    def _first_checkpoint(self, checkpoint: Checkpoint | None) -> Checkpoint:
        """What happens from the moment somebody added the organization is live, however late we come; and by Jira's clock, not
        by one of ours: to one that is ahead, what happens next would be history, and history is live to one that is behind.
        """
        since = min(
            self._organization.added, self._until() if self._first_contact is None else self._first_contact
        )
        return checkpoint or checkpoints.new_checkpoint(
            self._name, since, now=self._now_ms(), cloud_id=self._source.cloud_id
        )

    def _rewound_checkpoint(self, checkpoint: Checkpoint | None) -> Checkpoint:
        return window.rewind(self._first_checkpoint(checkpoint), self._until())

    def _bound_checkpoint(self, checkpoint: Checkpoint | None) -> Checkpoint:
        return replace(self._first_checkpoint(checkpoint), cloud_id=self._source.cloud_id)

    async def _report_gap(self, checkpoint: Checkpoint, until: int) -> None:
        if until - checkpoint.window_end < timestamps.DAY_MS:
            return
        oldest = await self._source.oldest()
        self._gap_checked = True
        if oldest is not None and (lost := window.find_gap(checkpoint, oldest, until)) is not None:
            self._metrics.gap_found(self._name, timestamps.to_iso(lost.start), timestamps.to_iso(lost.end))

    def _until(self) -> int:
        return self._source.clock_skew.correct(self._now_ms()) - self._config.settle

    async def _publish_verified_empty(self, empty: TimeRange) -> None:
        """An empty answer proves nothing by itself: the checkpoint moves only when Jira shows that it does answer."""
        await self._source.verify_nonempty(empty)
        self._last_probe = self._now_ms()
        pending = PendingRecords([], [], empty, self._overlap, self._organization.backfill_from, restore_json)
        await self._publisher.publish(self._name, pending, self._advance_over(empty), persist=True)
        self._reporter.complete_up_to(empty.end)

    # re-reads and history

    async def _reread_round(self) -> None:
        checkpoint = self._publisher.checkpoint(self._name)
        if checkpoint is None:
            return
        wanted = window.reread(checkpoint, self._until(), self._config, self._organization.backfill_from)
        if wanted is None:
            return
        progress = await self._read_window(wanted, low_priority=True)
        if not progress.record_count:
            await self._publish_verified_empty(TimeRange(wanted.start, progress.end))

    async def _backfill_round(self) -> None:
        days = 1
        while (checkpoint := self._publisher.checkpoint(self._name)) is not None:
            wanted = window.backfill(checkpoint, self._organization.backfill_from, days)
            if wanted is None:
                self._reporter.backfilled_to(None)
                return
            self._reporter.backfilled_to(wanted.end)
            pager, record_count = Pager([wanted]), 0
            while (result := await self._next_result(pager, low_priority=True)) is not None:
                record_count += result.record_count
                if not result.record_count:
                    await self._source.verify_nonempty(result.window)
                await self._publish(result, _mark_backfilled(result.window), persist=True, low_priority=True)
            days = 2 * days if record_count < PAGE_SIZE else 1

    async def _read_window(self, wanted: TimeRange, *, low_priority: bool = False) -> "WindowProgress":
        """Read a window to its end, publishing each result as it is read; a `low_priority` one lets others go first.

        The checkpoint moves with what is new, or where it has fallen behind; never while all answers were empty.
        """
        pager = Pager([wanted])
        progress = WindowProgress(wanted.start)
        while (result := await self._next_result(pager, low_priority=low_priority)) is not None:
            progress.add(result)
            read_so_far = TimeRange(wanted.start, progress.end)
            at_end = low_priority and result.window.end == wanted.end
            persist = progress.record_count > 0 and (at_end or self._checkpoint_lags(read_so_far))
            await self._publish(
                result, self._advance_over(read_so_far), persist=persist, low_priority=low_priority
            )
        return progress

    def _checkpoint_lags(self, read_so_far: TimeRange) -> bool:
        checkpoint = self._publisher.checkpoint(self._name)
        return checkpoint is None or read_so_far.end - checkpoint.window_end >= window.PROBE_EVERY

    def _advance_over(self, read_so_far: TimeRange) -> AdvanceCheckpoint:
        def advance(checkpoint: Checkpoint) -> Checkpoint:
            return window.advance(checkpoint, read_so_far, self._config, self._organization.backfill_from)

        return advance

    async def _next_result(self, pager: Pager, *, low_priority: bool) -> WindowResult | None:
        """Ask Jira until the next result is complete; None: the pager has read all."""
        while (request := pager.next_request) is not None:
            try:
                page = await self._fetch_page(request, low_priority=low_priority)
            except SourceError as source_error:
                if source_error.failure.action is not RetryAction.REDUCE_PAGE:
                    raise
                if not pager.shrink_page():
                    raise self._source.back_off(
                        replace(source_error.failure, kind=ErrorKind.BROKEN_ANSWER)
                    ) from source_error
                continue
            items = [to_event(record, self._name) for record in page.records]
            if (result := pager.add(items, page.size, page.date_ms)) is not None:
                return result
        return None

    async def _fetch_page(self, request: PageRequest, *, low_priority: bool) -> Page:
        """Ask for it some times: a window of many pages that began anew after each failure would never end where one in ten fails."""
        for _ in range(PAGE_ATTEMPTS - 1):
            try:
                return await self._source.fetch_page(request, low_priority=low_priority)
            except SourceError as source_error:
                if source_error.failure.action not in TRANSIENT:
                    raise
                await self._report_source_error(source_error)
        return await self._source.fetch_page(request, low_priority=low_priority)

    async def _publish(
        self, result: WindowResult, advance: AdvanceCheckpoint, *, persist: bool, low_priority: bool
    ) -> None:
        if not result.proven:
            self._metrics.window_unproven(
                self._name, timestamps.to_iso(result.window.start), result.record_count
            )
        pending = PendingRecords(
            list(result.events),
            list(result.unreadable),
            result.window,
            self._overlap,
            self._organization.backfill_from,
            restore_json,
        )
        published = await self._publisher.publish(
            self._name, pending, advance, persist=persist, low_priority=low_priority
        )
        self._reporter.events_published(published)


@dataclass(slots=True)
class WindowProgress:
    """What has been read of a window so far: up to `end`, so many records; when the events were created."""

    end: int
    record_count: int = 0
    created: list[int] = field(default_factory=list)

    def add(self, result: WindowResult) -> None:
        self.end = result.covered.end
        self.record_count += result.record_count
        self.created += [event["created"] for event in result.events]


def _mark_backfilled(read_window: TimeRange) -> AdvanceCheckpoint:
    return lambda checkpoint: window.mark_backfilled(checkpoint, read_window)
