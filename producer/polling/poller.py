import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import structlog

from producer.metrics import Metrics
from producer.polling import window
from producer.polling.window import Rules
from producer.publishing.publisher import Desk, DeskClosedError
from producer.publishing.transaction import Advance, Finding
from producer.sources.errors import Action, Kind
from producer.sources.jira_cloud.mapping import read
from producer.sources.jira_cloud.page import Page
from producer.sources.jira_cloud.pager import PAGE, Ask, Walk
from producer.sources.jira_cloud.source import RefusedError, Site
from producer.sources.window_result import Piece
from producer.state import checkpoint as checkpoints
from producer.state.checkpoint import Checkpoint
from producer.state.intervals import Range
from producer.status_reporter import Report
from relay import timestamps
from relay.aio import cancellation_requested
from relay.errors import RelayError
from relay.organizations import Organization

REREAD_LOOK_SECONDS = 30.0
BACKFILL_LOOK_SECONDS = 60.0
REFUSED_SECONDS = 1.0
DEFECT_SECONDS = 60.0
SET_BACK_FROM_MS = 5_000
TRIES_OF_A_PAGE = 5
PASSING = {Action.RETRY, Action.WAIT}

Work = Callable[[], Awaitable[None]]

log = structlog.get_logger(__name__)


class Poller:
    """Follows one organization: live rounds, re-reads, and history, each at its own pace, through one desk.

    Whatever Jira answers is waited out or told, and so is a defect of ours, which ends none of the three; it ends by
    DeskClosedError or by cancellation.
    """

    def __init__(
        self,
        organization: Organization,
        desk: Desk,
        site: Site,
        report: Report,
        metrics: Metrics,
        rules: Rules,
        interval_seconds: float,
        now_ms: Callable[[], int],
    ) -> None:
        self._organization = organization
        self._name = organization.name
        self._desk = desk
        self._site = site
        self._report = report
        self._metrics = metrics
        self._rules = rules
        self._interval_seconds = organization.interval_seconds or interval_seconds
        self._now_ms = now_ms
        self._overlap = rules.overlap
        self._probed: int | None = None
        self._met: int | None = None
        self._began = asyncio.Event()
        self._gap_looked_for = False

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._repeat(self._live, self._interval_seconds, spread=True))
                group.create_task(self._after_begin(self._deep, REREAD_LOOK_SECONDS))
                group.create_task(self._report.renew_for_ever())
                if self._organization.backfill_from is not None:
                    group.create_task(self._after_begin(self._backfill, BACKFILL_LOOK_SECONDS))
        except ExceptionGroup as errors:
            if errors.split(DeskClosedError)[1] is not None:
                raise
            raise DeskClosedError(str(errors.exceptions[0])) from errors

    async def _after_begin(self, work: Work, pause_seconds: float) -> None:
        await self._began.wait()
        await self._repeat(work, pause_seconds)

    async def _repeat(self, work: Work, pause_seconds: float, *, spread: bool = False) -> None:
        """Do it again and again; after a refusal the site's own gate is what waits."""
        loop = asyncio.get_running_loop()
        if spread and self._desk.checkpoint(self._name) is not None:
            await asyncio.sleep(random.random() * min(pause_seconds, 5))
        while True:
            started = loop.time()
            try:
                await work()
            except RefusedError as refused:
                await self._rest(refused)
                continue
            except DeskClosedError:
                raise
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and cancellation_requested():
                    raise
                await self._sit_out(error)
                continue
            await asyncio.sleep(max(0.0, pause_seconds * random.uniform(0.95, 1.0) - (loop.time() - started)))

    async def _rest(self, refused: RefusedError) -> None:
        """Tell of it; the rest of the wait is the site's, which keeps everybody out meanwhile."""
        failure = refused.failure
        waiting = failure.action is Action.WAIT
        self._report.failing(failure.kind, failure.message, refused.retry_seconds, waiting=waiting)
        await asyncio.sleep(REFUSED_SECONDS)

    async def _sit_out(self, error: BaseException) -> None:
        """What goes wrong on our side with this organization is told, and holds up nobody else."""
        if isinstance(error, RelayError):
            kind, reason = "too-large", f"{self._name}: {error}"
        else:
            kind = "defect"
            reason = f"{self._name}: a defect of the relay ({type(error).__name__}); its log has the details."
            log.error("A round ended by a defect.", organization=self._name, exc_info=error)
        self._report.failing(kind, reason, DEFECT_SECONDS, waiting=False)
        await asyncio.sleep(DEFECT_SECONDS)

    # one round of live polling

    async def _live(self) -> None:
        known = self._desk.checkpoint(self._name)
        await self._site.introduce(known.cloud_id if known else None)
        checkpoint = await self._begun()
        wanted = window.live(checkpoint, self._until(), self._overlap, self._organization.backfill_from)
        walked = await self._walk(wanted)
        if walked.rows:
            self._overlap = window.overlap_after(walked.created, walked.end, self._rules)
            self._report.complete_up_to(walked.end)
        elif not wanted.width:  # a clock is wrong, and without an answer nobody would say so
            await self._site.meet()
        elif window.probe_due(self._probed, self._now_ms()):
            await self._prove_empty(Range(wanted.start, walked.end))
        self._gap_looked_for = False  # the next outage begins here
        self._report.active(self._site.clock.ahead if self._site.clock.skewed else 0)

    async def _begun(self) -> Checkpoint:
        """The checkpoint: the first, one that is set back after a clock went wrong, or as it is."""
        checkpoint = self._desk.checkpoint(self._name)
        if checkpoint is None:
            self._met = await self._site.meet()
            checkpoint = await self._desk.write(self._name, self._first)
        elif checkpoint.window_end > self._until() + SET_BACK_FROM_MS:
            log.warning(
                "The checkpoint lies in the future, a clock was wrong; it is set back.",
                organization=self._name,
                checkpoint=timestamps.to_text(checkpoint.window_end),
            )
            checkpoint = await self._desk.write(self._name, self._set_back)
        elif not self._gap_looked_for:
            await self._name_gap(checkpoint, self._until())
        if checkpoint.cloud_id is None and self._site.cloud_id is not None:
            checkpoint = await self._desk.write(self._name, self._bound)
        self._began.set()
        return checkpoint

    def _first(self, checkpoint: Checkpoint | None) -> Checkpoint:
        """What happens from the moment somebody added the organization is live, however late we come; and by Jira's clock, not
        by one of ours: to one that is ahead, what happens next would be history, and history is live to one that is behind.
        """
        since = min(self._organization.added, self._until() if self._met is None else self._met)
        return checkpoint or checkpoints.begin(
            self._name, since, now=self._now_ms(), cloud_id=self._site.cloud_id
        )

    def _set_back(self, checkpoint: Checkpoint | None) -> Checkpoint:
        return window.set_back(self._first(checkpoint), self._until())

    def _bound(self, checkpoint: Checkpoint | None) -> Checkpoint:
        return replace(self._first(checkpoint), cloud_id=self._site.cloud_id)

    async def _name_gap(self, checkpoint: Checkpoint, until: int) -> None:
        if until - checkpoint.window_end < timestamps.DAY:
            return
        oldest = await self._site.oldest()
        self._gap_looked_for = True
        if oldest is not None and (lost := window.gap(checkpoint, oldest, until)) is not None:
            self._metrics.gap(self._name, timestamps.to_text(lost.start), timestamps.to_text(lost.end))

    def _until(self) -> int:
        return self._site.clock.correct(self._now_ms()) - self._rules.settle

    async def _prove_empty(self, empty: Range) -> None:
        """An empty answer proves nothing by itself: the checkpoint moves only when Jira shows that it does answer."""
        await self._site.prove_alive(empty)
        self._probed = self._now_ms()
        finding = Finding([], [], empty, self._overlap, self._organization.backfill_from)
        await self._desk.publish(self._name, finding, self._advancing(empty), persist=True)
        self._report.complete_up_to(empty.end)

    # re-reads and history

    async def _deep(self) -> None:
        checkpoint = self._desk.checkpoint(self._name)
        if checkpoint is None:
            return
        wanted = window.deep(checkpoint, self._until(), self._rules, self._organization.backfill_from)
        if wanted is None:
            return
        walked = await self._walk(wanted, deep=True)
        if not walked.rows:
            await self._prove_empty(Range(wanted.start, walked.end))

    async def _backfill(self) -> None:
        days = 1
        while (checkpoint := self._desk.checkpoint(self._name)) is not None:
            wanted = window.backfill(checkpoint, self._organization.backfill_from, days)
            if wanted is None:
                self._report.backfilled_to(None)
                return
            self._report.backfilled_to(wanted.end)
            walk, rows = Walk([wanted]), 0
            while (piece := await self._next_piece(walk, patient=True)) is not None:
                rows += piece.rows
                if not piece.rows:
                    await self._site.prove_alive(piece.window)
                await self._publish(piece, _covering(piece.window), persist=True, history=True)
            days = 2 * days if rows < PAGE else 1

    async def _walk(self, wanted: Range, *, deep: bool = False) -> "Walked":
        """Read a window to its end, publishing each piece as it is read; a `deep` one lets others go first.

        The checkpoint moves with what is new, or where it has fallen behind; never while all answers were empty.
        """
        walk = Walk([wanted])
        walked = Walked(wanted.start)
        while (piece := await self._next_piece(walk, patient=deep)) is not None:
            walked.add(piece)
            read_so_far = Range(wanted.start, walked.end)
            at_end = deep and piece.window.end == wanted.end
            persist = walked.rows > 0 and (at_end or self._behind(read_so_far))
            await self._publish(piece, self._advancing(read_so_far), persist=persist, history=deep)
        return walked

    def _behind(self, read_so_far: Range) -> bool:
        checkpoint = self._desk.checkpoint(self._name)
        return checkpoint is None or read_so_far.end - checkpoint.window_end >= window.PROBE_EVERY

    def _advancing(self, read_so_far: Range) -> Advance:
        def advance(checkpoint: Checkpoint) -> Checkpoint:
            return window.advance(checkpoint, read_so_far, self._rules, self._organization.backfill_from)

        return advance

    async def _next_piece(self, walk: Walk, *, patient: bool) -> Piece | None:
        """Ask Jira until a piece of the walk is read; None: the walk has ended."""
        while (ask := walk.ask) is not None:
            try:
                page = await self._page(ask, patient=patient)
            except RefusedError as refused:
                if refused.failure.action is not Action.SMALLER:
                    raise
                if not walk.smaller():
                    raise self._site.refusal(replace(refused.failure, kind=Kind.BROKEN_ANSWER)) from refused
                continue
            items = [read(record, self._name) for record in page.records]
            if (piece := walk.add(items, page.size, page.date_ms)) is not None:
                return piece
        return None

    async def _page(self, ask: Ask, *, patient: bool) -> Page:
        """Ask for it some times: a walk of many pages that began anew after each failure would never end where one in ten fails."""
        for _ in range(TRIES_OF_A_PAGE - 1):
            try:
                return await self._site.page(ask, patient=patient)
            except RefusedError as refused:
                if refused.failure.action not in PASSING:
                    raise
                await self._rest(refused)
        return await self._site.page(ask, patient=patient)

    async def _publish(self, piece: Piece, advance: Advance, *, persist: bool, history: bool) -> None:
        if not piece.proven:
            self._metrics.unproven(self._name, timestamps.to_text(piece.window.start), piece.rows)
        finding = Finding(
            list(piece.events),
            list(piece.unreadable),
            piece.window,
            self._overlap,
            self._organization.backfill_from,
        )
        published = await self._desk.publish(self._name, finding, advance, persist=persist, history=history)
        self._report.published(published)


@dataclass(slots=True)
class Walked:
    """What a walk has read so far: up to `end`, so many rows; when the events were created."""

    end: int
    rows: int = 0
    created: list[int] = field(default_factory=list)

    def add(self, piece: Piece) -> None:
        self.end = piece.covered.end
        self.rows += piece.rows
        self.created += [event["created"] for event in piece.events]


def _covering(read_window: Range) -> Advance:
    return lambda checkpoint: window.cover(checkpoint, read_window)
