"""The poller of one organization: a loop for each purpose."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from producer.polling.backfill import backfill_round
from producer.polling.context import PollingContext
from producer.polling.gap import gap_round
from producer.polling.letters import LetterRedriver
from producer.polling.live import LiveRound
from producer.polling.refill import refill_round
from producer.polling.reread import reread_round
from producer.polling.round_phase import RoundPhase
from producer.polling.unread_range_search import UnreadRangeTiming
from producer.polling.unread_ranges import UnreadRangeReader
from producer.publishing.publisher import ShardClosedError
from producer.sources.errors import SourceError
from producer.sources.purpose import Purpose
from relay.aio import cancellation_requested
from relay.errors import RelayError

PollingRound = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class PollerTiming:
    """Pauses of the loops, in seconds."""

    reread_check_seconds: float = 30.0
    backfill_check_seconds: float = 60.0
    source_error_pause_seconds: float = 1.0
    """The least time between two tries; the source's back-off is usually longer."""
    defect_seconds: float = 60.0
    start_jitter_seconds: float = 5.0
    """At most; a shard of a thousand organizations does not begin all of them in one moment."""
    gap_check_seconds: float = 1.0
    """The least time between two looks for a gap; each waits for an outage first."""
    unread_range_check_seconds: float = 5.0
    """How often the parts of unread ranges that are due are asked for."""
    refill_check_seconds: float = 1.0
    """The least time between two rounds of refill; each waits for a replay first."""
    unread_ranges: UnreadRangeTiming = field(default_factory=UnreadRangeTiming)


class Poller:
    """Polls one organization: live rounds, re-reads, backfill, the look for gaps, unread ranges, refills and redrives, each in a loop
    of its own, through one publisher.

    A failure of the source is reported and waited out, and so is a defect of the relay: neither ends a loop. The poller
    ends by ShardClosedError or by cancellation.
    """

    def __init__(
        self,
        context: PollingContext,
        interval_seconds: float,
        timing: PollerTiming | None = None,
        redriver: LetterRedriver | None = None,
    ) -> None:
        """`interval_seconds`: between two live rounds, as decided by the caller. `redriver` None: no dead letter is redriven."""
        self._context = context
        self._interval_seconds = interval_seconds
        self._timing = timing or PollerTiming()
        self._checkpoint_ready = asyncio.Event()
        self._live = LiveRound(context, self._checkpoint_ready)
        self._redriver = redriver
        self._unread_ranges = UnreadRangeReader(context, self._timing.unread_ranges)

    async def run(self) -> None:
        context, timing = self._context, self._timing
        rounds = reread_round, backfill_round, gap_round, refill_round
        reread, backfill, gap, refill = (partial(one, context) for one in rounds)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(
                    self._repeat(self._live.run, Purpose.LIVE, self._interval_seconds, jitter_start=True)
                )
                tasks.create_task(
                    self._repeat_once_ready(reread, Purpose.REREAD, timing.reread_check_seconds)
                )
                tasks.create_task(self._repeat_once_ready(gap, Purpose.GAP_CHECK, timing.gap_check_seconds))
                tasks.create_task(
                    self._repeat_once_ready(
                        self._unread_ranges.run, Purpose.UNREAD_RANGES, timing.unread_range_check_seconds
                    )
                )
                tasks.create_task(
                    self._repeat_once_ready(refill, Purpose.REFILL, timing.refill_check_seconds)
                )
                tasks.create_task(context.reporter.heartbeat())
                if self._redriver is not None:
                    redrive = partial(self._redriver.run, context)
                    tasks.create_task(
                        self._repeat_once_ready(redrive, Purpose.REFILL, timing.refill_check_seconds)
                    )
                if context.organization.backfill_from is not None:
                    tasks.create_task(
                        self._repeat_once_ready(backfill, Purpose.BACKFILL, timing.backfill_check_seconds)
                    )
        except ExceptionGroup as errors:
            if errors.split(ShardClosedError)[1] is not None:
                raise
            raise ShardClosedError(str(errors.exceptions[0])) from errors

    async def _repeat_once_ready(
        self, polling_round: PollingRound, purpose: Purpose, pause_seconds: float
    ) -> None:
        await self._checkpoint_ready.wait()
        await self._repeat(polling_round, purpose, pause_seconds)

    async def _repeat(
        self,
        polling_round: PollingRound,
        purpose: Purpose,
        pause_seconds: float,
        *,
        jitter_start: bool = False,
    ) -> None:
        """Run a round for ever, `pause_seconds` from begin to begin at most; after a failure the source's back-off waits."""
        loop, round_phase = asyncio.get_running_loop(), RoundPhase(pause_seconds)
        if jitter_start and self._context.checkpoint() is not None:
            await asyncio.sleep(random.random() * min(pause_seconds, self._timing.start_jitter_seconds))
        while True:
            started = loop.time()
            try:
                await polling_round()
                self._context.reporter.purpose_succeeded(purpose)
            except SourceError as source_error:
                self._context.report_source_error(source_error, purpose)
                await asyncio.sleep(self._timing.source_error_pause_seconds)
                continue
            except ShardClosedError:
                raise
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and cancellation_requested():
                    raise
                self._report_own_error(error, purpose)
                await asyncio.sleep(self._timing.defect_seconds)
                continue
            await asyncio.sleep(max(0.0, started + round_phase.seconds_to_next(started) - loop.time()))

    def _report_own_error(self, error: BaseException, purpose: Purpose) -> None:
        """Show a fault on the relay's side in this organization's status; the other organizations go on."""
        reporter, seconds = self._context.reporter, self._timing.defect_seconds
        if isinstance(error, RelayError):
            reporter.failing("too-large", f"{self._context.name}: {error}", seconds, waiting=False)
        else:
            reporter.failing_by_defect(purpose, error, seconds)
