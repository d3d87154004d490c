"""Bodies on their way to a destination, until every row of them is accepted or a dead letter."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from consumer.delivery.batch import RECORD_OVERHEAD_BYTES, Rows, json_array_bytes
from consumer.delivery.bisection import AcceptanceLog, BodyRejection, RejectBisector
from consumer.delivery.circuit_breaker import PAUSED_CAP_SECONDS, PAUSED_FIRST_SECONDS, CircuitBreaker
from consumer.delivery.dead_letters import DeadLetterWriter
from consumer.destinations.outcome import Outcome, Paused, Reject, Retry, Sent, Split
from consumer.metrics import PipelineMetrics
from relay.aio import Signal
from relay.kafka import TopicPartition
from relay.kafka.producer import TopicWriteError
from relay.retry import backoff_seconds

DEAD_LETTERS_AT_A_TIME = 100

T = TypeVar("T")

PendingDeadLetter = tuple[Rows, str]
"""One record, and why it becomes a dead letter."""


class Destination(Protocol):
    """One stream of a destination."""

    def body(self, encoded: Sequence[bytes]) -> bytes:
        """The request body for these rows; called in a thread."""

    async def send(self, body: bytes) -> Outcome:
        """One request; raises nothing but cancellation."""


class StreamState:
    """What all deliveries to one stream share, across assignments."""

    def __init__(
        self,
        destination: Destination,
        breaker: CircuitBreaker,
        dead_letters: DeadLetterWriter,
        metrics: PipelineMetrics,
    ) -> None:
        self.destination = destination
        self.breaker = breaker
        self.dead_letters = dead_letters
        self.metrics = metrics
        self.acceptance_log = AcceptanceLog()
        self.bisection_lock = asyncio.Lock()
        self.suspicion_lock = asyncio.Lock()
        self.accepted = 0
        """Events accepted so far."""
        self.dead_lettered = 0
        """Dead letters so far."""
        self.data_loss: str | None = None
        """What Kafka had deleted, the last time that it had deleted anything before it was accepted."""
        self.corrupt_batches: dict[TopicPartition, str] = {}
        """What cannot be read."""
        self.suspected_config_fault: dict[int, str] = {}
        """Of each body that was refused, while nothing else is accepted: what that may mean."""
        self.dead_letter_failures: dict[int, str] = {}
        """Of each that has records for the dead-letter topic, while Kafka does not confirm them: why."""
        self._accepted_event = Signal()

    @property
    def problem(self) -> Retry | Paused | None:
        """Why events are not accepted; None while they are."""
        reason = next(
            iter((*self.suspected_config_fault.values(), *self.dead_letter_failures.values())), None
        )
        return self.breaker.problem if reason is None else Paused(reason)

    async def send(self, rows: Rows, body: bytes, *, warn: bool) -> Outcome:
        """One request. `warn`: its answer is logged even if the breaker is open already."""
        started, moment = time.monotonic(), self.acceptance_log.tick()
        outcome = await self.destination.send(body)
        self.metrics.request_ended(
            warn or self.breaker.problem is None,
            outcome,
            len(rows),
            json_array_bytes(rows),
            len(body),
            time.monotonic() - started,
        )
        self.acceptance_log.record_answer(moment, accepted=isinstance(outcome, Sent))
        if isinstance(outcome, Sent):
            self.accepted += len(rows)
            self.suspected_config_fault.clear()
            self._accepted_event.notify()
        return outcome

    async def accepted_within(self, seconds: float) -> bool:
        """Whether the stream has accepted anything in this time."""
        try:
            async with asyncio.timeout(seconds):
                await self._accepted_event.wait()
        except TimeoutError:
            return False
        return True


class Sender:
    """The deliveries of one assignment.

    `on_delivered` is called once for each row that is accepted or is on the dead-letter topic, never after `close`.
    `membership_valid` is waited for before each request: whoever was frozen, or hears nothing of Kafka, may have been replaced
    by somebody who sends the same.
    """

    def __init__(
        self,
        stream: StreamState,
        on_delivered: Callable[[Rows], None],
        membership_valid: Callable[[], Awaitable[None]],
    ) -> None:
        self._stream = stream
        self._on_delivered = on_delivered
        self._membership_valid = membership_valid
        self._tasks: dict[asyncio.Task[None], tuple[Rows, int]] = {}
        self._uninterruptible: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._changed = Signal()
        self.bytes = 0
        """Of the rows being delivered, and of the records they were made of."""
        self.defect: BaseException | None = None
        """A defect that ended a delivery."""

    def start(self, rows: Rows) -> None:
        """Send these rows as one body, and go on until they are delivered."""
        self._start_task(rows, self._deliver(rows), f"delivery of {len(rows)} events")

    def dead_letter(self, rows: Rows, reasons: Sequence[str]) -> None:
        """These records cannot be read: make dead letters of them. What is encoded does not matter."""
        self._start_task(
            rows, self._dead_letter(rows, "unreadable", reasons, None), f"{len(rows)} dead letters"
        )

    def oldest_ms(self) -> int | None:
        """Timestamp of the oldest record being delivered."""
        return min((rows.records[0].timestamp for rows, _ in self._tasks.values()), default=None)

    async def wait_for_capacity(self, limit: int) -> None:
        """Wait until less than `limit` bytes are being delivered."""
        while self.bytes >= limit:
            await self._changed.wait()

    async def wait_until_finished(self, seconds: float) -> bool:
        """Wait for the deliveries that are under way; whether all were delivered in this time."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        return not self._tasks

    def stop_accepting(self) -> None:
        """From now on no request is started and no dead letter written."""
        self._closing = True
        for task in self._tasks.keys() - self._uninterruptible:
            task.cancel()

    async def close(self, seconds: float) -> None:
        """Start nothing any more; what is under way has so long to be answered, and is then given up."""
        self.stop_accepting()
        await self.wait_until_finished(seconds)
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=1)

    def _start_task(self, rows: Rows, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        size = json_array_bytes(rows) + sum(
            len(record.value or b"") + RECORD_OVERHEAD_BYTES for record in rows.records
        )
        self._tasks[task] = (rows, size)
        self.bytes += size
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        _, size = self._tasks.pop(task)
        self.bytes -= size
        if not task.cancelled():
            self.defect = task.exception() or self.defect
        self._changed.notify()

    async def _deliver(self, rows: Rows) -> None:
        outcome = await self._send_until_answered(rows)
        if not isinstance(outcome, Sent):
            await self._bisect(rows, outcome)

    async def _send_until_answered(self, rows: Rows) -> Sent | BodyRejection:
        """Send until there is an answer about the rows."""
        body = await asyncio.to_thread(self._stream.destination.body, rows.encoded)
        while True:
            outcome = await self._send_once(rows, body)
            match outcome:
                case Sent():
                    self._record_accepted(rows)
                    return outcome
                case Split() | Reject():
                    return outcome
                case Retry() | Paused():
                    continue

    async def _send_once(self, rows: Rows, body: bytes) -> Outcome:
        self._stop_if_closing()
        permit = await self._stream.breaker.acquire()
        outcome = None
        try:
            await self._membership_valid()
            outcome = await self._uninterrupted(self._stream.send(rows, body, warn=permit.probe))
        finally:
            self._stream.breaker.release(permit, outcome)
        return outcome

    def _record_accepted(self, rows: Rows) -> None:
        self._on_delivered(rows)
        newest = max(record.timestamp for record in rows.records[-1:])
        self._stream.metrics.set_lag_seconds(max(0.0, time.time() - newest / 1000))

    async def _bisect(self, rows: Rows, rejection: BodyRejection) -> None:
        self._stream.metrics.body_bisected(rejection.reason, len(rows))
        bisector = RejectBisector(rows, rejection, self._stream.acceptance_log)
        try:
            await self._bisect_until_done(bisector)
        finally:
            self._stream.suspected_config_fault.pop(id(bisector), None)

    async def _bisect_until_done(self, bisector: RejectBisector) -> None:
        attempt = 0
        while True:
            confirmed_bad = []
            async with self._stream.bisection_lock:
                while (part := bisector.next_rows()) is not None:
                    outcome = await self._send_until_answered(part)
                    if isinstance(outcome, Sent):
                        bisector.record_accepted()
                    elif bisector.record_rejected(part, outcome):
                        confirmed_bad.append((part, outcome))
            for each, rejection in confirmed_bad:  # others may bisect meanwhile: to write it may take long
                await self._reject_row(each, rejection)
            if bisector.done:
                return
            if bisector.config_fault_suspected:
                self._stream.suspected_config_fault[id(bisector)] = _config_fault_text(
                    bisector.last_rejection
                )
            wait = backoff_seconds(
                attempt, random.random(), first=PAUSED_FIRST_SECONDS, cap=PAUSED_CAP_SECONDS
            )
            attempt += 1
            if not await self._accepted_within(wait, bisector):
                for each in bisector.restart():
                    await self._reject_row(each, bisector.last_rejection)

    async def _accepted_within(self, seconds: float, bisector: RejectBisector) -> bool:
        """While nothing is accepted one waits and tries again after the other, or thousands would do so twice a minute."""
        stream, key = self._stream, id(bisector)
        if key not in stream.suspected_config_fault:
            return await stream.accepted_within(seconds)
        async with stream.suspicion_lock:
            return key not in stream.suspected_config_fault or await stream.accepted_within(seconds)

    async def _reject_row(self, rows: Rows, rejection: BodyRejection) -> None:
        await self._dead_letter(rows, "refused", [rejection.reason], rejection.status)

    async def _dead_letter(self, rows: Rows, why: str, reasons: Sequence[str], status: int | None) -> None:
        """So many at a time, each until it is written."""
        pending = list(zip(rows.single_rows(), reasons, strict=True))
        try:
            await self._write_all_dead_letters(pending, why, status)
        finally:
            self._stream.dead_letter_failures.pop(id(pending), None)

    async def _write_all_dead_letters(
        self, dead_letters: list[PendingDeadLetter], why: str, status: int | None
    ) -> None:
        pending, attempt = dead_letters, 0
        while pending:
            chunk, pending = pending[:DEAD_LETTERS_AT_A_TIME], pending[DEAD_LETTERS_AT_A_TIME:]
            failed = await self._write_dead_letters(chunk, why, status)
            pending = [dead_letter for dead_letter, _ in failed] + pending
            if failed:
                self._stream.dead_letter_failures[id(dead_letters)] = _dead_letter_failure_text(failed[0][1])
                self._stream.metrics.dead_letter_write_failed(len(failed), str(failed[0][1]))
                await asyncio.sleep(backoff_seconds(attempt, random.random(), cap=10.0))
            else:
                self._stream.dead_letter_failures.pop(id(dead_letters), None)
            attempt = attempt + 1 if failed else 0

    async def _write_dead_letters(
        self, dead_letters: Sequence[PendingDeadLetter], why: str, status: int | None
    ) -> list[tuple[PendingDeadLetter, TopicWriteError]]:
        """Returns those that Kafka did not confirm."""
        self._stop_if_closing()
        await self._membership_valid()
        puts = [
            self._stream.dead_letters.put(rows.records[0], reason, status) for rows, reason in dead_letters
        ]
        results = await self._uninterrupted(asyncio.gather(*puts, return_exceptions=True))
        failed = []
        for dead_letter, result in zip(dead_letters, results, strict=True):
            if isinstance(result, TopicWriteError):
                failed.append((dead_letter, result))
            elif result is not None:
                raise result
            else:
                rows, reason = dead_letter
                self._stream.dead_lettered += 1
                self._stream.metrics.dead_lettered(rows.records[0], why, reason)
                self._on_delivered(rows)
        return failed

    def _stop_if_closing(self) -> None:
        if self._closing:
            raise asyncio.CancelledError

    async def _uninterrupted(self, awaitable: Awaitable[T]) -> T:
        """What must not be cut off while it may still end in time."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._uninterruptible.add(task)
        try:
            return await awaitable
        finally:
            self._uninterruptible.discard(task)


def _config_fault_text(rejection: BodyRejection) -> str:
    return (
        f"What was sent is refused ({rejection.reason}), and nothing else has been accepted since: if everything is refused,"
        " the rule's stream, transform or table does not fit these rows: deploy deploy/azure again. Nothing is dropped;"
        " it is tried again with what comes."
    )


def _dead_letter_failure_text(error: TopicWriteError) -> str:
    return (
        f"Records that cannot be delivered wait for the dead-letter topic ({str(error).removesuffix('.')}): see whether it is"
        " there, and whether we may write to it. Nothing is dropped."
    )
