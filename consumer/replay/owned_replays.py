"""The replays of one destination while this process owns them: which of them run, and what is said about the others."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import Protocol

import structlog

from consumer.delivery.defects import defect_text, describe_defect
from consumer.replay.job_opener import JobRefusedError
from consumer.replay.place_keeper import ProgressLog
from consumer.replay.progress_notes import ProgressNotes
from consumer.replay.runner import ReplayRun
from consumer.replay.selection import ReplayConditionError
from consumer.replay.turns import Turns
from consumer.targets.guard import TargetGuard
from consumer.timing import ReplayTiming
from relay.aio import Signal, cancel_all
from relay.errors import describe, sentence
from relay.kafka import KAFKA_FAILURES, Record
from relay.replays.job import KnownReplay, ReplayJob, ReplayProgress, State
from relay.replays.store import ReplayTable

log = structlog.get_logger(__name__)

HANDED_OVER = "Its process has handed it over; another consumer of the destination goes on."
_OF_PRODUCERS = frozenset({"unreadable"})
"""Contents of which consumers have no part."""


class Opener(Protocol):
    """Opens the runs of the jobs of one destination: `JobOpener`."""

    def guard(self, job: ReplayJob) -> TargetGuard | None: ...

    def open(
        self, job: ReplayJob, before: ReplayProgress | None, log: ProgressLog
    ) -> AbstractAsyncContextManager[ReplayRun]: ...


class OwnedReplays:
    """Follows the topic of replays, and runs the jobs of one destination, the oldest first.

    1. A job that does not run has a reason, and a sign of life every few seconds.
    2. A job that failed, or that only waits while another one could run, holds no place among the running ones.
    3. A job whose record is not on the topic any more ends: nobody could see or cancel it.
    """

    def __init__(
        self,
        destination: str,
        opener: Opener,
        progress_log: ProgressLog,
        timing: ReplayTiming,
        report: Callable[[Mapping[str, State] | None], None] = lambda _: None,
    ) -> None:
        """`report` is called with the states of the jobs now and then, and with None at the end."""
        self._report = report
        self._destination = destination
        self._opener = opener
        self._notes = ProgressNotes(progress_log, timing)
        self._turns = Turns(timing)
        self._timing = timing
        self._table = ReplayTable()
        self._next_table: ReplayTable | None = None
        """What was read of the topic since it is read again; None: it is not."""
        self._runs: dict[str, ReplayRun] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[str] = set()
        """Running jobs that were told to end."""
        self._changed = Signal()
        self._closing = False

    def apply(self, records: list[Record]) -> None:
        """Take over records of the topic, in their order."""
        table = self._table if self._next_table is None else self._next_table
        for record in records:
            table.apply(record)
        self._changed.notify()

    def begin_table_again(self) -> None:
        """Read the topic again from its start, as after it lost records. The jobs go on as they are until it is read."""
        self._next_table = ReplayTable()

    def table_is_read_again(self) -> None:
        """Go on with what the topic has now."""
        if self._next_table is not None:
            self._table, self._next_table = self._next_table, None
            self._notes.topic_was_read_again(self._table.jobs)
            self._changed.notify()

    def states(self) -> dict[str, State]:
        """Return the state of each job of the destination that has not ended."""
        return {each.job.id: each.progress.state if each.progress else "waiting" for each in self._mine()}

    def missing(self, replay_ids: Collection[str]) -> list[str]:
        """Return those of these jobs that the topic does not have."""
        hidden = {key.partition(".")[0] for key in self._table.unreadable}
        return sorted(set(replay_ids) - self._table.jobs.keys() - hidden)

    async def run(self) -> None:
        """Run jobs until cancelled. The table must be complete. Raises an error that is a defect."""
        while True:
            with suppress(*KAFKA_FAILURES):
                await self._look()
            self._report(self.states())
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.watch_seconds):
                    await self._changed.wait()

    async def close(self, seconds: float) -> None:
        """Start nothing more; wait for answers, and leave each running job at its place."""
        self._closing = True
        self._report(None)
        for replay_id in list(self._tasks):
            self._end(replay_id, "waiting", self._reason_to_leave(replay_id) or HANDED_OVER)
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()), timeout=seconds)
        await cancel_all(self._tasks.values(), attempts=1, seconds=self._timing.write_seconds)

    def _mine(self) -> list[KnownReplay]:
        known = [
            self._notes.latest(each)
            for each in self._table.jobs.values()
            if each.job.destination == self._destination and each.job.content not in _OF_PRODUCERS
        ]
        return [*self._turns.order(known)]

    async def _look(self) -> None:
        """Follow wishes and targets once, start jobs while there is room, and make room where jobs only wait."""
        await self._notes.repair(self._table.jobs.values(), self._tasks)
        mine = self._mine()
        self._end_hidden({each.job.id for each in mine})
        needed = 0
        for known in mine:
            if self._closing:
                return
            needed += not await self._follow(known)
        self._make_room(needed)

    def _end_hidden(self, mine: Collection[str]) -> None:
        """End the runs of jobs whose records are gone, or cannot be read."""
        self._turns.keep(mine)
        for replay_id in [each for each in self._tasks if each not in mine]:
            if self._notes.has_ended(replay_id):
                continue
            if self.missing([replay_id]):
                text = "Its record is not on the topic of replays any more."
            else:
                text = "Its record cannot be read: a later release has changed it."
            self._end(replay_id, "waiting", text)

    async def _follow(self, known: KnownReplay) -> bool:
        """Follow the wish for a job, or start it. Return False if it could run and needs a place."""
        job = known.job
        if job.wished != "running":
            await self._follow_wish(known)
        elif job.id in self._tasks:
            if (reason := self._reason_to_leave(job.id)) is not None:
                self._end(job.id, "waiting", reason)
        elif (reason := self._reason_to_wait(job)) is not None:
            await self._notes.note(known, "waiting", reason)
        elif len(self._tasks) >= self._timing.most_running:
            last = self._turns.last(job.id)
            text = f"{len(self._tasks)} replays of the destination run; it waits for its turn."
            await self._notes.note(known, "waiting", f"{text} {last.reason}" if last else text)
            return False
        else:
            task = asyncio.create_task(self._run_job(job.id), name=f"owner of replay {job.id}")
            self._tasks[job.id] = task
            task.add_done_callback(lambda ended: self._ended(job.id, ended))
        return True

    def _reason_to_wait(self, job: ReplayJob) -> str | None:
        """Return why a job cannot run now, whatever the places; None: it can."""
        if job.unknown_word is not None:
            word = f"It asks for {job.unknown_word}, which this release does not know."
            return f"{word} Upgrade the consumers, or cancel the replay."
        if (other := self._running_redrive()) is not None and job.content == "dead-letters":
            return f"The replay {other} redrives dead letters of the destination; this one waits for its end."
        last = self._turns.last(job.id)
        return last.reason if last is not None and time.monotonic() < last.not_before else None

    def _make_room(self, needed: int) -> None:
        """End as many runs that only wait as other jobs need places."""
        now = time.monotonic()
        needed -= len(self._leaving)
        for replay_id, run in self._runs.items():
            reason = run.idle_reason
            idle = self._turns.note_wait(replay_id, run.ended_count, reason, now)
            if idle and reason is not None and needed > 0 and replay_id not in self._leaving:
                needed -= 1
                self._turns.gave_way(replay_id, reason, now)
                self._end(replay_id, "waiting", reason)

    def _running_redrive(self) -> str | None:
        """Return the redrive that runs. A second one reads which letters are closed after its end, so none is delivered twice."""
        running = (each.job for each in self._mine() if each.job.id in self._tasks)
        return next((each.id for each in running if each.content == "dead-letters"), None)

    async def _follow_wish(self, known: KnownReplay) -> None:
        self._turns.forget(known.job.id)
        state: State = "cancelled" if known.job.wished == "cancelled" else "paused"
        if known.job.id in self._tasks:
            self._end(known.job.id, state, None)
        elif known.progress is None or known.progress.state != state:
            await self._notes.note(known, state, None)

    def _reason_to_leave(self, replay_id: str) -> str | None:
        """Return why no process with these settings may send now; None: it may, or that is not known."""
        known = self._table.jobs.get(replay_id)
        guard = None if known is None else self._opener.guard(known.job)
        return None if guard is None else guard.reason_to_leave

    def _end(self, replay_id: str, state: State, reason: str | None) -> None:
        """End the run of a job; a job that has no run yet ends at once."""
        if (run := self._runs.get(replay_id)) is not None:
            self._leaving.add(replay_id)
            run.end(state, reason)
        elif (task := self._tasks.get(replay_id)) is not None:
            task.cancel()

    def _ended(self, replay_id: str, task: asyncio.Task[None]) -> None:
        del self._tasks[replay_id]
        self._leaving.discard(replay_id)
        self._turns.stopped(replay_id)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("Owner of a replay ended; it begins again.", replay=replay_id, exc_info=error)
        self._changed.notify()

    async def _run_job(self, replay_id: str) -> None:
        """Run a job once: until it ends, must leave, or fails. A later attempt goes on from its last record."""
        known = next((each for each in self._mine() if each.job.id == replay_id), None)
        if known is None:
            return
        began = time.monotonic()
        failure = await self._attempt(known)
        if failure is not None:
            self._turns.failed(replay_id, failure[1], began, time.monotonic())
            await self._notes.note_until_written(known, *failure)

    async def _attempt(self, known: KnownReplay) -> tuple[State, str] | None:
        """Run once. Return the state and the reason of a job that did not come to its end; None: it did, or must leave."""
        job = known.job
        try:
            if (guard := self._opener.guard(job)) is not None:
                await guard.require_own()
            async with self._opener.open(job, known.progress, self._notes.log_of(job.id)) as run:
                self._runs[job.id] = run
                try:
                    await run.run()
                finally:
                    del self._runs[job.id]
        except (JobRefusedError, ReplayConditionError) as error:
            return "failed", str(error)
        except KAFKA_FAILURES as error:
            return "waiting", sentence(describe(error))
        except Exception as error:
            log.exception(
                "Replay failed because of a defect in the relay; it goes on from its last record.",
                destination=self._destination,
                replay=job.id,
            )
            return "waiting", defect_text("running a replay", describe_defect(error))
        return None
