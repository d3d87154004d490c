"""The side of a consumer group that the caller implements, and aiokafka's rebalance callbacks that lead to it."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener

from relay.kafka import Record, TopicPartition
from relay.kafka.aiokafka_patches.coordinator import member_id
from relay.kafka.positions import Positions


class Handler(Protocol):
    """What a member does with its partitions. Exceptions end the membership, which is then built anew."""

    def assigned(self, positions: Positions, partitions: set[TopicPartition]) -> None:
        """After a rebalance, before any record is handed out: seek (and pause) every partition here, wait for nothing.

        Paused flags and seeks of before are forgotten.
        """

    async def revoked(self, partitions: set[TopicPartition]) -> None:
        """Before a rebalance: all partitions, kept ones too. Must end well within the rebalance time-out."""

    async def records(self, batches: Mapping[TopicPartition, Sequence[Record]]) -> None:
        """Records in order per partition, possibly none; called at least every 0.3 s outside of rebalances."""

    async def out_of_range(self, offsets: Mapping[TopicPartition, int]) -> None:
        """The log holds nothing at these positions, or a damaged batch, or one of another leader than what was read before: seek to
        where to go on, or pause.
        """

    async def closed(self) -> None:
        """The membership has ended: nothing is ours any more."""


class RebalanceListener(ConsumerRebalanceListener):  # type: ignore[misc]
    """aiokafka logs and forgets what a listener raises; here it ends the membership."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        positions: Positions,
        handler: Handler,
        failed: asyncio.Future[None],
        on_lost: Callable[[], None],
        on_assigned: Callable[[], None],
    ) -> None:
        self._on_lost = on_lost
        self._on_assigned = on_assigned
        self._consumer = consumer
        self._positions = positions
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
        if self._failed.done():  # a rebalance that ends after the membership did
            return
        try:
            self._handler.assigned(self._positions, set(assigned))
        except Exception as error:  # noqa: BLE001
            self._fail(error)
        self._on_assigned()

    def _fail(self, error: Exception) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)
