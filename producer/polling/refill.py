"""Refill: the window of a replay, read from the source again for one destination that lost its events."""

from collections.abc import Sequence

from producer.events import Event
from producer.polling.context import PollingContext
from producer.publishing.refill import RefillWindow
from producer.sources.errors import SourceError
from producer.sources.purpose import Purpose
from producer.sources.window_result import WindowResult
from producer.state.checkpoint import Checkpoint
from producer.state.intervals import TimeRange, missing_ranges
from producer.state.refill import RefillCursor
from relay.replays.job import ReplayJob
from relay.replays.refill import RefillProgress, RefillState
from relay.timestamps import DAY_MS, to_iso_seconds


async def refill_round(context: PollingContext) -> None:
    """Wait for a refill of this organization, and read its window to the end, or until it is paused or cancelled.

    1. The cursor in the checkpoint moves in the transactions that publish the events. So a kill at any moment repeats none.
    2. The report on the topic of replays follows the commit. A report that is lost is written again: the replay is wanted
       until the topic has it.
    """
    job = await context.refills.wait_for(context.name)
    await _forget_ended(context)
    days = 1
    while context.refills.current(context.name) == job:
        cursor = _cursor(context, job)
        if cursor.done:
            await _report(context, job, "done", _left_out(context, job))
            return
        try:
            count = await _read(context, job, cursor, days)
        except SourceError as error:
            await _report(context, job, "running", f"{context.name} cannot be read: {error.failure.message}")
            raise
        if _cursor(context, job) == cursor:
            return  # the source's clock has not reached the end of the window
        await _report(context, job, "running", None)
        days = 2 * days if count < context.source.traits.page_records else 1


def _cursor(context: PollingContext, job: ReplayJob) -> RefillCursor:
    checkpoint = context.checkpoint()
    known = None if checkpoint is None else checkpoint.refill(job.id)
    return known or RefillCursor(job.id, _start(job))


async def _read(context: PollingContext, job: ReplayJob, cursor: RefillCursor, days: int) -> int:
    """Read the next `days` of the window, and publish every record of them; return the number of records.

    Ranges that the source fails to serve are left out: the loop of unread ranges asks for them, and the report names them.
    """
    wanted = TimeRange(cursor.read_to, max(cursor.read_to, min(_end(job), cursor.read_to + days * DAY_MS)))
    count = 0
    for part in missing_ranges(context.unread_ranges(), wanted):
        async with context.read(part, Purpose.REFILL) as results:
            async for result in results:
                if context.refills.current(context.name) != job:
                    return count
                count += result.record_count
                await _publish(context, job, result)
    reached = _cursor(context, job).read_to
    if not missing_ranges(context.unread_ranges(), TimeRange(reached, wanted.end)):
        await _publish_part(context, job, wanted.end)
    return count


async def _publish(context: PollingContext, job: ReplayJob, result: WindowResult) -> None:
    """Publish a part, as far as it was read. An empty one is verified first, since nobody asks for it again.

    No ledger knows events of a refill: what is behind the end of what was read would be published again by the next round.
    """
    if result.failure is not None:
        raise SourceError(result.failure)
    if not result.covered.width:
        return  # the source's clock is before it, or its answer was about another time, which the source raises next
    if not result.record_count:
        await context.source.verify_empty(result.window, Purpose.REFILL)
    events = [one for one in result.events if one["created"] in result.covered]
    await _publish_part(context, job, result.covered.end, events, len(result.unreadable))


async def _publish_part(
    context: PollingContext, job: ReplayJob, end: int, events: Sequence[Event] = (), unreadable: int = 0
) -> None:
    part = RefillWindow(job.id, _start(job), end, events, unreadable, done=end == _end(job))
    await context.publisher.publish_refill(context.name, part)


def _start(job: ReplayJob) -> int:
    return job.from_ms or 0


def _end(job: ReplayJob) -> int:
    """Return the end of the window; one without end goes to the moment at which it was asked for."""
    return max(_start(job), job.requested_at if job.to_ms is None else job.to_ms)


async def _forget_ended(context: PollingContext) -> None:
    """Take the cursors of ended replays out of the checkpoint."""
    checkpoint = context.checkpoint()
    if checkpoint is None or not any(context.refills.is_over(one.id) for one in checkpoint.refills):
        return

    def forget(known: Checkpoint | None) -> Checkpoint:
        return (known or checkpoint).without_refills(context.refills.is_over)

    await context.publisher.write_checkpoint(context.name, forget)


async def _report(context: PollingContext, job: ReplayJob, state: RefillState, reason: str | None) -> None:
    cursor, now = _cursor(context, job), context.now_ms()
    await context.refills.report(
        RefillProgress(
            job.id,
            context.name,
            state,
            now,
            now,
            reason,
            cursor.read_to,
            cursor.events,
            cursor.unreadable,
            cursor.end,
        )
    )


def _left_out(context: PollingContext, job: ReplayJob) -> str | None:
    """Return what the refill lacks, in words. None: nothing."""
    texts = []
    cursor = _cursor(context, job)
    if cursor.unreadable:
        texts.append(
            f"{cursor.unreadable} records of {context.name} cannot become events; they are dead letters: `jira-relay dead-letters list`."
        )
    window = TimeRange(_start(job), _end(job))
    unread = [one for one in context.unread_ranges() if one.start < window.end and window.start < one.end]
    if unread:
        texts.append(
            f"{context.name} does not serve its records from {to_iso_seconds(unread[0].start)} on; they are left out, and follow as late"
            " events once it does."
        )
    return " ".join(texts) or None
