"""Reads the window of a refill for one organization, around what the source fails to serve."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from producer.events import Event
from producer.polling.context import PollingContext
from producer.publishing.refill import RefillWindow
from producer.sources.errors import SourceError
from producer.sources.purpose import Purpose
from producer.sources.window_result import WindowResult
from producer.state.intervals import TimeRange, missing_ranges, split_in_half
from producer.state.refill import RefillCursor
from relay import timestamps
from relay.replays.job import ReplayJob


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the window. `purpose` UNREAD_RANGES: the source failed to serve it, and it is halved where it fails again."""

    range: TimeRange
    purpose: Purpose = Purpose.REFILL


class RefillReader:
    """Reads and publishes the window of one replay; the cursor in the checkpoint moves with the events.

    A part that the source fails to serve is halved, down to a millisecond, as an unread range is. It opens no unread range:
    that loop publishes what no ledger holds, and the ledgers of a window of months ago are gone. A millisecond that fails is
    left out, and the cursor names it.
    """

    def __init__(
        self, context: PollingContext, job: ReplayJob, report: Callable[[str | None], Awaitable[None]]
    ) -> None:
        """`report` is called after each part, with what holds the refill up; None: nothing does."""
        self._context = context
        self._job = job
        self._report = report
        self._record_count = 0
        self._answered = False
        """Whether a request was answered since the last part was halved."""

    @property
    def window(self) -> TimeRange:
        """The window; one without end goes to the moment at which it was asked for."""
        job = self._job
        start = job.from_ms or 0
        return TimeRange(start, max(start, job.requested_at if job.to_ms is None else job.to_ms))

    @property
    def cursor(self) -> RefillCursor:
        """How far the window is read, as committed."""
        checkpoint = self._context.checkpoint()
        known = None if checkpoint is None else checkpoint.refill(self._job.id)
        return known or RefillCursor(self._job.id, self.window.start)

    @property
    def _wanted(self) -> bool:
        return self._context.refills.current(self._context.name) == self._job

    async def read(self, wanted: TimeRange) -> int:
        """Read the next part of the window, and publish every record of it; return the number of records.

        It ends early where the source's clock is, or where the replay is wanted no more. Raises SourceError where the source
        refuses all requests.
        """
        self._record_count = 0
        if not wanted.width:
            await self._publish(wanted.end)
        parts = deque(_parts(wanted, self._context.unread_ranges()))
        while parts:
            part = parts.popleft()
            failure = await self._read_part(part)
            if not self._wanted:
                break
            rest = TimeRange(max(part.range.start, self.cursor.read_to), part.range.end)
            if failure is not None:
                parts.extendleft(reversed(await self._after_failure(part, rest, failure)))
            elif rest.width:
                break
            else:
                await self._report(None)
        return self._record_count

    async def _read_part(self, part: _Part) -> SourceError | None:
        """Publish what the source serves of a part. Return the failure that may lie in its records; None: it served all."""
        async with self._context.read(part.range, part.purpose) as results:
            while True:
                try:
                    result = await anext(results, None)
                except SourceError as error:
                    if not error.failure.may_concern_records:
                        raise
                    return error
                if result is None or not self._wanted:
                    return None
                self._answered = True
                self._record_count += result.record_count
                await self._take(result, part.purpose)
                if result.failure is not None:
                    return SourceError(result.failure)

    async def _take(self, result: WindowResult, purpose: Purpose) -> None:
        """Publish a result, as far as it was read. An empty one is verified first, since nobody asks for it again.

        No ledger knows events of a refill: what is behind the end of what was read would be published again by the next round.
        """
        if result.failure is not None:
            # The records of this millisecond that were served; the others are left out with the end of it.
            await self._publish(result.window.end, result, unread=result.window)
        elif result.covered.width:
            if not result.record_count:
                await self._context.source.verify_empty(result.window, purpose)
            await self._publish(result.covered.end, result)

    async def _after_failure(self, part: _Part, rest: TimeRange, error: SourceError) -> Sequence[_Part]:
        """Return what is to be read in place of the rest of a part: it once more, its halves, or nothing."""
        if part.purpose is Purpose.REFILL or not self._answered:
            await self._require_other_answer(rest, error)
        self._answered = False
        name, since = self._context.name, timestamps.to_iso_seconds(rest.start)
        await self._report(
            f"{name} fails to serve some of its records from {since} on, and the producer reads around them."
            f" {error.failure.message}"
        )
        if part.purpose is Purpose.REFILL:
            return [_Part(rest, Purpose.UNREAD_RANGES)] if rest.width else []
        if rest.width > 1:
            return [_Part(half, Purpose.UNREAD_RANGES) for half in split_in_half(rest)]
        if rest.width:
            await self._publish(rest.end, unread=rest)
        message = error.failure.message
        self._context.metrics.refill_left_out(
            name, self._job.id, timestamps.to_iso(part.range.start), message
        )
        return []

    async def _require_other_answer(self, unread: TimeRange, error: SourceError) -> None:
        """Raise `error` unless the source answers another request: a site that is down altogether is waited for."""
        try:
            await self._context.require_other_answer(unread, Purpose.UNREAD_RANGES)
        except SourceError:
            raise error from None

    async def _publish(
        self, end: int, result: WindowResult | None = None, unread: TimeRange | None = None
    ) -> None:
        events: list[Event] = []
        if result is not None:
            events = [one for one in result.events if result.window.start <= one["created"] < end]
        window = self.window
        refilled = RefillWindow(
            self._job.id,
            window.start,
            end,
            events,
            len(result.unreadable) if result else 0,
            done=end == window.end,
            unread=unread,
        )
        await self._context.publisher.publish_refill(self._context.name, refilled)


def _parts(wanted: TimeRange, unread_ranges: Sequence[TimeRange]) -> Sequence[_Part]:
    """Return the parts of a range, in order: those that the source is known to fail at are searched at once."""
    served = missing_ranges(unread_ranges, wanted)
    parts = [_Part(one) for one in served]
    parts += [_Part(one, Purpose.UNREAD_RANGES) for one in missing_ranges(served, wanted)]
    return sorted(parts, key=lambda part: part.range)
