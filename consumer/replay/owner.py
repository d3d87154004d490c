"""The owner of the replays of one destination: one member of a group on the topic of replays."""

import asyncio
import os
import secrets
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

import structlog

from consumer.replay.owned_replays import OwnedReplays
from consumer.replay.place_keeper import ProgressLog, WriteProgress
from consumer.timing import ReplayTiming
from relay.aio import Signal, cancel_all
from relay.kafka import KAFKA_FAILURES, Record, TopicPartition, partition_text
from relay.kafka.bounded_consumer import BoundedConsumer
from relay.replays.job import State

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 35.0
"""How long a hand-over may take: the answers, and the last record; below the time that a rebalance waits."""

OpenOwned = Callable[[ProgressLog], OwnedReplays]
"""Returns the jobs of one ownership, which write their progress to this log."""


class ReplayOwner:
    """Handles the membership. The topic has one partition, so one process of a destination has its jobs.

    The topic is the table of jobs and the feed of their changes: it is read from its start at each assignment, and jobs run once it
    was read to the end that it had then. No offset is committed. A topic that was deleted and made again is read again too.
    """

    def __init__(
        self, destination: str, open_owned: OpenOwned, write_progress: WriteProgress, timing: ReplayTiming
    ) -> None:
        self._destination = destination
        self._open_owned = open_owned
        self._write_progress = write_progress
        self._timing = timing
        self._owned: OwnedReplays | None = None
        self._running: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        """Reads the topic again beside the jobs; None: it never had to."""
        self._consumer: BoundedConsumer | None = None
        self._arrived = Signal()
        self._stopping = False
        self._open_ids: Collection[str] = ()
        """The jobs that had not ended when the last ownership did."""
        self.problem: str | None = None
        """Why the topic is not read on; None: it is."""
        self.notice: str | None = None
        """Which jobs have disappeared from the topic since this process began; None: none has."""

    def states(self) -> Mapping[str, State]:
        """Return the state of each job that this process has; empty: it has none, or is not the owner."""
        return {} if self._owned is None else self._owned.states()

    @property
    def owns(self) -> bool:
        """Whether this process is the owner, as far as it knows."""
        return self._owned is not None

    def assigned(self, consumer: BoundedConsumer, partitions: set[TopicPartition]) -> None:
        if self._owned is not None:
            raise RuntimeError("replays were assigned before the former ones were revoked")
        self._consumer = consumer
        for partition in partitions:
            consumer.seek(partition, 0)
        if partitions and not self._stopping:
            self._owned = self._new_owned(consumer)
            self._running = asyncio.create_task(
                self._run(self._owned, consumer, partitions), name=f"replays of {self._destination}"
            )

    def _new_owned(self, consumer: BoundedConsumer) -> OwnedReplays:
        async def wait_for_membership() -> None:
            await consumer.wait_for_membership()
            if self._owned is not owned:  # a later membership of this process is another ownership
                await asyncio.get_running_loop().create_future()

        owned = self._open_owned(ProgressLog(self._write_progress, wait_for_membership, _owner_name()))
        return owned

    async def _run(
        self, owned: OwnedReplays, consumer: BoundedConsumer, partitions: set[TopicPartition]
    ) -> None:
        await self._wait_until_read(consumer, partitions)
        self._note_missing(owned, self._open_ids)
        await owned.run()

    async def _read_again(
        self, owned: OwnedReplays, consumer: BoundedConsumer, partitions: set[TopicPartition]
    ) -> None:
        open_ids = owned.states().keys()
        await self._wait_until_read(consumer, partitions)
        owned.table_is_read_again()
        self._note_missing(owned, open_ids)

    def _note_missing(self, owned: OwnedReplays, open_ids: Collection[str]) -> None:
        """Say which of the jobs that had not ended are not on the topic any more: somebody has deleted it, or it has lost records."""
        if not (missing := owned.missing(open_ids)):
            return
        self.notice = f"The topic of replays does not have {', '.join(missing)} any more, so it was stopped. Start it again if it is still wanted."
        log.error(
            "Replays are not on their topic any more; they were stopped. Start them again.",
            destination=self._destination,
            replays=missing,
        )

    async def _wait_until_read(self, consumer: BoundedConsumer, partitions: set[TopicPartition]) -> None:
        ends: Mapping[TopicPartition, int] | None = None
        while True:
            with suppress(*KAFKA_FAILURES):
                ends = ends or await consumer.end_offsets(partitions)
                if all([await consumer.position(each) >= end for each, end in ends.items()]):
                    return
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.retry_seconds):
                    await self._arrived.wait()

    async def revoked(self, partitions: set[TopicPartition]) -> None:  # noqa: ARG002
        await self._close(ANSWER_SECONDS)

    async def records(self, batches: Mapping[TopicPartition, Sequence[Record]]) -> None:
        """Take records. Raises the defect that ended the work, which ends the membership."""
        if self._owned is not None:
            for records in batches.values():
                self._owned.apply(list(records))
                self.problem = None
            self._arrived.notify()
        for task in (self._running, self._reading):
            if task is not None and task.done():
                task.result()

    async def out_of_range(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read everything again from the first record kept. A corrupt batch holds up the feed, and jobs go on as they are."""
        consumer = self._consumer
        if consumer is None:
            return
        log_starts = await consumer.first_offsets(offsets)
        for partition in offsets:
            if (batch := consumer.corrupt_batch(partition)) is not None:
                self.problem = _corrupt_text(partition, batch.last_offset, batch.fault)
                await asyncio.sleep(self._timing.retry_seconds)
            else:
                consumer.seek(partition, log_starts[partition])
                await self._begin_again(consumer, {partition})

    async def _begin_again(self, consumer: BoundedConsumer, partitions: set[TopicPartition]) -> None:
        """Read the jobs again beside the running ones, unless none runs yet."""
        owned, running = self._owned, self._running
        if owned is None or running is None or running.done():
            return
        if self._reading is not None:
            await cancel_all([self._reading], attempts=1, seconds=1)
        owned.begin_table_again()
        self._reading = asyncio.create_task(
            self._read_again(owned, consumer, partitions), name=f"table of replays of {self._destination}"
        )

    async def closed(self) -> None:
        await self._close(ANSWER_SECONDS)

    async def stop(self, seconds: float) -> None:
        """Own nothing more; wait for answers within `seconds`."""
        self._stopping = True
        await self._close(seconds)

    async def _close(self, seconds: float) -> None:
        owned, running = self._owned, self._running
        if owned is None:
            return
        tasks = [each for each in (running, self._reading) if each is not None]
        await cancel_all(tasks, attempts=1, seconds=1)
        self._open_ids = owned.states().keys() or self._open_ids
        await owned.close(seconds)
        if self._owned is owned:
            self._owned = self._running = self._reading = None


def _owner_name() -> str:
    """Return a name that no other ownership has: in containers each process has the id 1, and may have the host's name too."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def _corrupt_text(partition: TopicPartition, last_offset: int, fault: str) -> str:
    return (
        f"Changes of replays are not seen: a batch of {partition_text(partition)} up to offset {last_offset} cannot be read ({fault})."
        " Elect a leader that has an intact copy (`kafka-leader-election.sh`)."
    )
