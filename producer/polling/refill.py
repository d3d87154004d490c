"""Refill: the window of a replay, read from the source again for one destination that lost its events."""

from producer.polling.context import PollingContext
from producer.polling.refill_reader import RefillReader
from producer.sources.errors import SourceError
from producer.state.checkpoint import Checkpoint
from producer.state.intervals import TimeRange
from relay.replays.job import ReplayJob
from relay.replays.refill import RefillProgress, RefillState, UnreadRange
from relay.timestamps import DAY_MS, to_iso


async def refill_round(context: PollingContext) -> None:
    """Wait for a refill of this organization, and read its window to the end, or until it is paused or cancelled.

    1. The cursor in the checkpoint moves in the transactions that publish the events. So a kill at any moment repeats none.
    2. The report on the topic of replays follows the commit. A report that is lost is written again: the replay is wanted
       until the topic has it.
    """
    job = await context.refills.wait_for(context.name)
    await _forget_ended(context)

    async def report(reason: str | None) -> None:
        await _report(context, reader, job, "running", reason)

    reader, days = RefillReader(context, job, report), 1
    while context.refills.current(context.name) == job:
        cursor = reader.cursor
        if cursor.done:
            await _report(context, reader, job, "done", _left_out(context.name, job, reader))
            return
        await report(None)
        await _report_waiting(context, job)
        end = max(cursor.read_to, min(reader.window.end, cursor.read_to + days * DAY_MS))
        try:
            count = await reader.read(TimeRange(cursor.read_to, end))
        except SourceError as error:
            await report(f"{context.name} cannot be read: {error.failure.message}")
            raise
        if reader.cursor == cursor:
            return  # the source's clock has not reached the end of the window
        days = 2 * days if count < context.source.traits.page_records else 1


async def _forget_ended(context: PollingContext) -> None:
    """Take the cursors of ended replays out of the checkpoint."""
    checkpoint = context.checkpoint()
    if checkpoint is None or not any(context.refills.is_over(one.id) for one in checkpoint.refills):
        return

    def forget(known: Checkpoint | None) -> Checkpoint:
        return (known or checkpoint).without_refills(context.refills.is_over)

    await context.publisher.write_checkpoint(context.name, forget)


async def _report(
    context: PollingContext, reader: RefillReader, job: ReplayJob, state: RefillState, reason: str | None
) -> None:
    cursor, now = reader.cursor, context.now_ms()
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
            tuple(UnreadRange(one.start, one.end) for one in cursor.unread),
        )
    )


async def _report_waiting(context: PollingContext, job: ReplayJob) -> None:
    """Tell the replays that wait for this one."""
    reason = f"{context.name}: the producer reads it for the replay {job.id} first."
    now = context.now_ms()
    for other in context.refills.wanted(context.name):
        if other != job:
            await context.refills.report(RefillProgress(other.id, context.name, "running", now, now, reason))


def _left_out(name: str, job: ReplayJob, reader: RefillReader) -> str | None:
    """Return what the refill lacks, in words. None: nothing."""
    texts, cursor = [], reader.cursor
    if cursor.unreadable:
        texts.append(
            f"{cursor.unreadable} records of {name} cannot become events; they are dead letters: `jira-relay dead-letters list`."
        )
    if cursor.unread:
        first, last = cursor.unread[0], cursor.unread[-1]
        since, until = to_iso(first.start), to_iso(last.end)
        count = len(cursor.unread)
        texts.append(
            f"{name} fails to serve some of its records, in {count} range{'s'[: count != 1]} from {since} to {until}; they are left"
            f" out. Once it serves them, run `jira-relay replay start --destination {job.destination} --refill --organization {name}"
            f" --from {since} --to {until}`."
        )
    return " ".join(texts) or None
