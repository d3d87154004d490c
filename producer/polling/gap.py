"""The search for a gap after an outage."""

from dataclasses import replace

from producer.polling import window
from producer.polling.context import PollingContext
from producer.sources.purpose import Purpose
from producer.state.checkpoint import Checkpoint
from producer.state.intervals import TimeRange
from relay import timestamps


async def gap_round(context: PollingContext) -> None:
    """Wait for an outage, ask for the oldest record that the API keeps, and report the time whose records are gone.

    It runs beside live polling, as a purpose of its own: an API that refuses this question holds up nothing else. The outage
    is in the checkpoint until the question is answered, so a gap is reported even if the process dies before.
    """
    await context.outage_noted.wait()
    checkpoint = context.checkpoint()
    if checkpoint is not None and checkpoint.outage is not None:
        await _report_gap(context, checkpoint.outage)
    context.outage_noted.clear()


async def _report_gap(context: PollingContext, outage: TimeRange) -> None:
    oldest = await context.source.oldest(Purpose.GAP_CHECK)
    gap = window.find_gap(outage, oldest) if isinstance(oldest, int) else None
    if gap is not None:
        context.metrics.gap_found(context.name, timestamps.to_iso(gap.start), timestamps.to_iso(gap.end))

    def clear(checkpoint: Checkpoint | None) -> Checkpoint:
        if checkpoint is None:
            raise ValueError(f"{context.name} has no checkpoint")
        return replace(checkpoint, outage=None) if checkpoint.outage == outage else checkpoint

    await context.publisher.write_checkpoint(context.name, clear)
