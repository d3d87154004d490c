"""The progress that one owner writes of the jobs of a destination: of running ones through their runs, of the others itself."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import replace

from consumer.replay.place_keeper import ProgressLog, lost_text
from consumer.timing import ReplayTiming
from relay.kafka import KAFKA_FAILURES
from relay.replays.job import KnownReplay, ReplayProgress, State


class ProgressNotes:
    """The only writer of progress while the group confirms the membership of this process; each write waits for that.

    The last progress that it has written counts before the one that it reads: a record of a former owner may arrive late.
    """

    def __init__(self, log: ProgressLog, timing: ReplayTiming) -> None:
        self._log = log
        self._timing = timing
        self._latest: dict[str, ReplayProgress] = {}
        """The progress that this process has written since it owns the jobs."""
        self._compare_own = False
        """Whether the topic may have lost records of this owner."""

    def latest(self, known: KnownReplay) -> KnownReplay:
        """Return a job with the last progress that this owner has written, if it has written one."""
        return replace(known, progress=self._latest.get(known.job.id, known.progress))

    def has_ended(self, replay_id: str) -> bool:
        """Return whether this owner has written the end of a job."""
        return (latest := self._latest.get(replay_id)) is not None and latest.ended

    def log_of(self, replay_id: str) -> ProgressLog:
        """Return the log for the run of a job."""

        async def write(progress: ReplayProgress) -> None:
            await self._log.write(progress)
            self._latest[replay_id] = progress

        return replace(self._log, write=write)

    async def note(self, known: KnownReplay, state: State, reason: str | None) -> None:
        """Write the state of a job that does not run, when it changes and as a sign of life. Raises an error of KAFKA_FAILURES."""
        known, now = self.latest(known), self._log.now_ms()
        before = known.progress or ReplayProgress(known.job.id, state, now, now, self._log.owner, now)
        age_seconds = (now - before.at) / 1000
        reason = " ".join(filter(None, (reason, lost_text(before)))) or None
        same = known.progress is not None and (before.state, before.reason) == (state, reason)
        if same and before.owner == self._log.owner and 0 <= age_seconds < self._timing.heartbeat_seconds:
            return
        await self._write(replace(before, owner=self._log.owner).in_state(state, reason, now))

    async def note_until_written(self, known: KnownReplay, state: State, reason: str) -> None:
        """Write the state of a job that does not run, however long Kafka fails."""
        while True:
            try:
                await self.note(known, state, reason)
            except KAFKA_FAILURES:
                await asyncio.sleep(self._timing.retry_seconds)
            else:
                return

    def topic_was_read_again(self, replay_ids: Collection[str]) -> None:
        """Forget jobs that the topic does not have any more, and compare the others with it: it may have lost records."""
        self._latest = {each: self._latest[each] for each in replay_ids if each in self._latest}
        self._compare_own = True

    async def repair(self, replays: Iterable[KnownReplay], running: Collection[str]) -> None:
        """Write again what this owner has written and the topic does not say. Running jobs do so anyway.

        A record of a former owner may have come after it, or the topic may have lost its end.
        """
        for each in replays:
            own = self._latest.get(each.job.id)
            if own is None or each.job.id in running:
                continue
            late = each.progress is not None and each.progress.owner != own.owner
            if late or (self._compare_own and each.progress != own):
                await self._write(own)
        self._compare_own = False

    async def _write(self, progress: ReplayProgress) -> None:
        await self._log.wait_for_membership()
        await self._log.write(progress)
        self._latest[progress.id] = progress
