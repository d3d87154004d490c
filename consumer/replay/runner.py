"""The run of one job while this process owns it: from its source to the destination."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, suppress
from typing import Any

from consumer.delivery.batch import Rows
from consumer.delivery.sender import Sender
from consumer.offsets.tracker import TrackedRecords
from consumer.replay.bodies import BodyBuilder, OversizedRow
from consumer.replay.chunk_encoder import ChunkEncoder
from consumer.replay.pace import Pace
from consumer.replay.parts import ReplayParts
from consumer.replay.place_keeper import PlaceKeeper, ProgressLog
from consumer.replay.recorder import ProgressRecorder
from consumer.replay.rejection_watch import RejectionWatch
from consumer.replay.source import Chunk, SourceWaitsError
from consumer.timing import ReplayTiming
from relay.aio import Signal, cancel_all
from relay.errors import describe
from relay.kafka import KAFKA_FAILURES
from relay.replays.job import ReplayJob, ReplayProgress, State


class ReplayRun:
    """Delivers one job, from its last places on, until it is done or `end` is called.

    1. One body is in flight at a time, beside rejected ones that wait for the acceptance of another; live events go first.
    2. Progress is written every few seconds, before too many records ended without it, and at each end.
    3. Each fault is a reason of the job and is tried again; no record is dropped for it.
    """

    def __init__(
        self,
        job: ReplayJob,
        before: ReplayProgress | None,
        parts: ReplayParts,
        progress_log: ProgressLog,
        timing: ReplayTiming,
    ) -> None:
        """`before`: the last progress of any owner; None: there was none."""
        self._job = job
        self._parts = parts
        self._timing = timing
        self._changed = Signal()
        self._keeper = PlaceKeeper(job, before, parts.source, progress_log)
        self._sender = Sender(parts.flow, self._on_delivered, progress_log.wait_for_membership, self._changed)
        self._rejections = RejectionWatch(parts.flow, self._keeper, timing)
        self._pace = Pace(job.rate)
        self._bodies = BodyBuilder(parts.flow.destination.limits, self._pace.max_rows)
        self._encoder = ChunkEncoder(
            parts.flow,
            parts.schemas,
            parts.rules,
            parts.selection.select,
            job.id,
            self._on_chunk_waits,
            keep_mode=job.to_live,
            timing=timing,
        )
        self._waits: dict[str, str] = {}
        """Why the job does not move, by the part that waits."""
        self._ending: tuple[State, str | None] | None = None
        self._end = asyncio.Event()
        self._recorder = ProgressRecorder(
            self._keeper, self._state, timing, {"destination": job.destination, "replay": job.id}
        )

    @property
    def progress(self) -> ReplayProgress:
        """The last progress that was written, or that of the former owner."""
        return self._keeper.progress

    @property
    def ended_count(self) -> int:
        """How many records of the job have ended."""
        return self._keeper.ended_count

    @property
    def idle_reason(self) -> str | None:
        """Why the run only waits, so that another job may have its place.

        None: it moves, lets live events go first as every job must, or ends soon by itself.
        """
        if self._rejections.counts:
            return None
        return next((text for part, text in self._reasons() if part != "turn"), None)

    def end(self, state: State, reason: str | None) -> None:
        """Let `run` finish: start nothing more, and leave the job in this state."""
        self._ending = self._ending or (state, reason)
        self._end.set()

    async def run(self) -> None:
        """Deliver, and write the last progress. Raises the exception of a defect; the next run begins at the last record."""
        pump = asyncio.create_task(self._pump(), name=f"replay {self._job.id}")
        recorder = asyncio.create_task(self._recorder.run(), name=f"progress of replay {self._job.id}")
        ending = asyncio.create_task(self._end.wait(), name=f"end of replay {self._job.id}")
        rejections = asyncio.create_task(self._rejections.run(), name=f"rejections of replay {self._job.id}")
        tasks: set[asyncio.Task[Any]] = {pump, recorder, ending, rejections}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if rejections in done and pump not in done:
                self.end("failed", rejections.result())
            await cancel_all({pump, recorder}, attempts=1, seconds=self._timing.finish_seconds)
            if self._ending is None:
                await self._recorder.write_last("done", None)
            else:
                await self._finish(*self._ending)
        finally:
            self._sender.stop_accepting()
            await asyncio.shield(asyncio.create_task(self._release(tasks)))

    async def _release(self, tasks: set[asyncio.Task[Any]]) -> None:
        """End what the run has begun; a cancellation of the run does not end this."""
        await cancel_all(tasks, attempts=1, seconds=self._timing.finish_seconds)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()  # the first one is raised; the others need no log line
        await self._sender.close(0)

    async def _finish(self, state: State, reason: str | None) -> None:
        """Wait for the answers of what was sent, and write the last progress, both within bounds."""
        await self._sender.wait_until_finished(self._timing.finish_seconds if state != "waiting" else 0)
        await self._sender.close(self._timing.answer_seconds)
        self._raise_defect()
        if state == "waiting":
            with suppress(TimeoutError, *KAFKA_FAILURES):
                async with asyncio.timeout(self._timing.write_seconds):
                    await self._keeper.write(state, reason)
        else:
            await self._recorder.write_last(state, reason)

    async def _pump(self) -> None:
        attempt = 0
        while True:
            try:
                async with aclosing(self._source_chunks()) as chunks:  # type: ignore[type-var]
                    async for chunk in chunks:
                        attempt = 0 if chunk.records else attempt
                        await self._take(chunk)
                break
            except _SourceFailedError as failed:
                self._waits["source"] = str(failed)
                await self._send(self._bodies.flush())
                await asyncio.sleep(self._timing.source.wait(attempt, random.random()))
                attempt += 1
        await self._send(self._bodies.flush())
        self._rejections.all_started = True
        while not await self._sender.wait_until_finished(self._timing.heartbeat_seconds):
            continue
        self._raise_defect()
        if not self._keeper.is_complete(self._job):
            raise RuntimeError("the source ended before the ranges of the replay")

    async def _source_chunks(self) -> AsyncIterator[Chunk]:
        """Yield the chunks of the source. Raises _SourceFailedError for its failures, and for no others."""
        chunks = self._parts.source.chunks(dict(self._keeper.positions))
        try:
            while True:
                try:
                    chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
                except KAFKA_FAILURES as error:
                    raise _SourceFailedError(error) from error
                self._waits.pop("source", None)
                yield chunk
        finally:
            await chunks.aclose()  # type: ignore[attr-defined]

    async def _take(self, chunk: Chunk) -> None:
        metrics = self._parts.flow.metrics
        for start, stop in chunk.lost:
            if count := self._keeper.lost_count(chunk.partition, start, stop):
                metrics.offsets_lost(chunk.partition, start, stop, count)
        for tracked, left_out in self._keeper.track(chunk):
            metrics.events_read(len(tracked))
            reasons = {**dict.fromkeys(self._parts.selection.left_out(tracked.records), ""), **left_out}
            for reason in set(reasons.values()):
                self._skip(tracked, [index for index in sorted(reasons) if reasons[index] == reason], reason)
            ended = self._note_ended(tracked)
            wanted = tracked.select(
                [index for index in range(len(tracked)) if index not in reasons and index not in ended]
            )
            if len(wanted):
                await self._deliver(wanted)
        if self._too_many_uncovered or self._keeper.range_count >= self._timing.most_ranges:
            await self._send(self._bodies.flush())

    def _note_ended(self, tracked: TrackedRecords) -> set[int]:
        """Count the records that ended before an owner of the job died. Return their indices."""
        endings = {
            index: self._parts.source.ending_of(record) for index, record in enumerate(tracked.records)
        }
        ended = {index: ending for index, ending in endings.items() if ending is not None}
        for ending in set(ended.values()):
            indices = [index for index in sorted(ended) if ended[index] == ending]
            self._keeper.ended(tracked.select(indices), ending)
        return set(ended)

    def _skip(self, tracked: TrackedRecords, indices: list[int], reason: str = "") -> None:
        if indices:
            self._keeper.ended(tracked.select(indices), "skipped", reason)
            self._parts.flow.metrics.events_skipped(len(indices))

    async def _deliver(self, tracked: TrackedRecords) -> None:
        encoded = await self._encoder.encode(tracked.records)
        if encoded.decoded_singly:
            self._parts.flow.metrics.decoded_singly(encoded.decoded_singly)
        self._skip(tracked, sorted(encoded.skipped))
        if encoded.undecodable:
            await self._sender.wait_for_capacity()
            self._sender.dead_letter(
                tracked.select([each.index for each in encoded.undecodable]),
                [each.reason for each in encoded.undecodable],
            )
        await self._send(self._bodies.add(Rows(encoded.rows, tracked.select(encoded.indices))))

    async def _send(self, bodies: Iterable[Rows | OversizedRow]) -> None:
        for body in bodies:
            if isinstance(body, OversizedRow):
                self._sender.dead_letter(body.rows.tracked, [body.reason])
            else:
                await self._wait_for_turn()
                self._pace.started(len(body), time.monotonic())
                self._sender.start(body)

    async def _wait_for_turn(self) -> None:
        """Wait until no other body is in flight, the record of progress is near, live events have gone, and the rate allows."""
        while True:
            await self._sender.wait_for_capacity()
            if self._sender.in_delivery:
                await self._changed.wait()
            elif self._too_many_uncovered and await self._recorder.covers_more():
                continue
            elif (live := self._parts.live_wait()) is not None:
                self._waits["turn"] = live
                await asyncio.sleep(self._timing.live_check_seconds)
            elif (wait := self._pace.wait_seconds(time.monotonic())) > 0:
                await asyncio.sleep(wait)
            else:
                self._waits.pop("turn", None)
                return

    @property
    def _too_many_uncovered(self) -> bool:
        return self._keeper.uncovered >= self._parts.flow.destination.limits.max_uncommitted

    def _state(self) -> tuple[State, str | None]:
        """Return the state of the job, and why it does not move. Raises the defect that made the sender unreliable."""
        self._raise_defect()
        reasons = self._reasons()
        return ("waiting", reasons[0][1]) if reasons else ("running", None)

    def _reasons(self) -> list[tuple[str, str]]:
        """Return the parts that wait, and why, the most important first."""
        flow, problem = self._parts.flow, self._parts.flow.problem
        found = [problem.reason] if problem else flow.state.open_rejections
        return [*(("destination", text) for text in found), *self._waits.items()]

    def _raise_defect(self) -> None:
        if self._sender.defect is not None:
            raise self._sender.defect

    def _on_delivered(self, tracked: TrackedRecords) -> None:
        ending = "dead_lettered" if self._parts.letters.took(tracked.records) else "sent"
        self._keeper.ended(tracked, ending)  # type: ignore[arg-type]
        self._changed.notify()

    async def _on_chunk_waits(self, reason: str | None) -> None:
        """Send what is complete while a chunk waits, so that nothing else waits with it."""
        if reason is None:
            self._waits.pop("chunk", None)
            return
        self._waits["chunk"] = reason
        await self._send(self._bodies.flush())


class _SourceFailedError(Exception):
    """The source could not be read; a later attempt may succeed."""

    def __init__(self, error: Exception) -> None:
        waits = isinstance(error, SourceWaitsError)
        super().__init__(str(error) if waits else f"Its records cannot be read: {describe(error)}")
        self.error = error
