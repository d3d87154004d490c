"""Backfill: one window of the history of an organization."""

from producer.polling import window
from producer.polling.context import PollingContext
from producer.publishing.transaction import AdvanceCheckpoint
from producer.sources.purpose import Purpose
from producer.sources.window_result import WindowResult
from producer.state.intervals import TimeRange


async def backfill_round(context: PollingContext) -> None:
    """Read history that is not covered yet, newest day first, until all of it is.

    Windows of quiet days grow, so that years without records cost few requests.
    """
    days = 1
    while (checkpoint := context.checkpoint()) is not None:
        wanted = window.backfill(checkpoint, context.organization.backfill_from, days)
        if wanted is None:
            context.reporter.backfilled_to(None)
            return
        context.reporter.backfilled_to(wanted.end)
        record_count = await _read_and_publish(context, wanted)
        days = 2 * days if record_count < context.source.traits.page_records else 1


async def _read_and_publish(context: PollingContext, wanted: TimeRange) -> int:
    """Publish each result of a window of history; return the number of records read.

    Each result is marked as covered for ever, so an empty one is verified first.
    """
    record_count = 0

    async def publish(result: WindowResult) -> None:
        nonlocal record_count
        record_count += result.record_count
        if not result.record_count:
            await context.source.verify_empty(result.window, Purpose.BACKFILL)
        await context.publish(result, _mark_backfilled(result.covered), Purpose.BACKFILL, persist=True)

    await context.read_around_unread_ranges(wanted, Purpose.BACKFILL, publish, _mark_backfilled)
    return record_count


def _mark_backfilled(read: TimeRange) -> AdvanceCheckpoint:
    return lambda checkpoint: window.mark_backfilled(checkpoint, read)
