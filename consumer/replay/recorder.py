"""The records of progress of one running job: soon after a change, as a sign of life, and at its end."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog

from consumer.replay.place_keeper import PlaceKeeper
from consumer.timing import ReplayTiming
from relay.aio import Signal
from relay.condition_log import ConditionLog
from relay.errors import describe
from relay.kafka import KAFKA_FAILURES
from relay.replays.job import State

log = structlog.get_logger(__name__)


class ProgressRecorder:
    """Writes what the keeper knows. A write that Kafka does not confirm is repeated, with newer places."""

    def __init__(
        self,
        keeper: PlaceKeeper,
        state: Callable[[], tuple[State, str | None]],
        timing: ReplayTiming,
        names: Mapping[str, str],
    ) -> None:
        """`state`: of the job, and why it does not move. `names`: the fields of log lines."""
        self._keeper = keeper
        self._state = state
        self._timing = timing
        self._names = dict(names)
        self._due = asyncio.Event()
        self._written = Signal()
        self._conditions = ConditionLog(log)

    async def run(self) -> None:
        """Write until cancelled. Raises what `state` raises."""
        written_at, written = -math.inf, None
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.record_seconds):
                    await self._due.wait()
            now, moment = (self._keeper.mark(), self._state()), time.monotonic()
            silent = moment - written_at >= self._timing.heartbeat_seconds
            if not self._due.is_set() and now == written and not silent:
                continue
            self._due.clear()
            if await self._write(*now[1]):
                written_at, written = moment, now
                self._written.notify()
            else:
                await asyncio.sleep(self._timing.retry_seconds)
                self._due.set()

    async def covers_more(self) -> bool:
        """Wait until progress is written; return whether it covers more. If not, rows that no body holds are in front of it."""
        before = self._keeper.uncovered
        self._due.set()
        await self._written.wait()
        return self._keeper.uncovered < before

    async def write_last(self, state: State, reason: str | None) -> None:
        """Write the end of the run, however long it takes."""
        while True:
            if await self._write(state, reason):
                return
            await asyncio.sleep(self._timing.retry_seconds)

    async def _write(self, state: State, reason: str | None) -> bool:
        """Write progress, and return whether Kafka has confirmed it."""
        try:
            await self._keeper.write(state, reason)
        except KAFKA_FAILURES as error:
            self._conditions.failed(
                "record",
                "failed",
                "Progress of a replay could not be written; trying again.",
                {**self._names, "reason": describe(error)},
            )
            return False
        self._conditions.ended(
            "record", "Progress of a replay is written again; it could not be", self._names
        )
        return True
