"""The handler that a member of a consumer group calls, and the listener that leads aiokafka's rebalances to it."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener

from relay.kafka import Record, TopicPartition
from relay.kafka.aiokafka_patches.coordinator import member_id
from relay.kafka.bounded_consumer import BoundedConsumer


class MemberHandler(Protocol):
    """The owner of a member's partitions. If a method raises, the membership ends and a new one begins."""

    def assigned(self, consumer: BoundedConsumer, partitions: set[TopicPartition]) -> None:
        """Take over partitions after a rebalance: seek, or pause, every partition. Must not wait.

        No record of them has been passed yet; earlier seeks and pauses no longer hold.
        """

    async def revoked(self, partitions: set[TopicPartition]) -> None:
        """Give up all partitions before a rebalance, also those that will return.
        Must end well within the rebalance timeout.
        """

    async def records(self, batches: Mapping[TopicPartition, Sequence[Record]]) -> None:
        """Take records, in order within a partition; possibly none. Called at least every 0.3 s outside of rebalances."""

    async def out_of_range(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Seek to where reading continues, or pause.

        The log has nothing at these positions, or a corrupt or malformed batch, or a batch of another leader than the one
        read before.
        """

    async def closed(self) -> None:
        """Release everything: the membership has ended, and its partitions may belong to others."""


class RebalanceListener(ConsumerRebalanceListener):  # type: ignore[misc]
    """End the membership if the handler raises; aiokafka would log the error and go on.

    `on_lost`: the group no longer knows the member. `on_assigned`: a rebalance is complete.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        bounded: BoundedConsumer,
        handler: MemberHandler,
        failed: asyncio.Future[None],
        on_lost: Callable[[], None],
        on_assigned: Callable[[], None],
    ) -> None:
        self._on_lost = on_lost
        self._on_assigned = on_assigned
        self._consumer = consumer
        self._bounded = bounded
        self._handler = handler
        self._failed = failed

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        if not member_id(self._consumer):
            self._on_lost()
        try:
            await self._handler.revoked(set(revoked))
        except Exception as error:  # noqa: BLE001
            self._fail(error)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        if self._failed.done():  # the membership ended during the rebalance
            return
        try:
            self._handler.assigned(self._bounded, set(assigned))
        except Exception as error:  # noqa: BLE001
            self._fail(error)
        self._on_assigned()

    def _fail(self, error: Exception) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)
