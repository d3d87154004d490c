"""Deep re-reads of the last day and the last week."""

from producer.polling import window
from producer.polling.context import PollingContext
from producer.sources.purpose import Purpose
from producer.state.intervals import TimeRange


async def reread_round(context: PollingContext) -> None:
    """Read the last day or the last week again, if it is due, for records that became visible late."""
    checkpoint = context.checkpoint()
    if checkpoint is None:
        return
    backfill_from = context.organization.backfill_from
    wanted = window.reread(checkpoint, context.until(), context.config, backfill_from)
    if wanted is None:
        return
    progress = await context.read_and_publish(wanted, Purpose.REREAD)
    if not progress.record_count:
        await context.publish_verified_empty(TimeRange(wanted.start, progress.end), Purpose.REREAD)
