"""Redrive of dead letters: their records, read again by today's code, and published if they can be."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from producer.events import Event, UnreadableRecord
from producer.polling.context import PollingContext
from producer.publishing.letters import (
    EventsUnavailableError,
    LetterRedrive,
    LetterResult,
    PublishedEvents,
    ReadLetter,
    earliest_publication,
)
from producer.replays.jobs import RefillJobs
from producer.replays.letters import LetterChunk, LettersUnavailableError, OpenLetters
from producer.sources.contract import Source
from relay.dead_letters.assembly import WholeLetter
from relay.errors import RelayError
from relay.replays.job import ReplayJob, ReplaySkip
from relay.replays.refill import RefillProgress, RefillState
from relay.timestamps import to_iso_seconds

MAX_REASONS = 20
"""Reasons that a report tells apart; the letters of the others are one number."""
OTHER_REASONS = "Other reasons; `jira-relay dead-letters list --counts` has all of them."
GONE = "Kafka deleted the letter, or another redrive closed it, while its record was looked for among the events."

FindPublished = Callable[[str, int, Collection[int], int], Awaitable[PublishedEvents]]
"""Finds events of an organization, in a partition, with these ids, that were published since a time (ms). Raises EventsUnavailableError."""


@dataclass(slots=True)
class _Tally:
    """The letters of one organization by their end, since the reading of the range began."""

    result: LetterResult = field(default_factory=LetterResult)
    lost: int = 0
    corrupt: list[str] = field(default_factory=list)

    def add(self, chunk: LetterChunk) -> None:
        self.result.add(LetterResult(chunk.published, chunk.known))
        self.lost += chunk.lost
        self.corrupt += chunk.corrupt

    def skips(self) -> tuple[ReplaySkip, ...]:
        most = self.result.left.most_common(MAX_REASONS)
        rest = self.result.left.total() - sum(count for _, count in most)
        return tuple(ReplaySkip(*each) for each in (*most, *([(OTHER_REASONS, rest)] if rest else [])))


class LetterRedriver:
    """Redrives the letters of one organization, a job after the other.

    1. What is done is on the topic: each transaction has the marks of its letters. So a death repeats nothing, and the next
       owner finds the counts there.
    2. The report follows; one that is lost is written again, since the replay is wanted until the topic has it.
    """

    def __init__(
        self, jobs: RefillJobs, letters: OpenLetters, search: FindPublished, pause_seconds: float = 5.0
    ) -> None:
        """`search`: looks for events whose days have no ledger. `pause_seconds`: after letters could not be read."""
        self.jobs = jobs
        self._letters = letters
        self._search = search
        self._pause_seconds = pause_seconds
        self._ended: dict[str, RefillProgress] = {}
        """The last report on the job that ended last, by organization."""

    async def run(self, context: PollingContext) -> None:
        """Wait for a job that has letters of this organization, and redrive them, or until it is paused or cancelled."""
        job = await self.jobs.wait_for(context.name)
        ended = self._ended.get(context.name)
        if ended is None or ended.id != job.id:
            ended = await self._redrive(context, job)
        if ended is not None:
            self._ended[context.name] = ended
            # The time tells a repeat from the first report, where a former owner's came later than that.
            await self.jobs.report(replace(ended, at=context.now_ms()))

    async def _redrive(self, context: PollingContext, job: ReplayJob) -> RefillProgress | None:
        """Return the last report; None: the job is not wanted any more, or must be tried again."""
        tally = _Tally()
        await self.jobs.report(
            _report(context, job, tally, "running")
        )  # others of the process may be read first
        try:
            if not await self._read(context, job, tally) or not await self._read_older(context, job, tally):
                return None
        except (EventsUnavailableError, LettersUnavailableError) as error:
            await self.jobs.report(_report(context, job, tally, "running", str(error)))
            await asyncio.sleep(self._pause_seconds)
            return None
        except RelayError as error:
            await self.jobs.report(_report(context, job, tally, "running", f"{context.name}: {error}"))
            raise
        return _report(context, job, tally, "done", " ".join(tally.corrupt) or None)

    async def _read(
        self,
        context: PollingContext,
        job: ReplayJob,
        tally: _Tally,
        published: PublishedEvents | None = None,
    ) -> bool:
        """Publish and mark what the ledgers decide, or, with `published`, the letters that they do not. Return False at a new wish."""
        left = {one.offset for one in tally.result.older}
        reading = self._letters.read(job, context.name, context.publisher.partition)
        async with aclosing(reading) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                if self.jobs.current(context.name) != job:
                    return False
                letters = chunk.letters
                if published is None:
                    tally.add(chunk)
                else:
                    letters = [one for one in letters if one.letter.offset in left]
                    left -= {one.letter.offset for one in letters}
                tally.result.add(await _publish(context, job, letters, published))
                await self.jobs.report(_report(context, job, tally, "running"))
        if published is not None and left:
            tally.result.left[GONE] += len(left)
        return True

    async def _read_older(self, context: PollingContext, job: ReplayJob, tally: _Tally) -> bool:
        """Read the letters again whose days have no ledger, after looking for their records on the topics."""
        older, checkpoint = tally.result.older, context.checkpoint()
        if checkpoint is None or not older:
            return True
        since = min(earliest_publication(each.time.created, checkpoint) for each in older)
        text = f"{len(older):,} records of {context.name} are older than its ledgers: they are looked for among the events since {to_iso_seconds(since)}."
        await self.jobs.report(_report(context, job, tally, "running", text))
        ids = {each.time.id for each in older}
        published = await self._search(context.name, context.publisher.partition, ids, since)
        return await self._read(context, job, tally, published)


async def _publish(
    context: PollingContext,
    job: ReplayJob,
    letters: Sequence[WholeLetter],
    published: PublishedEvents | None,
) -> LetterResult:
    read = [ReadLetter(one.letter, one.key, _content(one, context.source)) for one in letters]
    if not read:
        return LetterResult()
    backfill_from = context.organization.backfill_from
    redrive = LetterRedrive(job.id, read, context.overlap, backfill_from, published)
    attributes = {"jira_relay.organization": context.name, "jira_relay.replay": job.id}
    with context.tracer.trace("redrive", attributes):
        return await context.publisher.publish_letters(context.name, redrive)


def _content(whole: WholeLetter, source: Source) -> Event | str:
    """Return the event of a letter's record, or why there is none today."""
    content, remark = whole.content()
    if remark is not None:
        return f"The letter is incomplete: {remark}"
    found = source.parse_record(content)
    return found.reason if isinstance(found, UnreadableRecord) else found


def _report(
    context: PollingContext, job: ReplayJob, tally: _Tally, state: RefillState, reason: str | None = None
) -> RefillProgress:
    now, result = context.now_ms(), tally.result
    return RefillProgress(
        job.id,
        context.name,
        state,
        now,
        now,
        reason,
        events=result.published,
        unreadable=result.left.total(),
        known=result.known,
        lost=tally.lost,
        skips=tally.skips(),
    )
