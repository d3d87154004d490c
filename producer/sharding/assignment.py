import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from producer.sharding.organization_table import OrganizationTable
from producer.sharding.shard import Shard
from relay.errors import describe
from relay.kafka import KafkaError, Record, TopicPartition
from relay.kafka.positions import CorruptBatch, Positions

CORRUPT_PAUSE_SECONDS = 60.0

log = structlog.get_logger(__name__)


class ShardAssignment:
    """The shards this process owns, by its partitions of the organizations topic, and the organizations in them.

    A handler of the producers' group. Where Kafka fences (`fenced`), a rebalance stops nothing that is kept: an owner that
    was replaced meanwhile is refused at its next transaction. Elsewhere every rebalance ends all of them.
    """

    def __init__(self, count: int, open_shard: Callable[[int], Shard], *, fencing: bool = True) -> None:
        self._count = count
        self._open_shard = open_shard
        self._fencing = fencing
        self._shards: dict[int, Shard] = {}
        self._tables: dict[TopicPartition, OrganizationTable] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._positions: Positions | None = None
        self._paused_until: dict[TopicPartition, float] = {}
        """Monotonic times at which partitions with a damaged batch are read again."""

    def assigned(self, positions: Positions, partitions: set[TopicPartition]) -> None:
        """Read every partition from its start: what was deleted meanwhile may have been compacted away."""
        for tp in partitions:
            positions.seek(tp, 0)
        self._positions = positions
        self._paused_until = {}
        self._tables = {tp: OrganizationTable(self._count) for tp in partitions}
        numbers = {tp.partition for tp in partitions}
        for number in set(self._shards) - numbers:
            self._release(self._shards.pop(number))
        for shard in self._shards.values():
            shard.retained()
        for number in numbers - set(self._shards):
            self._shards[number] = self._open_shard(number)

    async def revoked(self, partitions: set[TopicPartition]) -> None:  # noqa: ARG002
        """Kept shards go on polling through a rebalance."""
        if not self._fencing:
            await self._release_all()

    async def out_of_range(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Hold a partition with a damaged batch: its shard keeps the organizations it knows. Read any other from its start."""
        if (positions := self._positions) is None:
            return
        log_starts = await positions.first_offsets(offsets)
        for tp, offset in offsets.items():
            if tp not in self._tables or offset != await positions.position(tp):
                continue
            if (corrupt := positions.corrupt_batch(tp)) is not None:
                self._hold(positions, tp, offset, corrupt)
            else:  # deleted records, or another leader, whose log may have lost what was read
                self._tables[tp] = OrganizationTable(self._count)
                positions.seek(tp, log_starts[tp])

    def _hold(self, positions: Positions, tp: TopicPartition, offset: int, batch: CorruptBatch) -> None:
        """Read nothing of it for a while; another replica may have an intact batch."""
        positions.pause([tp])
        self._paused_until[tp] = time.monotonic() + CORRUPT_PAUSE_SECONDS
        log.error(
            "A batch of organizations could not be read; later changes wait. "
            "Make a replica with an intact batch the leader. If none has it, remove the records up to last_offset with "
            "kafka-delete-records.sh (the topic needs cleanup.policy=compact,delete meanwhile), and add the organizations "
            "of this partition again.",
            topic=tp.topic,
            partition=tp.partition,
            offset=offset,
            last_offset=batch.last_offset,
            reason=batch.fault,
            organizations_known=self._tables[tp].complete,
        )

    def _resume_due(self) -> None:
        now = time.monotonic()
        for tp in [tp for tp, until in self._paused_until.items() if until <= now]:
            del self._paused_until[tp]
            if self._positions is not None:
                self._positions.resume([tp])

    async def records(self, batches: Mapping[TopicPartition, Sequence[Record]]) -> None:
        self._resume_due()
        for tp, records in batches.items():
            if (table := self._tables.get(tp)) is not None:
                for record in records:
                    table.apply(record)
        await self._update_complete()
        for tp, table in self._tables.items():
            if table.complete and table.changed and tp.partition in self._shards:
                table.changed = False
                self._shards[tp.partition].set_organizations(dict(table.organizations))

    async def _update_complete(self) -> None:
        """Find out which partitions have been read to where they ended when we got them."""
        if (positions := self._positions) is not None:
            waiting = [(tp, table) for tp, table in self._tables.items() if not table.complete]
            await asyncio.gather(*(self._update_complete_of(positions, *one) for one in waiting))

    async def _update_complete_of(
        self, positions: Positions, tp: TopicPartition, table: "OrganizationTable"
    ) -> None:
        """Each by itself, since one without a leader would keep the others waiting."""
        try:
            if table.end_offset is None:
                table.end_offset = (await positions.end_offsets([tp]))[tp]
            position = await positions.position(tp)
        except (KafkaError, TimeoutError) as error:  # a rebalance came between, or Kafka is away
            reason = describe(error)
            log.debug("Organizations are not yet known; looking again.", shard=tp.partition, reason=reason)
            return
        if self._tables.get(tp) is table:
            table.complete = position >= table.end_offset

    async def closed(self) -> None:
        self._positions, self._tables, self._paused_until = None, {}, {}
        await self._release_all()

    async def _release_all(self) -> None:
        shards, self._shards = list(self._shards.values()), {}
        for shard in shards:
            self._release(shard)
        if self._closing:
            await asyncio.wait(set(self._closing))

    def _release(self, shard: Shard) -> None:
        shard.discard_pending_status()
        task = asyncio.create_task(self._close(shard), name=f"close shard {shard.number}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self, shard: Shard) -> None:
        """What was told while it ended is taken back, unless its organizations are polled here again already."""
        await shard.close()
        if shard.number not in self._shards:
            shard.discard_pending_status()

    def reload(self, number: int) -> None:
        """What this shard knows is not to be trusted any more."""
        if (shard := self._shards.get(number)) is not None:
            shard.reload()

    @property
    def ready(self) -> bool:
        """Whether the group has told which shards are ours, and each of them can publish."""
        return self._positions is not None and all(shard.ready for shard in self._shards.values())

    @property
    def numbers(self) -> list[int]:
        return sorted(self._shards)
