"""The sender of bodies: each row ends as accepted or as a dead letter."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from consumer.decoding.event_times import live_created_ms
from consumer.delivery.batch import Rows, record_bytes
from consumer.delivery.dead_letters import DeadLetterSender
from consumer.delivery.defects import DEFECTS, defect_text, describe_defect
from consumer.delivery.flow import DeliveryFlow
from consumer.delivery.in_delivery import Delivery, Work, oldest_ms, oldest_record
from consumer.delivery.rejected_bodies import RejectedBodies, Rejection
from consumer.delivery.routes import route_of_record
from consumer.delivery.traces import BodyTrace, traced_body
from consumer.destinations.outcome import (
    Dropped,
    Outcome,
    Partial,
    Paused,
    Reject,
    Retry,
    Sent,
    Split,
    Unconfirmed,
)
from consumer.offsets.tracker import TrackedRecords
from relay.aio import Signal

T = TypeVar("T")


class Sender:
    """The deliveries of one assignment; a task for each body.

    `on_delivered` is called once for each record that is accepted or is on the dead-letter topic, never after `close`.
    Each request waits for `wait_for_membership` first: a process that was frozen, or cannot reach Kafka, may have been replaced
    by another that sends the same records. `changed` is notified when a delivery ends, or waits for another body.
    """

    def __init__(
        self,
        flow: DeliveryFlow,
        on_delivered: Callable[[TrackedRecords], None],
        wait_for_membership: Callable[[], Awaitable[None]],
        changed: Signal,
    ) -> None:
        self._flow = flow
        self._on_delivered = on_delivered
        self._wait_for_membership = wait_for_membership
        self._tasks: dict[asyncio.Task[None], Work] = {}
        self._uninterruptible: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._changed = changed
        self._dead_letters = DeadLetterSender(
            flow.dead_letters,
            flow.state,
            flow.metrics,
            flow.timing,
            on_delivered,
            self._may_act,
            self._uninterrupted,
        )
        self._rejected_bodies = RejectedBodies(
            flow, self._dead_letters, self._send_until_accepted_or_rejected, changed
        )
        self.bytes = 0
        """Bytes of the rows and records in delivery."""
        self.defect: BaseException | None = None
        """A defect of the sender itself. It leaves unknown which rows were delivered, so it ends the assignment."""

    def start(self, rows: Rows) -> None:
        """Deliver these rows, as one body at first."""
        work, name = self._deliver(rows), f"delivery of {len(rows)} events"
        self._start_task(rows.tracked, rows.memory_bytes(), work, name, holds_slot=True)

    def dead_letter(self, tracked: TrackedRecords, reasons: Sequence[str]) -> None:
        """Make dead letters of records that cannot be read."""
        self._start_dead_letters(tracked, "unreadable", reasons, None)

    @property
    def in_delivery(self) -> bool:
        """Whether a delivery goes on that waits for no other body: a rejected one may need the acceptance of the next."""
        return len(self._tasks) > len(self._rejected_bodies.waiting)

    def deliveries(self) -> Iterator[Delivery]:
        """Return what is in delivery now."""
        for task, work in self._tasks.items():
            needs_witness = task in self._rejected_bodies.waiting
            yield Delivery(work.tracked, work.bytes, work.route, work.holds_slot, work.begun, needs_witness)

    def oldest_ms(self) -> int | None:
        """Return the timestamp of the oldest record in delivery, in ms UTC; None: there is none."""
        return min((oldest_ms(each.tracked) for each in self._tasks.values()), default=None)

    async def wait_for_capacity(self) -> None:
        """Wait until the limits of the destination allow another body."""
        limits = self._flow.destination.limits
        while self.bytes >= limits.in_flight_bytes or (
            limits.in_flight_bodies is not None
            and sum(each.holds_slot for each in self._tasks.values()) >= limits.in_flight_bodies
        ):
            await self._changed.wait()

    async def wait_until_finished(self, seconds: float) -> bool:
        """Wait for the deliveries in flight; return whether all of them finished within this time."""
        try:
            async with asyncio.timeout(seconds):
                while self._tasks:
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def stop_accepting(self) -> None:
        """Start no request and write no dead letter from now on."""
        self._closing = True
        for task in self._tasks.keys() - self._uninterruptible:
            task.cancel()

    async def close(self, seconds: float) -> None:
        """Start nothing more; give up requests that are not answered within `seconds`."""
        self.stop_accepting()
        await self.wait_until_finished(seconds)
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=1)

    def _start_dead_letters(
        self, tracked: TrackedRecords, category: str, reasons: Sequence[str], status: int | None
    ) -> None:
        size = record_bytes(tracked.records)
        work = self._dead_letters.send(tracked, category, reasons, status)
        self._start_task(tracked, size, work, f"{len(tracked)} dead letters")

    def _start_task(
        self,
        tracked: TrackedRecords,
        size: int,
        work: Coroutine[Any, Any, None],
        name: str,
        *,
        holds_slot: bool = False,
    ) -> None:
        route = route_of_record(tracked.records[0], self._flow.destination.limits.routes)
        task = asyncio.create_task(work, name=name)
        self._tasks[task] = Work(tracked, size, route, holds_slot, time.monotonic())
        self.bytes += size
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        ended = self._tasks.pop(task)
        self._flow.state.body_ended(task)
        self.bytes -= ended.bytes
        if not task.cancelled():
            self.defect = task.exception() or self.defect
        elif not self._closing:
            self.defect = RuntimeError(f"the {task.get_name()} was cancelled from inside a library")
        self._changed.notify()

    async def _deliver(self, rows: Rows) -> None:
        rejection = await self._send_until_accepted_or_rejected(rows)
        if rejection is not None:
            self._release_slot()
            await self._rejected_bodies.bisect(*rejection)

    def _release_slot(self) -> None:
        """Let another body take the slot of this one, which waits for its witness: only another can be the witness."""
        task = asyncio.current_task()
        if task is not None and task in self._tasks:
            self._tasks[task].holds_slot = False
        self._changed.notify()

    async def _send_until_accepted_or_rejected(self, rows: Rows) -> Rejection | None:
        """Send until the destination has judged the rows. Return those of a rejection; None: all are accepted or dead letters."""
        with traced_body(self._flow.metrics, rows, self._flow.replay) as trace:
            return await self._send_until_judged(rows, trace)

    async def _send_until_judged(self, rows: Rows, trace: BodyTrace | None) -> Rejection | None:
        content, unconfirmed = await self._build_body(rows), 0
        while True:
            outcome = await self._send_once(rows, content, trace)
            match outcome:
                case Sent():
                    self._record_accepted(rows, trace)
                    return None
                case Dropped():
                    reasons = [outcome.reason] * len(rows)
                    self._start_dead_letters(rows.tracked, "unnamed", reasons, outcome.status)
                    return None
                case Unconfirmed():
                    self._release_slot()
                    if await self._flow.confirm(rows, content, outcome, unconfirmed):
                        self._record_accepted(rows, trace)
                        return None
                    unconfirmed += 1
                case Split() | Reject():
                    return rows, outcome
                case Partial():
                    rejection = self._record_judged(rows, outcome, trace)
                    if not outcome.retry:
                        return rejection
                    self._start_bisection(rejection)
                    rows = rows.select(sorted(outcome.retry))
                    content = await self._build_body(rows)
                case Retry() | Paused():
                    continue

    def _start_bisection(self, rejection: Rejection | None) -> None:
        """Bisect rejected rows beside the rows to retry; None: there are none."""
        if rejection is not None:
            rows, size = rejection[0], rejection[0].memory_bytes()
            work = self._rejected_bodies.bisect(*rejection)
            self._start_task(rows.tracked, size, work, "bisection of rejected events")

    def _record_judged(self, rows: Rows, outcome: Partial, trace: BodyTrace | None) -> Rejection | None:
        """Record accepted rows and make dead letters of rejected ones. Return rejected rows that have no witness.

        1. A row may be rejected because the whole configuration is wrong; then it must not become a dead letter.
        2. An accepted row in the same answer proves that the configuration works: it is the witness.
        3. Without one the rejected rows go to the bisector, which waits for a witness in the acceptance log.
        """
        rejected = sorted(outcome.rejected)
        accepted = sorted(set(range(len(rows))) - outcome.rejected.keys() - outcome.retry)
        if accepted:
            self._record_accepted(rows.select(accepted), trace)
        if not rejected:
            return None
        reasons = [outcome.rejected[index] for index in rejected]
        if not accepted:
            return rows.select(rejected), Reject(reasons[0], outcome.status)
        self._start_dead_letters(rows.tracked.select(rejected), "rejected", reasons, outcome.status)
        return None

    async def _build_body(self, rows: Rows) -> bytes:
        """Build the body in a thread; after a defect try again, since no row may be dropped for it."""
        key, attempt = object(), 0
        try:
            while True:
                try:
                    return await self._flow.run_in_worker(self._flow.destination.body, rows.encoded)
                except DEFECTS as error:
                    await self._wait_after_defect(key, "building a body", error, attempt)
                    attempt += 1
        finally:
            self._flow.state.defect_cleared(key)

    async def _wait_after_defect(self, key: object, step: str, error: BaseException, attempt: int) -> None:
        defect = describe_defect(error)
        self._flow.state.defect_found(key, defect_text(step, defect))
        self._flow.metrics.delivery_failed(step, defect)
        await asyncio.sleep(self._flow.timing.defect.wait(attempt, random.random()))

    async def _send_once(self, rows: Rows, content: bytes, trace: BodyTrace | None) -> Outcome:
        self._stop_if_closing()
        breaker = self._flow.route_state(rows).breaker
        permit = await breaker.acquire()
        outcome = None
        try:
            await self._wait_for_membership()
            outcome = await self._uninterrupted(self._flow.send(rows, content, trace))
        finally:
            breaker.release(permit, outcome)
            self._changed.notify()
        return outcome

    def _record_accepted(self, rows: Rows, trace: BodyTrace | None) -> None:
        self._on_delivered(rows.tracked)
        if trace is not None:
            trace.accepted(rows.tracked.records)
        oldest, newest = oldest_record(rows.tracked), rows.tracked.records[-1]
        self._flow.metrics.body_delivered(
            round(time.time() * 1000), oldest.timestamp, newest.timestamp, live_created_ms(oldest)
        )

    async def _may_act(self) -> None:
        """Wait until this process certainly owns its partitions. Raises CancelledError when the sender closes."""
        self._stop_if_closing()
        await self._wait_for_membership()

    def _stop_if_closing(self) -> None:
        if self._closing:
            raise asyncio.CancelledError

    async def _uninterrupted(self, awaitable: Awaitable[T]) -> T:
        """Await a request that `stop_accepting` must not cancel, since its answer may still come in time."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._uninterruptible.add(task)
        try:
            return await awaitable
        finally:
            self._uninterruptible.discard(task)
