"""One process at a time counts and seals days: the one that owns the partition of the topic of seals."""

from collections.abc import Mapping, Sequence

from relay.aio import Signal
from relay.kafka import Record, TopicPartition
from relay.kafka.bounded_consumer import BoundedConsumer


class Ownership:
    """The handler of the group. It reads no record: to own the partition is all that it is for.

    A process that takes itself for the owner too long harms nothing: opening a sealer fences the one before.
    """

    def __init__(self) -> None:
        self._changed = Signal()
        self.owns = False

    async def wait(self, *, owned: bool) -> None:
        """Wait until the process owns the partition, or owns it no more."""
        while self.owns is not owned:
            await self._changed.wait()

    def assigned(self, consumer: BoundedConsumer, partitions: set[TopicPartition]) -> None:
        for partition in partitions:
            consumer.seek(partition, 0)
        consumer.pause(partitions)
        self._set(owned=bool(partitions))

    async def revoked(self, partitions: set[TopicPartition]) -> None:
        del partitions
        self._set(owned=False)

    async def records(self, batches: Mapping[TopicPartition, Sequence[Record]]) -> None:
        del batches

    async def out_of_range(self, offsets: Mapping[TopicPartition, int]) -> None:
        del offsets

    async def closed(self) -> None:
        self._set(owned=False)

    def _set(self, *, owned: bool) -> None:
        self.owns = owned
        self._changed.notify()
