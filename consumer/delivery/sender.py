"""Bodies on their way to a destination, until every row of them is accepted or a dead letter."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from consumer.delivery.batch import RECORD_BYTES, Rows, array_bytes
from consumer.delivery.bisection import Refusal, Sift, Witness
from consumer.delivery.circuit_breaker import PAUSED_CAP_SECONDS, PAUSED_FIRST_SECONDS, Gate
from consumer.delivery.dead_letters import DeadLetters
from consumer.destinations.outcome import Outcome, Paused, Reject, Retry, Sent, Split
from consumer.metrics import FlowMetrics
from relay.aio import Signal
from relay.kafka import TopicPartition
from relay.kafka.producer import TopicWriteError
from relay.retry import backoff_seconds

LETTERS_AT_A_TIME = 100

T = TypeVar("T")

Letter = tuple[Rows, str]
"""One record, and why it becomes a dead letter."""


class Sender(Protocol):
    """One stream of a destination."""

    def body(self, encoded: Sequence[bytes]) -> bytes:
        """The request body for these rows; called in a thread."""

    async def send(self, body: bytes) -> Outcome:
        """One request; raises nothing but cancellation."""


class Outlet:
    """What all deliveries to one stream share, across assignments."""

    def __init__(self, sender: Sender, gate: Gate, letters: DeadLetters, metrics: FlowMetrics) -> None:
        self.sender = sender
        self.gate = gate
        self.letters = letters
        self.metrics = metrics
        self.witness = Witness()
        self.sifting = asyncio.Lock()
        self.doubting = asyncio.Lock()
        self.accepted = 0
        """Events accepted so far."""
        self.buried = 0
        """Dead letters so far."""
        self.loss: str | None = None
        """What Kafka had deleted, the last time that it had deleted anything before it was accepted."""
        self.damage: dict[TopicPartition, str] = {}
        """What cannot be read."""
        self.doubts: dict[int, str] = {}
        """Of each body that was refused, while nothing else is accepted: what that may mean."""
        self.unwritten: dict[int, str] = {}
        """Of each that has records for the dead-letter topic, while Kafka does not confirm them: why."""
        self._accepted = Signal()

    @property
    def trouble(self) -> Retry | Paused | None:
        """Why events are not accepted; None while they are."""
        reason = next(iter((*self.doubts.values(), *self.unwritten.values())), None)
        return self.gate.trouble if reason is None else Paused(reason)

    async def post(self, rows: Rows, body: bytes, *, news: bool) -> Outcome:
        """One request. `news`: its answer is told even if the gate is in trouble already."""
        begun, moment = time.monotonic(), self.witness.now()
        outcome = await self.sender.send(body)
        self.metrics.answered(
            news or self.gate.trouble is None,
            outcome,
            len(rows),
            array_bytes(rows),
            len(body),
            time.monotonic() - begun,
        )
        self.witness.answered(moment, accepted=isinstance(outcome, Sent))
        if isinstance(outcome, Sent):
            self.accepted += len(rows)
            self.doubts.clear()
            self._accepted.notify()
        return outcome

    async def accepts_within(self, seconds: float) -> bool:
        """Whether the stream has accepted anything in this time."""
        try:
            async with asyncio.timeout(seconds):
                await self._accepted.wait()
        except TimeoutError:
            return False
        return True


class Deliveries:
    """The deliveries of one assignment.

    `settle` is called once for each row that is accepted or stands on the dead-letter topic, never after `close`. `ours` is
    waited for before each request: whoever was frozen, or hears nothing of Kafka, may have been replaced by somebody who
    sends the same.
    """

    def __init__(
        self, outlet: Outlet, settle: Callable[[Rows], None], ours: Callable[[], Awaitable[None]]
    ) -> None:
        self._outlet = outlet
        self._settle = settle
        self._ours = ours
        self._tasks: dict[asyncio.Task[None], tuple[Rows, int]] = {}
        self._acting: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._changed = Signal()
        self.bytes = 0
        """Of the rows being delivered, and of the records they were made of."""
        self.failure: BaseException | None = None
        """A defect that ended a delivery."""

    def start(self, rows: Rows) -> None:
        """Send these rows as one body, and go on until they are settled."""
        self._run(rows, self._deliver(rows), f"delivery of {len(rows)} events")

    def bury(self, rows: Rows, reasons: Sequence[str]) -> None:
        """These records cannot be read: make dead letters of them. What is encoded does not matter."""
        self._run(rows, self._bury(rows, "unreadable", reasons, None), f"{len(rows)} dead letters")

    def oldest_ms(self) -> int | None:
        """Timestamp of the oldest record being delivered."""
        return min((rows.records[0].timestamp for rows, _ in self._tasks.values()), default=None)

    async def room(self, limit: int) -> None:
        """Wait until less than `limit` bytes are being delivered."""
        while self.bytes >= limit:
            await self._changed.wait()

    async def finished(self, seconds: float) -> bool:
        """Wait for the deliveries that are under way; whether all were settled in this time."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        return not self._tasks

    def start_no_more(self) -> None:
        """From now on no request is begun and no dead letter written."""
        self._closing = True
        for task in self._tasks.keys() - self._acting:
            task.cancel()

    async def close(self, seconds: float) -> None:
        """Start nothing any more; what is under way has so long to be answered, and is then given up."""
        self.start_no_more()
        await self.finished(seconds)
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=1)

    def _run(self, rows: Rows, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        size = array_bytes(rows) + sum(len(record.value or b"") + RECORD_BYTES for record in rows.records)
        self._tasks[task] = (rows, size)
        self.bytes += size
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        _, size = self._tasks.pop(task)
        self.bytes -= size
        if not task.cancelled():
            self.failure = task.exception() or self.failure
        self._changed.notify()

    async def _deliver(self, rows: Rows) -> None:
        outcome = await self._request(rows)
        if not isinstance(outcome, Sent):
            await self._sift(rows, outcome)

    async def _request(self, rows: Rows) -> Sent | Refusal:
        """Send until there is an answer about the rows."""
        body = await asyncio.to_thread(self._outlet.sender.body, rows.encoded)
        while True:
            outcome = await self._once(rows, body)
            match outcome:
                case Sent():
                    self._accepted(rows)
                    return outcome
                case Split() | Reject():
                    return outcome
                case Retry() | Paused():
                    continue

    async def _once(self, rows: Rows, body: bytes) -> Outcome:
        self._go_on()
        turn = await self._outlet.gate.enter()
        outcome = None
        try:
            await self._ours()
            outcome = await self._act(self._outlet.post(rows, body, news=turn.probe))
        finally:
            self._outlet.gate.leave(turn, outcome)
        return outcome

    def _accepted(self, rows: Rows) -> None:
        self._settle(rows)
        newest = max(record.timestamp for record in rows.records[-1:])
        self._outlet.metrics.accepted_after(max(0.0, time.time() - newest / 1000))

    async def _sift(self, rows: Rows, refusal: Refusal) -> None:
        self._outlet.metrics.halved(refusal.reason, len(rows))
        sift = Sift(rows, refusal, self._outlet.witness)
        try:
            await self._sift_all(sift)
        finally:
            self._outlet.doubts.pop(id(sift), None)

    async def _sift_all(self, sift: Sift) -> None:
        attempt = 0
        while True:
            guilty = []
            async with self._outlet.sifting:
                while (piece := sift.next()) is not None:
                    outcome = await self._request(piece)
                    if isinstance(outcome, Sent):
                        sift.accepted()
                    elif sift.refused(piece, outcome):
                        guilty.append((piece, outcome))
            for each, why in guilty:  # others may sift meanwhile: to write it may take long
                await self._condemn(each, why)
            if sift.done:
                return
            if sift.in_doubt:
                self._outlet.doubts[id(sift)] = _doubt(sift.refusal)
            wait = backoff_seconds(
                attempt, random.random(), first=PAUSED_FIRST_SECONDS, cap=PAUSED_CAP_SECONDS
            )
            attempt += 1
            if not await self._accepts_within(wait, sift):
                for each in sift.again():
                    await self._condemn(each, sift.refusal)

    async def _accepts_within(self, seconds: float, sift: Sift) -> bool:
        """While nothing is accepted one waits and tries again after the other, or thousands would do so twice a minute."""
        outlet, me = self._outlet, id(sift)
        if me not in outlet.doubts:
            return await outlet.accepts_within(seconds)
        async with outlet.doubting:
            return me not in outlet.doubts or await outlet.accepts_within(seconds)

    async def _condemn(self, rows: Rows, refusal: Refusal) -> None:
        await self._bury(rows, "refused", [refusal.reason], refusal.status)

    async def _bury(self, rows: Rows, why: str, reasons: Sequence[str], status: int | None) -> None:
        """So many at a time, each until it is written."""
        left = list(zip(rows.singly(), reasons, strict=True))
        try:
            await self._put_all(left, why, status)
        finally:
            self._outlet.unwritten.pop(id(left), None)

    async def _put_all(self, letters: list[Letter], why: str, status: int | None) -> None:
        left, attempt = letters, 0
        while left:
            some, left = left[:LETTERS_AT_A_TIME], left[LETTERS_AT_A_TIME:]
            failed = await self._put(some, why, status)
            left = [letter for letter, _ in failed] + left
            if failed:
                self._outlet.unwritten[id(letters)] = _unwritten(failed[0][1])
                self._outlet.metrics.dead_letters_wait(len(failed), str(failed[0][1]))
                await asyncio.sleep(backoff_seconds(attempt, random.random(), cap=10.0))
            else:
                self._outlet.unwritten.pop(id(letters), None)
            attempt = attempt + 1 if failed else 0

    async def _put(
        self, letters: Sequence[Letter], why: str, status: int | None
    ) -> list[tuple[Letter, TopicWriteError]]:
        """Returns those that Kafka did not confirm."""
        self._go_on()
        await self._ours()
        puts = [self._outlet.letters.put(rows.records[0], reason, status) for rows, reason in letters]
        results = await self._act(asyncio.gather(*puts, return_exceptions=True))
        failed = []
        for letter, result in zip(letters, results, strict=True):
            if isinstance(result, TopicWriteError):
                failed.append((letter, result))
            elif result is not None:
                raise result
            else:
                rows, reason = letter
                self._outlet.buried += 1
                self._outlet.metrics.dead_lettered(rows.records[0], why, reason)
                self._settle(rows)
        return failed

    def _go_on(self) -> None:
        if self._closing:
            raise asyncio.CancelledError

    async def _act(self, doing: Awaitable[T]) -> T:
        """What must not be cut off while it may still end in time."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._acting.add(task)
        try:
            return await doing
        finally:
            self._acting.discard(task)


def _doubt(refusal: Refusal) -> str:
    return (
        f"What was sent is refused ({refusal.reason}), and nothing else has been accepted since: if everything is refused,"
        " the rule's stream, transform or table does not fit these rows: deploy deploy/azure again. Nothing is dropped;"
        " it is tried again with what comes."
    )


def _unwritten(error: TopicWriteError) -> str:
    return (
        f"Records that cannot be delivered wait for the dead-letter topic ({str(error).removesuffix('.')}): see whether it is"
        " there, and whether we may write to it. Nothing is dropped."
    )
