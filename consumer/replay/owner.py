"""The owner of the replays of one destination: one member of a group on the topic of replays."""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from consumer.replay.owned_replays import Opener, OwnedReplays
from consumer.replay.place_keeper import ProgressLog
from consumer.timing import ReplayTiming
from relay.aio import Signal, cancel_all
from relay.kafka import KAFKA_FAILURES, Record, TopicPartition, partition_text
from relay.kafka.bounded_consumer import BoundedConsumer
from relay.replays.job import State
from relay.replays.store import ReplayStore

ANSWER_SECONDS = 35.0
"""How long a hand-over may take: the answers, and the last record; below the time that a rebalance waits."""


class ReplayOwner:
    """Handles the membership. The topic has one partition, so one process of a destination has its jobs.

    The topic is the table of jobs and the feed of their changes: it is read from its start at each assignment, and jobs run once it
    was read to the end that it had then. No offset is committed.
    """

    def __init__(
        self,
        destination: str,
        opener: Opener,
        store: ReplayStore,
        timing: ReplayTiming,
        report: Callable[[Mapping[str, State] | None], None] = lambda _: None,
    ) -> None:
        """`report` is called with the states of the jobs of this process, and with None when it has none any more."""
        self._report = report
        self._destination = destination
        self._opener = opener
        self._store = store
        self._timing = timing
        self._owned: OwnedReplays | None = None
        self._running: asyncio.Task[None] | None = None
        self._consumer: BoundedConsumer | None = None
        self._arrived = Signal()
        self._stopping = False
        self.problem: str | None = None
        """Why the topic is not read on; None: it is."""

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

        name = f"{socket.gethostname()}-{os.getpid()}"
        progress_log = ProgressLog(self._store.write_progress, wait_for_membership, name)
        owned = OwnedReplays(self._destination, self._opener, progress_log, self._timing, self._report)
        return owned

    async def _run(
        self, owned: OwnedReplays, consumer: BoundedConsumer, partitions: set[TopicPartition]
    ) -> None:
        await self._wait_until_read(consumer, partitions)
        await owned.run()

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
        if self._running is not None and self._running.done():
            self._running.result()

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
        if running is not None:
            await cancel_all([running], attempts=1, seconds=1)
        await owned.close(seconds)
        if self._owned is owned:
            self._owned = self._running = None


def _corrupt_text(partition: TopicPartition, last_offset: int, fault: str) -> str:
    return (
        f"Changes of replays are not seen: a batch of {partition_text(partition)} up to offset {last_offset} cannot be read ({fault})."
        " Elect a leader that has an intact copy (`kafka-leader-election.sh`)."
    )
