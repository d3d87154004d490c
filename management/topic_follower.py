"""Follow topics on request: each call reads what is new since the last one, in bounded work."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from management.organizations.store import kafka_errors_as_relay_errors
from relay.aio import cancellation_requested
from relay.errors import RelayError
from relay.kafka import Record, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import (
    CorruptBatchError,
    partitions_of,
    read_batches,
    stable_bounds,
    standalone_consumer,
)


@dataclass(frozen=True, slots=True)
class FollowerTiming:
    """`fresh_seconds`: a call so soon after another reads nothing. `retry_seconds`: nor does one so soon after a failure.

    `read_seconds`: the bound of one reading. `forget_seconds`: the age at which everything is read again, as it is without a
    call for so long.
    """

    fresh_seconds: float = 1.0
    retry_seconds: float = 5.0
    read_seconds: float = 8.0
    forget_seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class ReadState:
    """What the last reading was: `as_of` in ms UTC, None: never yet; `failure`: why it failed, None: it did not."""

    as_of: int | None = None
    failure: str | None = None
    passed: int = 0
    """Offsets that the last reading passed over, because more were new than it may read."""


class TopicFollower:
    """Hands the records of some topics to `on_record`, each once, those of a partition in order.

    The first reading begins `most` offsets before the end of each partition, and later ones pass over what is further away.
    `on_reset` is called before everything is read again. Any number of tasks may call; they share one reading.
    """

    def __init__(
        self,
        connection: Connection,
        topics: Sequence[str],
        most: int,
        now_ms: Callable[[], int],
        on_record: Callable[[Record], None],
        on_reset: Callable[[], None],
        timing: FollowerTiming | None = None,
    ) -> None:
        self._connection = connection
        self._topics = topics
        self._most = most
        self._now_ms = now_ms
        self._on_record = on_record
        self._on_reset = on_reset
        self._timing = timing or FollowerTiming()
        self._positions: dict[TopicPartition, int] = {}
        self._lock = asyncio.Lock()
        self._read_at: float | None = None
        self._began_at: float | None = None
        self.state = ReadState()
        self.problems: dict[tuple[TopicPartition, int], str] = {}
        """A sentence for each batch that cannot be read."""

    async def refresh(self) -> ReadState:
        """Read what is new. A failure leaves what was read before, and its reason in the state."""
        async with self._lock:
            if not self._is_fresh():
                passed = 0
                try:
                    began = self._now_ms()
                    passed = await self._bounded_read()
                    self.state = ReadState(began, None, passed)
                except RelayError as error:
                    self.state = ReadState(self.state.as_of, str(error))
                self._read_at = time.monotonic()
            return self.state

    def _is_fresh(self) -> bool:
        wait = self._timing.fresh_seconds if self.state.failure is None else self._timing.retry_seconds
        return self._read_at is not None and time.monotonic() - self._read_at < wait

    async def _bounded_read(self) -> int:
        try:
            with kafka_errors_as_relay_errors(self._connection):
                async with asyncio.timeout(self._timing.read_seconds):
                    return await self._read()
        except asyncio.CancelledError:
            if cancellation_requested():
                raise
            raise RelayError(
                "The client of Kafka ended a reading. It is repeated with the next request."
            ) from None

    async def _read(self) -> int:
        await self._connection.verify()
        async with standalone_consumer(self._connection) as consumer:
            starts, ends, passed = await self._next_ranges(consumer)
            reading = {tp: start for tp, start in starts.items() if start < ends[tp]}
            if reading:
                async for records in read_batches(consumer, reading, ends, 500, self._keep_problem):
                    for record in records:
                        self._take(record)
        self._positions = ends
        return passed

    async def _next_ranges(
        self, consumer: Any
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int], int]:
        """Return where to begin and to end in each partition, and how many offsets are passed over."""
        tps = [
            TopicPartition(topic, number)
            for topic in self._topics
            for number in await partitions_of(consumer, topic)
        ]
        bounds = await stable_bounds(consumer, tps)
        ends = {tp: bounds[tp].last_stable_offset for tp in tps}
        if self._must_begin_again(ends):
            self._positions, self._began_at = {}, time.monotonic()
            self.state = ReadState()
            self.problems.clear()
            self._on_reset()
        starts, passed = {}, 0
        for tp in tps:
            nearest = max(bounds[tp].log_start_offset, ends[tp] - self._most)
            known = self._positions.get(tp)
            starts[tp] = nearest if known is None else max(known, nearest)
            passed += 0 if known is None else max(0, nearest - known)
        return starts, ends, passed

    def _must_begin_again(self, ends: dict[TopicPartition, int]) -> bool:
        """Return whether this is the first reading, the last is long ago, or a log lost its end or was made again."""
        began, now = self._began_at, time.monotonic()
        return (
            began is None
            or now - began > self._timing.forget_seconds
            or any(end < self._positions.get(tp, 0) for tp, end in ends.items())
        )

    def _take(self, record: Record) -> None:
        self._positions[TopicPartition(record.topic, record.partition)] = record.offset + 1
        self._on_record(record)

    def _keep_problem(self, error: CorruptBatchError) -> None:
        if len(self.problems) < 20:
            self.problems[error.tp, error.next_offset] = str(error)
