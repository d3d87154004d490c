"""The replays of one destination while this process owns them: which of them run, and what is said about the others."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from typing import Protocol

import structlog

from consumer.delivery.defects import defect_text, describe_defect
from consumer.replay.job_opener import JobRefusedError
from consumer.replay.place_keeper import ProgressLog, lost_text
from consumer.replay.runner import ReplayRun
from consumer.replay.selection import ReplayConditionError
from consumer.targets.guard import TargetGuard
from consumer.timing import ReplayTiming
from relay.aio import Signal, cancel_all
from relay.errors import describe, sentence
from relay.kafka import KAFKA_FAILURES, Record
from relay.replays.job import KnownReplay, ReplayJob, ReplayProgress, State, in_turn
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

    1. It is the only writer of their progress while the group confirms the membership of this process; each write waits for that.
    2. A job that does not run has a reason, and a sign of life every few seconds.
    3. What it has written counts before what it reads: a record of a former owner may arrive late, and is overwritten.
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
        self._log = progress_log
        self._timing = timing
        self._table = ReplayTable()
        self._latest: dict[str, ReplayProgress] = {}
        """The progress that this process has written since it owns the jobs."""
        self._runs: dict[str, ReplayRun] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changed = Signal()
        self._closing = False

    def apply(self, records: list[Record]) -> None:
        """Take over records of the topic, in their order."""
        for record in records:
            self._table.apply(record)
        self._changed.notify()

    def states(self) -> dict[str, State]:
        """Return the state of each job of the destination that has not ended."""
        return {each.job.id: each.progress.state if each.progress else "waiting" for each in self._mine()}

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
            replace(each, progress=self._latest.get(each.job.id, each.progress))
            for each in self._table.jobs.values()
            if each.job.destination == self._destination and each.job.content not in _OF_PRODUCERS
        ]
        return in_turn(known)

    async def _look(self) -> None:
        """Follow wishes and targets once, and start jobs while there is room."""
        await self._overwrite_late_records()
        mine = {each.job.id: each for each in self._mine()}
        for replay_id in [each for each in self._tasks if each not in mine]:
            if (latest := self._latest.get(replay_id)) is None or not latest.ended:
                self._end(replay_id, "waiting", "Its record cannot be read: a later release has changed it.")
        for known in mine.values():
            if self._closing:
                return
            await self._follow(known)

    async def _follow(self, known: KnownReplay) -> None:
        job = known.job
        if job.wished != "running":
            await self._follow_wish(known)
        elif job.id in self._tasks:
            if (reason := self._reason_to_leave(job.id)) is not None:
                self._end(job.id, "waiting", reason)
        elif job.unknown_word is not None:
            word = f"It asks for {job.unknown_word}, which this release does not know."
            await self._note(known, "waiting", f"{word} Upgrade the consumers, or cancel the replay.")
        elif (other := self._running_redrive()) is not None and job.content == "dead-letters":
            await self._note(
                known,
                "waiting",
                f"The replay {other} redrives dead letters of the destination; this one waits for its end.",
            )
        elif len(self._tasks) >= self._timing.most_running:
            await self._note(
                known, "waiting", f"{len(self._tasks)} replays of the destination run; it waits for its turn."
            )
        else:
            task = asyncio.create_task(self._run_job(job.id), name=f"owner of replay {job.id}")
            self._tasks[job.id] = task
            task.add_done_callback(lambda ended: self._ended(job.id, ended))

    def _running_redrive(self) -> str | None:
        """Return the redrive that runs. A second one reads which letters are closed after its end, so none is delivered twice."""
        running = (each.job for each in self._mine() if each.job.id in self._tasks)
        return next((each.id for each in running if each.content == "dead-letters"), None)

    async def _follow_wish(self, known: KnownReplay) -> None:
        state: State = "cancelled" if known.job.wished == "cancelled" else "paused"
        if known.job.id in self._tasks:
            self._end(known.job.id, state, None)
        elif known.progress is None or known.progress.state != state:
            await self._note(known, state, None)

    def _reason_to_leave(self, replay_id: str) -> str | None:
        """Return why no process with these settings may send now; None: it may, or that is not known."""
        known = self._table.jobs.get(replay_id)
        guard = None if known is None else self._opener.guard(known.job)
        return None if guard is None else guard.reason_to_leave

    def _end(self, replay_id: str, state: State, reason: str | None) -> None:
        """End the run of a job; a job that has no run yet ends at once."""
        if (run := self._runs.get(replay_id)) is not None:
            run.end(state, reason)
        elif (task := self._tasks.get(replay_id)) is not None:
            task.cancel()

    def _ended(self, replay_id: str, task: asyncio.Task[None]) -> None:
        del self._tasks[replay_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("Owner of a replay ended; it begins again.", replay=replay_id, exc_info=error)
        self._changed.notify()

    async def _run_job(self, replay_id: str) -> None:
        """Run a job until it ends or must leave; after a failure, again from its last record."""
        attempt = 0
        while True:
            known = next((each for each in self._mine() if each.job.id == replay_id), None)
            if known is None:
                return
            began = time.monotonic()
            failure = await self._attempt(known)
            if failure is None:
                return
            if time.monotonic() - began > self._timing.heartbeat_seconds:
                attempt = 0
            await self._note_until_written(known, *failure)
            if failure[0] == "failed":
                return
            await asyncio.sleep(self._timing.source.wait(attempt, random.random()))
            attempt += 1

    async def _attempt(self, known: KnownReplay) -> tuple[State, str] | None:
        """Run once. Return the state and the reason of a job that did not come to its end; None: it did, or must leave."""
        job = known.job
        try:
            if (guard := self._opener.guard(job)) is not None:
                await guard.require_own()
            async with self._opener.open(job, known.progress, self._progress_log_of(job.id)) as run:
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

    def _progress_log_of(self, replay_id: str) -> ProgressLog:
        async def write(progress: ReplayProgress) -> None:
            await self._log.write(progress)
            self._latest[replay_id] = progress

        return replace(self._log, write=write)

    async def _note(self, known: KnownReplay, state: State, reason: str | None) -> None:
        """Write the state of a job that does not run, when it changes and as a sign of life. Raises an error of KAFKA_FAILURES."""
        now = self._log.now_ms()
        before = known.progress or ReplayProgress(known.job.id, state, now, now, self._log.owner, now)
        age_seconds = (now - before.at) / 1000
        reason = " ".join(filter(None, (reason, lost_text(before)))) or None
        same = known.progress is not None and (before.state, before.reason) == (state, reason)
        if same and before.owner == self._log.owner and 0 <= age_seconds < self._timing.heartbeat_seconds:
            return
        await self._write(replace(before, owner=self._log.owner).in_state(state, reason, now))

    async def _note_until_written(self, known: KnownReplay, state: State, reason: str) -> None:
        while True:
            latest = replace(known, progress=self._latest.get(known.job.id, known.progress))
            try:
                await self._note(latest, state, reason)
            except KAFKA_FAILURES:
                await asyncio.sleep(self._timing.retry_seconds)
            else:
                return

    async def _write(self, progress: ReplayProgress) -> None:
        await self._log.wait_for_membership()
        await self._log.write(progress)
        self._latest[progress.id] = progress

    async def _overwrite_late_records(self) -> None:
        """Write again what this process has written, where a record of a former owner came after it. Running jobs do so anyway."""
        for each in self._table.jobs.values():
            own = self._latest.get(each.job.id)
            late = each.progress is not None and own is not None and each.progress.owner != own.owner
            if late and own is not None and each.job.id not in self._tasks:
                await self._write(own)
