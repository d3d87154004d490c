import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from producer.sharding.organization_table import Followed
from producer.sharding.shard import Shard
from relay.errors import describe
from relay.kafka import KafkaError, Record, TopicPartition
from relay.kafka.positions import Positions

log = structlog.get_logger(__name__)


class Shards:
    """The shards this process owns, by its partitions of the organizations topic, and the organizations in them.

    A handler of the producers' group. Where Kafka fences (`fenced`), a rebalance stops nothing that is kept: an owner that
    was replaced meanwhile is refused at its next transaction. Elsewhere every rebalance ends all of them.
    """

    def __init__(self, count: int, open_shard: Callable[[int], Shard], *, fenced: bool = True) -> None:
        self._count = count
        self._open_shard = open_shard
        self._fenced = fenced
        self._shards: dict[int, Shard] = {}
        self._followed: dict[TopicPartition, Followed] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._positions: Positions | None = None

    def assigned(self, positions: Positions, partitions: set[TopicPartition]) -> None:
        """Read every partition from its start: what was deleted meanwhile may have been compacted away."""
        for tp in partitions:
            positions.seek(tp, 0)
        self._positions = positions
        self._followed = {tp: Followed(self._count) for tp in partitions}
        numbers = {tp.partition for tp in partitions}
        for number in set(self._shards) - numbers:
            self._let_go(self._shards.pop(number))
        for shard in self._shards.values():
            shard.kept()
        for number in numbers - set(self._shards):
            self._shards[number] = self._open_shard(number)

    async def revoked(self, partitions: set[TopicPartition]) -> None:  # noqa: ARG002
        """Kept shards go on polling through a rebalance."""
        if not self._fenced:
            await self._let_all_go()

    async def out_of_range(self, offsets: Mapping[TopicPartition, int]) -> None:
        raise KafkaError(
            f"aiokafka gives up {sorted(offsets)}, though it is told to begin at the first record"
        )

    async def records(self, batches: Mapping[TopicPartition, Sequence[Record]]) -> None:
        for tp, records in batches.items():
            if (followed := self._followed.get(tp)) is not None:
                for record in records:
                    followed.take(record)
        await self._look_for_ends()
        for tp, followed in self._followed.items():
            if followed.complete and followed.changed and tp.partition in self._shards:
                followed.changed = False
                self._shards[tp.partition].follow(dict(followed.organizations))

    async def _look_for_ends(self) -> None:
        """Find out which partitions have been read to where they ended when we got them."""
        if (positions := self._positions) is not None:
            waiting = [(tp, followed) for tp, followed in self._followed.items() if not followed.complete]
            await asyncio.gather(*(self._look_for_end(positions, *one) for one in waiting))

    async def _look_for_end(self, positions: Positions, tp: TopicPartition, followed: "Followed") -> None:
        """Each by itself, since one without a leader would keep the others waiting."""
        try:
            if followed.end is None:
                followed.end = (await positions.end_offsets([tp]))[tp]
            position = await positions.position(tp)
        except (KafkaError, TimeoutError) as error:  # a rebalance came between, or Kafka is away
            reason = describe(error)
            log.debug("Organizations are not yet known; looking again.", shard=tp.partition, reason=reason)
            return
        if self._followed.get(tp) is followed:
            followed.complete = position >= followed.end

    async def closed(self) -> None:
        self._positions, self._followed = None, {}
        await self._let_all_go()

    async def _let_all_go(self) -> None:
        shards, self._shards = list(self._shards.values()), {}
        for shard in shards:
            self._let_go(shard)
        if self._closing:
            await asyncio.wait(set(self._closing))

    def _let_go(self, shard: Shard) -> None:
        shard.hush()
        task = asyncio.create_task(self._close(shard), name=f"close shard {shard.number}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self, shard: Shard) -> None:
        """What was told while it ended is taken back, unless its organizations are polled here again already."""
        await shard.close()
        if shard.number not in self._shards:
            shard.hush()

    def reopen(self, number: int) -> None:
        """What this shard knows is not to be trusted any more."""
        if (shard := self._shards.get(number)) is not None:
            shard.reopen()

    @property
    def ready(self) -> bool:
        """Whether the group has told which shards are ours, and each of them can publish."""
        return self._positions is not None and all(shard.ready for shard in self._shards.values())

    @property
    def numbers(self) -> list[int]:
        return sorted(self._shards)
