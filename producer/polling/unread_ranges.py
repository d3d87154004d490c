"""The reading of ranges that the source failed to serve."""

import asyncio
import random

from producer.polling import unread_range_search
from producer.polling.context import PollingContext
from producer.polling.unread_range_search import UnreadRangeSearch, UnreadRangeTiming
from producer.publishing.transaction import AdvanceCheckpoint
from producer.sources.errors import SourceError
from producer.sources.purpose import Purpose
from producer.sources.window_result import WindowResult
from producer.state.checkpoint import Checkpoint
from producer.state.intervals import TimeRange
from relay import timestamps


class UnreadRangeReader:
    """Reads the ranges that the source failed to serve, beside live polling, as a purpose of its own.

    1. A loop that reads a window opens an unread range, in the transaction that moves its cursor over it (`PollingContext`).
    2. Here each part that fails is halved, down to a millisecond; within one, the source reads around single records.
    3. A part is halved only after another request was answered: a site that is down altogether is not to be searched.
    4. Each part that is read is taken out of the unread range in the transaction that publishes its records. So a kill at any
       moment leaves either the unread range or its records, and the next owner of the shard goes on.
    """

    def __init__(self, context: PollingContext, timing: UnreadRangeTiming | None = None) -> None:
        self._context = context
        self._search = UnreadRangeSearch(timing)
        self._answered = False
        """Whether a request was answered since the last part was halved."""

    async def run(self) -> None:
        """Wait for an unread range, and ask for each part that is due. Raises SourceError where the source refuses all requests."""
        context = self._context
        await context.unread_ranges_known.wait()
        self._follow()
        while (part := self._search.due(_now())) is not None:
            await self._ask(part)
            self._follow()
        if not context.unread_ranges():
            context.unread_ranges_known.clear()

    async def _ask(self, part: TimeRange) -> None:
        was_isolated = self._search.isolated(part)
        try:
            records = await self._read(part)
        except SourceError as error:
            if not error.failure.may_concern_records:
                raise
            await self._handle_failure(part, error)
            return
        if was_isolated:
            self._context.metrics.unread_range_closed(self._context.name, *_iso(part), records)
        self._follow()
        if any(
            part.start in unread_range for unread_range in self._context.unread_ranges()
        ):  # there are too many unread ranges to take it out
            self._search.wait(part, _now(), random.random())

    async def _handle_failure(self, part: TimeRange, error: SourceError) -> None:
        context = self._context
        self._follow()  # the beginning of the part may have been read
        unread = TimeRange(
            next(
                (
                    unread_range.start
                    for unread_range in context.unread_ranges()
                    if unread_range.end >= part.end
                ),
                part.start,
            ),
            part.end,
        )
        unread = TimeRange(max(unread.start, part.start), part.end)
        if not self._answered:
            await context.require_other_answer(unread, Purpose.UNREAD_RANGES)
        self._answered = False
        if unread.width == 1 and not self._search.isolated(unread):
            context.metrics.unread_range_isolated(context.name, *_iso(unread), error.failure.message)
        self._search.failed(unread, _now(), random.random())

    async def _read(self, part: TimeRange) -> int:
        """Read a part, publish its records and take it out of its unread range; return the number of records."""
        context, records = self._context, 0
        async with context.read(part, Purpose.UNREAD_RANGES) as results:
            async for result in results:
                self._answered = True
                records += result.record_count
                if not result.record_count:
                    await context.source.verify_empty(result.window, Purpose.UNREAD_RANGES)
                await context.publish(result, _close(result), Purpose.UNREAD_RANGES, persist=True)
        return records

    def _follow(self) -> None:
        self._search.follow(self._context.unread_ranges())
        self._context.report_unread_ranges()


def _close(result: WindowResult) -> AdvanceCheckpoint:
    def close(checkpoint: Checkpoint) -> Checkpoint:
        return unread_range_search.close_unread_range(checkpoint, result.covered)

    return close


def _iso(one: TimeRange) -> tuple[str, str]:
    return timestamps.to_iso(one.start), timestamps.to_iso(one.end)


def _now() -> float:
    return asyncio.get_running_loop().time()
