"""Membership in a consumer group."""

import asyncio
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from relay.aio import cancellation_requested
from relay.condition_log import ConditionLog
from relay.errors import describe
from relay.kafka import KAFKA_FAILURES
from relay.kafka.aiokafka_patches.consumer import discard_consumer, patch_consumer
from relay.kafka.aiokafka_patches.coordinator import liveness_problem, patch_coordinator
from relay.kafka.aiokafka_patches.fetch_validation import FetchValidator
from relay.kafka.bounded_consumer import BoundedConsumer
from relay.kafka.connection import Connection
from relay.kafka.join_trouble import JoinTrouble
from relay.kafka.membership_lease import MembershipLease
from relay.kafka.rebalance import MemberHandler, RebalanceListener

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MemberTiming:
    """Waits and bounds of a membership, in seconds."""

    start_seconds: float = 10.0
    poll_seconds: float = 0.3
    """The longest wait for records; the handler is called at least so often."""
    tick_seconds: float = 0.1
    """Between two looks for a freeze of the process."""
    check_seconds: float = 1.0
    """Between two checks of the watchdog."""
    max_failed_checks: int = 3
    patience_seconds: float = 30.0
    """Beyond the session timeout: how long the group may leave the membership unconfirmed."""
    rejoin_first_seconds: float = 0.2
    rejoin_cap_seconds: float = 3.0
    """Waits before the member joins again; they double, and begin anew after `patience_seconds` of membership."""
    error_seconds: float = 5.0
    silence_seconds: float = 15.0
    """How long the group may leave the membership unconfirmed, after an error and without one, before `trouble` names it."""


DEFAULT_TIMING = MemberTiming()


class Member:
    """A membership in a consumer group that outlives every failure of Kafka and aiokafka, until `run` is cancelled.

    A watchdog finds a consumer that has died silently, and replaces it.
    Code that must act as owner only, calls `invalidate()` when the membership is in doubt (fenced, frozen) and
    awaits `wait_for_membership()`: the next heartbeat that the group has confirmed.
    """

    def __init__(
        self,
        connection: Connection,
        group: str,
        topic: str,
        handler: MemberHandler,
        *,
        max_records: int | None = None,
        rebalance_seconds: float | None = None,
        consumer_options: Mapping[str, Any] | None = None,
        timing: MemberTiming = DEFAULT_TIMING,
    ) -> None:
        self._timing = timing
        self._connection = connection
        self._group = group
        self._topic = topic
        self._handler = handler
        self._max_records = max_records
        self._session_seconds = connection.kafka.group_session_timeout_seconds
        self._rebalance_seconds = max(6.0, rebalance_seconds or self._session_seconds)
        self._options = dict(consumer_options or {})
        self._lease = MembershipLease(self._session_seconds)
        self._renewal = asyncio.Event()
        self._conditions = ConditionLog(log)
        self._trouble = JoinTrouble(
            group,
            connection.bootstrap,
            error_seconds=timing.error_seconds,
            silence_seconds=timing.silence_seconds,
        )
        self._synced_at = -math.inf
        """When this member last asked the group for its partitions, in monotonic seconds."""
        self.generation = 0
        """Grows with each new membership. Between two generations, other members may have owned the same partitions."""

    def invalidate(self) -> None:
        """Mark the membership as doubtful until the group confirms it again."""
        self._lease.invalidate()

    @property
    def valid(self) -> bool:
        """Return whether the group has confirmed the membership since the last doubt, and within the session timeout."""
        return self._lease.valid

    @property
    def trouble(self) -> str | None:
        """Why Kafka has not let this process join for some time, since when, and what to do; None: nothing is known to be wrong."""
        return self._trouble.text

    async def wait_for_membership(self) -> None:
        """Wait until the membership is valid."""
        while not self.valid:
            self._renewal.clear()
            await self._renewal.wait()

    def _start_generation(self) -> None:
        self.generation += 1
        self.invalidate()

    def _renew(self, requested_at: float) -> None:
        self._lease.renew(requested_at)
        self._renewal.set()
        self._trouble.confirmed()
        self._conditions.ended(
            "membership", "The group confirms the membership again; it had not", {"group": self._group}
        )

    def _record_sync(self, requested_at: float) -> None:
        self._synced_at = requested_at

    async def run(self) -> None:
        """Stay a member until cancelled."""
        timing = self._timing
        pause = timing.rejoin_first_seconds
        while True:
            started = time.monotonic()
            try:
                await self._join_and_poll()
            except asyncio.CancelledError:
                if cancellation_requested():
                    raise
                self._ended("aiokafka cancelled it")
            except KAFKA_FAILURES as error:
                self._ended(describe(error))
            except Exception:
                log.exception(
                    "The group membership ended because of a defect in the relay; the member rejoins.",
                    group=self._group,
                )
                self._trouble.failed("a defect in the relay; see the log")
            if time.monotonic() - started > timing.patience_seconds:
                pause = timing.rejoin_first_seconds
            await asyncio.sleep(pause)
            pause = min(timing.rejoin_cap_seconds, pause * 2)

    def _ended(self, reason: str) -> None:
        self._trouble.failed(reason)
        self._conditions.failed(
            "membership",
            "ended",
            "The group membership ended; the member joins again.",
            {"group": self._group, "reason": reason},
        )

    async def _join_and_poll(self) -> None:
        self._trouble.began()
        consumer = self._create_consumer()
        self._start_generation()
        try:
            async with asyncio.timeout(self._timing.start_seconds):
                await consumer.start()
            patch_coordinator(consumer, self._renew, self._record_sync)
            failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            validator = FetchValidator()
            validator.attach_to_member(consumer)
            bounded = BoundedConsumer(consumer, self.wait_for_membership, validator)
            consumer.subscribe(
                [self._topic],
                listener=RebalanceListener(
                    consumer,
                    bounded,
                    self._handler,
                    failed,
                    self._start_generation,
                    lambda: self._renew(self._synced_at),
                ),
            )
            await self._run_tasks(consumer, bounded, failed)
        finally:
            await asyncio.shield(self._close(consumer))

    async def _close(self, consumer: AIOKafkaConsumer) -> None:
        try:
            await self._handler.closed()
        finally:
            await discard_consumer(consumer, 3)

    def _create_consumer(self) -> AIOKafkaConsumer:
        session = self._session_seconds
        consumer = AIOKafkaConsumer(
            **self._connection.options(),
            group_id=self._group,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",  # with a policy, aiokafka hides a failed fetch, and reads from the start again and again
            session_timeout_ms=int(session * 1000),
            heartbeat_interval_ms=min(1_000, int(session * 1000 / 3)),
            rebalance_timeout_ms=int(self._rebalance_seconds * 1000),
            request_timeout_ms=int(self._rebalance_seconds * 1000) + 5_000,
            max_poll_interval_ms=300_000,
            check_crcs=False,  # FetchValidator does
            partition_assignment_strategy=(RangePartitionAssignor,),
            **self._options,
        )
        patch_consumer(consumer, self._connection.login)
        return consumer

    async def _run_tasks(
        self, consumer: AIOKafkaConsumer, bounded: BoundedConsumer, failed: asyncio.Future[None]
    ) -> None:
        tasks: set[asyncio.Future[None]] = {
            failed,
            asyncio.create_task(self._poll(consumer, bounded), name=f"poll {self._group}"),
            asyncio.create_task(self._run_watchdog(consumer), name=f"watch {self._group}"),
            asyncio.create_task(self._detect_freezes(), name=f"freezes {self._group}"),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task.cancelled():
                    raise KafkaError("aiokafka cancelled a task of the consumer")
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            ended, _ = await asyncio.wait(tasks, timeout=2)
            for task in ended:
                if not task.cancelled():
                    task.exception()  # the first error is raised; the others need no log line

    async def _poll(self, consumer: AIOKafkaConsumer, bounded: BoundedConsumer) -> None:
        """Read records and pass them to the handler.

        It is not cancelled while the membership lasts: a cancelled getmany disables aiokafka's poll-interval check
        for good.
        """
        while True:
            try:
                batches = await consumer.getmany(
                    timeout_ms=int(self._timing.poll_seconds * 1000), max_records=self._max_records
                )
            except OffsetOutOfRangeError as error:  # raised before any record is taken
                await self._handler.out_of_range(error.args[0])
                continue
            except Exception as error:
                if not (isinstance(error, KafkaError) and error.retriable):
                    bounded.unreliable = True
                    raise
                self._conditions.failed(
                    "reading",
                    type(error).__name__,
                    "Reading from Kafka failed; the member tries again.",
                    {"group": self._group, "reason": describe(error)},
                )
                await asyncio.sleep(self._timing.poll_seconds)
                continue
            self._conditions.ended(
                "reading", "Reading from Kafka works again; it had failed", {"group": self._group}
            )
            await self._handler.records(batches)

    async def _run_watchdog(self, consumer: AIOKafkaConsumer) -> None:
        failed_checks, started, timing = 0, time.monotonic(), self._timing
        while failed_checks < timing.max_failed_checks:
            await asyncio.sleep(timing.check_seconds)
            found = liveness_problem(
                consumer,
                max(started, self._lease.renewed_at),
                timing.patience_seconds + self._session_seconds,
            )
            failed_checks = failed_checks + 1 if found else 0
        raise KafkaError(f"the consumer ended silently: {found}")

    async def _detect_freezes(self) -> None:
        while True:
            self._lease.tick()
            await asyncio.sleep(self._timing.tick_seconds)
