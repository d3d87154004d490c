"""Live rounds: the records since the checkpoint."""

import asyncio
from dataclasses import replace

import structlog

from producer.polling import window
from producer.polling.context import PollingContext
from producer.state import checkpoint as checkpoints
from producer.state.checkpoint import Checkpoint
from producer.state.intervals import TimeRange
from relay import timestamps

REWIND_FROM_MS = 5_000

log = structlog.get_logger(__name__)


class LiveRound:
    """Reads from a little before the checkpoint to a little before now; owns the checkpoint's beginning and its repair."""

    def __init__(self, context: PollingContext, checkpoint_ready: asyncio.Event) -> None:
        """`checkpoint_ready` is set at the first round that has a checkpoint; re-reads and backfill wait for it."""
        self._context = context
        self._checkpoint_ready = checkpoint_ready
        self._first_contact: int | None = None
        self._outage_noted = False

    async def run(self) -> None:
        """Run one round. Raises SourceError, ShardClosedError and ProgressTooLargeError."""
        context = self._context
        before = context.checkpoint()
        await context.source.bind_identity(before.cloud_id if before else None)
        checkpoint = await self._ensure_checkpoint()
        wanted = window.live(checkpoint, context.until(), context.overlap, context.organization.backfill_from)
        progress = await context.read_and_publish(wanted)
        if progress.record_count:
            context.overlap = window.next_overlap(
                progress.created, progress.end, context.config, context.source.traits.page_records
            )
            context.report_complete_up_to(progress.end)
        elif progress.end <= wanted.start:
            # No instant was read: a clock is wrong, or the API's whole second has not passed. An empty answer proves nothing,
            # and without another request no failure of the API would show.
            await context.source.probe_clock()
        elif window.proof_due(context.last_proof, context.now_ms(), context.config):
            await context.publish_verified_empty(TimeRange(wanted.start, progress.end))
        self._outage_noted = False  # the next outage begins here
        skew = context.source.clock_skew
        context.reporter.active(skew.ahead_ms if skew.skewed else 0)

    async def _ensure_checkpoint(self) -> Checkpoint:
        """Return the checkpoint: the first one, one set back after a clock went wrong, or the stored one."""
        context = self._context
        checkpoint = context.checkpoint()
        if checkpoint is None:
            self._first_contact = await context.source.probe_clock()
            checkpoint = await context.publisher.write_checkpoint(context.name, self._first_checkpoint)
        elif checkpoint.window_end > context.until() + REWIND_FROM_MS:
            log.warning(
                "Checkpoint was in the future and was set back. Check this machine's clock and the source's.",
                organization=context.name,
                checkpoint=timestamps.to_iso(checkpoint.window_end),
            )
            checkpoint = await context.publisher.write_checkpoint(context.name, self._rewound_checkpoint)
        elif not self._outage_noted:
            checkpoint = await self._note_outage(checkpoint, context.until())
        if checkpoint.cloud_id is None and context.source.identity is not None:
            checkpoint = await context.publisher.write_checkpoint(context.name, self._bound_checkpoint)
        self._checkpoint_ready.set()
        if checkpoint.outage is not None:
            context.outage_noted.set()
        context.report_unread_ranges()
        return checkpoint

    def _first_checkpoint(self, checkpoint: Checkpoint | None) -> Checkpoint:
        """Create the first checkpoint. Records created after the organization was added are live; earlier ones are
        backfill. Compare with the API's clock: a fast local clock would turn new records into backfill, a slow one
        backfill into live events.
        """
        context = self._context
        now = context.until() if self._first_contact is None else self._first_contact
        since = min(context.organization.added, now)
        return checkpoint or checkpoints.new_checkpoint(
            context.name, since, now=context.now_ms(), cloud_id=context.source.identity
        )

    def _rewound_checkpoint(self, checkpoint: Checkpoint | None) -> Checkpoint:
        return window.rewind(self._first_checkpoint(checkpoint), self._context.until())

    def _bound_checkpoint(self, checkpoint: Checkpoint | None) -> Checkpoint:
        return replace(self._first_checkpoint(checkpoint), cloud_id=self._context.source.identity)

    async def _note_outage(self, checkpoint: Checkpoint, until: int) -> Checkpoint:
        """Note an outage in the checkpoint before the cursor moves over it, so that a kill cannot hide a gap; see gap.py."""
        if window.note_outage(checkpoint, until) == checkpoint:
            return checkpoint
        context = self._context
        noted = await context.publisher.write_checkpoint(
            context.name, lambda known: window.note_outage(self._first_checkpoint(known), until)
        )
        self._outage_noted = True
        return noted
