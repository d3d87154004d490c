import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from producer.shard import Shard
from relay.codec import BadBody, NotAvro, UnknownSchema
from relay.kafka import Record, TopicPartition
from relay.kafka.positions import Positions
from relay.kafka.topics import partition_of
from relay.organizations import Organization, OrganizationCodec

log = structlog.get_logger(__name__)


class Shards:
    """The shards this process owns, by its partitions of the organizations topic, and the organizations in them.

    A handler of the producers' group. A rebalance stops nothing that is kept: an owner that was replaced meanwhile is
    fenced by Kafka at its next transaction.
    """

    def __init__(self, count: int, open_shard: Callable[[int], Shard]) -> None:
        self._count = count
        self._open_shard = open_shard
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
        for number in numbers - set(self._shards):
            self._shards[number] = self._open_shard(number)

    async def revoked(self, partitions: set[TopicPartition]) -> None:
        """Kept shards go on polling through a rebalance."""

    async def records(self, batches: Mapping[TopicPartition, Sequence[Record]]) -> None:
        for tp, records in batches.items():
            if (followed := self._followed.get(tp)) is not None:
                for record in records:
                    followed.take(record)
        for tp, followed in list(self._followed.items()):
            await self._tell(tp, followed)

    async def _tell(self, tp: TopicPartition, followed: "Followed") -> None:
        shard, positions = self._shards.get(tp.partition), self._positions
        if shard is None or positions is None:
            return
        if not followed.complete:
            if followed.end is None:
                followed.end = (await positions.end_offsets([tp]))[tp]
            followed.complete = await positions.position(tp) >= followed.end
        if followed.complete and followed.changed:
            followed.changed = False
            shard.follow(dict(followed.organizations))

    async def closed(self) -> None:
        shards, self._shards, self._followed = list(self._shards.values()), {}, {}
        for shard in shards:
            self._let_go(shard)
        if self._closing:
            await asyncio.wait(set(self._closing))

    def _let_go(self, shard: Shard) -> None:
        task = asyncio.create_task(shard.close(), name=f"close shard {shard.number}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    @property
    def ready(self) -> bool:
        """Whether every shard that is ours can publish."""
        return all(shard.ready for shard in self._shards.values())

    @property
    def numbers(self) -> list[int]:
        return sorted(self._shards)


class Followed:
    """Organizations of one partition, as read so far; complete once `end` is reached."""

    def __init__(self, shards: int) -> None:
        self.organizations: dict[str, Organization] = {}
        self.end: int | None = None
        self.complete = False
        self.changed = True
        self._shards = shards
        self._codec = OrganizationCodec()

    def take(self, record: Record) -> None:
        """A record that cannot be used is refused loudly and changes nothing."""
        name = (record.key or b"").decode("utf-8", "replace")
        if not name or partition_of(name, self._shards) != record.partition:
            log.error(
                "An organization stands in a partition that is not its own and is not followed; add it again with `jira-relay organizations add`.",
                organization=name,
                partition=record.partition,
                offset=record.offset,
            )
            return
        self.changed = True
        if record.value is None:
            self.organizations.pop(name, None)
            return
        try:
            self.organizations[name] = self._codec.decode(record.value)
        except (NotAvro, UnknownSchema, BadBody) as error:
            log.error(
                "An organization cannot be read and is followed as it was before; modify it with `jira-relay organizations modify`.",
                organization=name,
                reason=str(error),
                partition=record.partition,
                offset=record.offset,
            )
