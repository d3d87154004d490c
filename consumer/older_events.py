"""The events that were older than an hour when a destination started for the first time: their delivery to history, once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal

import structlog

from consumer.assignment.first_start import is_complete
from consumer.assignment.handler import AssignmentHandler
from consumer.offsets.backup import OffsetBackup
from consumer.offsets.delivered import DeliveryProgress
from consumer.timing import OlderEventsTiming
from relay.aio import cancel_all
from relay.errors import describe
from relay.kafka import KAFKA_FAILURES, KafkaError, TopicPartition
from relay.kafka.consumer_group import Member

log = structlog.get_logger(__name__)

ProgressByPartition = Mapping[TopicPartition, DeliveryProgress]


class OlderEvents:
    """Is a member of the group of older events until all of them are delivered, and of no group after that.

    1. The live group's first start with `recent` divides each partition, and commits the split offset. So this group begins only
       where the live group has begun, and both know one split offset, whichever process dies between the two.
    2. The group's own offsets show its deliveries. They expire a week after the group was left, so the status has a backup.
    """

    def __init__(
        self,
        destination: str,
        topic: str,
        live: AssignmentHandler,
        older: tuple[Member, AssignmentHandler] | None,
        read_backup: Callable[[], Awaitable[OffsetBackup]],
        timing: OlderEventsTiming | None = None,
    ) -> None:
        """`older`: member and handler of the group of older events; None: the destination takes no history."""
        self._destination = destination
        self._topic = topic
        self._live = live
        self._older = older
        self._read_backup = read_backup
        self._timing = timing or OlderEventsTiming()
        self.phase: Literal["looking", "delivering", "done"] = "looking"
        self.progress: ProgressByPartition = {}
        """The committed progress of the group, as far as this process has seen it."""
        self.notice: str | None = None
        """What an operator must know about older events; None: nothing."""

    async def live_progress(
        self, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, DeliveryProgress]:
        """Return the committed progress of the live group. Raises KafkaError or TimeoutError while a partition has not begun."""
        found = await self._begun_live(partitions)
        if waiting := [each for each in partitions if each not in found]:
            raise KafkaError(
                f"the live group has not begun partition {waiting[0].partition} of {self._topic}"
            )
        return found

    async def _begun_live(
        self, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, DeliveryProgress]:
        found = await self._live.progress(partitions)
        return {each: progress for each, progress in found.items() if progress is not None}

    async def run(self) -> None:
        """Deliver the older events, then wait until cancelled. Raises the exception that ended the membership."""
        self.phase = "looking"
        pending = await self._wait_for_live()
        if pending and self._older is None:
            self.notice = not_sent_text(self._destination, await self._count(pending))
            log.warning(
                "Older events are not sent: no history.", destination=self._destination, reason=self.notice
            )
        elif pending and self._older is not None:
            await self._deliver(*self._older)
        self.phase = "done"
        await asyncio.get_running_loop().create_future()

    async def _wait_for_live(self) -> list[TopicPartition]:
        while True:
            pending = await self._look_up()
            if pending is not None:
                return pending
            await asyncio.sleep(self._timing.check_seconds)

    async def _look_up(self) -> list[TopicPartition] | None:
        """Return the partitions whose older events are not known to be delivered; None: that is not known yet.

        A partition that live delivery has not begun, as one without a leader, holds up no other.
        """
        try:
            async with asyncio.timeout(self._timing.timeout_seconds):
                partitions = await self._partitions(self._live)
                if partitions is None:
                    return None
                begun = await self._begun_live(partitions)
        except KAFKA_FAILURES:
            return None  # the live flow reports that it has not begun
        try:
            async with asyncio.timeout(self._timing.timeout_seconds):
                known = (await self._read_backup()).progress
        except KAFKA_FAILURES as error:
            self.notice = f"It cannot be looked up whether older events are delivered: {describe(error)}"
            return None
        self.notice, self.progress = None, known
        pending = [each for each, live in begun.items() if _is_pending(known.get(each), live.live_from)]
        return pending if pending or len(begun) == len(partitions) else None

    async def _partitions(self, handler: AssignmentHandler) -> list[TopicPartition] | None:
        """Return the partitions of the topic; None while the group of the handler rebalances."""
        coverage = await handler.group_coverage(self._topic)
        if coverage is None or not coverage.partitions:
            return None
        return [TopicPartition(self._topic, each) for each in sorted(coverage.partitions)]

    async def _deliver(self, member: Member, handler: AssignmentHandler) -> None:
        self.phase = "delivering"
        log.info("Older events go to history.", destination=self._destination, topic=self._topic)
        membership = asyncio.create_task(member.run(), name=f"older events for {self._destination}")
        try:
            while not await self._is_delivered(handler):
                done, _ = await asyncio.wait({membership}, timeout=self._timing.check_seconds)
                for task in done:
                    task.result()
        finally:
            await cancel_all({membership}, attempts=1, seconds=self._timing.release_seconds)
        log.info("Older events are delivered.", destination=self._destination, topic=self._topic)

    async def _is_delivered(self, handler: AssignmentHandler) -> bool:
        """Return whether the whole group has delivered every older event; False while that is not known."""
        try:
            async with asyncio.timeout(self._timing.timeout_seconds):
                partitions = await self._partitions(handler)
                if partitions is None:
                    return False
                found = await handler.progress(partitions)
        except KAFKA_FAILURES:
            return False
        self.progress = {each: progress for each, progress in found.items() if progress is not None}
        return all(progress is not None and is_complete(progress) for progress in found.values())

    async def _count(self, partitions: Sequence[TopicPartition]) -> int | None:
        """Return the offsets before the live ones that Kafka still has; None: it does not say."""
        try:
            async with asyncio.timeout(self._timing.timeout_seconds):
                live = await self.live_progress(partitions)
                log_starts = await self._live.first_offsets(partitions)
        except KAFKA_FAILURES:
            return None
        return sum(max(0, (live[each].live_from or 0) - log_starts[each]) for each in partitions)


def not_sent_text(destination: str, count: int | None) -> str:
    """Return the text of the status where a destination takes no history. `count`: of older events; None: it is not known."""
    events = "Events" if count is None else f"Up to {count} events"
    return (
        f"{events} that were older than an hour when {destination} started for the first time are not sent, since it has no"
        ' target for history. To send them as live events, give the destination a new name and `start = "earliest"`.'
    )


def _is_pending(known: DeliveryProgress | None, live_from: int | None) -> bool:
    """Return whether events may be undelivered. `known`: the backup of the group of older events; None: there is none."""
    return live_from is not None if known is None else not is_complete(known)
