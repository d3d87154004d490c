"""The shards that the consumer group assigned to this process, and their organizations."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from producer.sharding.corrupt_batches import CorruptBatches
from producer.sharding.organization_table import OrganizationTable
from producer.sharding.shard import Shard, stop_shard
from relay.condition_log import ConditionLog
from relay.errors import describe
from relay.kafka import KafkaError, Record, TopicPartition
from relay.kafka.bounded_consumer import BoundedConsumer, CorruptBatch
from relay.organizations import Organization

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ShardAssignmentTiming:
    """Waits of an assignment."""

    corrupt_pause_seconds: float = 60.0
    """How long a corrupt batch is left alone before it is tried again."""


DEFAULT_TIMING = ShardAssignmentTiming()


class RunningShard(NamedTuple):
    """A shard, and the task of its `run`."""

    shard: Shard
    task: asyncio.Task[None]


class ShardAssignment:
    """The shards that this process owns, by its partitions of the organizations topic.

    Handler of the producers' group. With `fencing`, a rebalance does not stop a shard that stays: if another process owned
    it meanwhile, its next transaction is refused. Without, as on Event Hubs, every rebalance stops all of them.
    """

    def __init__(
        self,
        count: int,
        open_shard: Callable[[int], Shard],
        *,
        fencing: bool = True,
        timing: ShardAssignmentTiming = DEFAULT_TIMING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timing = timing
        self._clock = clock
        self._count = count
        self._open_shard = open_shard
        self._fencing = fencing
        self._shards: dict[int, RunningShard] = {}
        self._tables: dict[TopicPartition, OrganizationTable] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._consumer: BoundedConsumer | None = None
        self._corrupt = CorruptBatches(timing.corrupt_pause_seconds)
        self._known: dict[TopicPartition, Mapping[str, Organization]] = {}
        """The organizations of each partition before the last rebalance. Those of a partition that is another process's are
        forgotten: it may delete some, and Kafka compacts the deletions away."""
        self._conditions = ConditionLog(log)
        self._held: dict[TopicPartition, str] = {}
        """Partitions with a corrupt batch, and what to do, until it is read."""

    def assigned(self, consumer: BoundedConsumer, partitions: set[TopicPartition]) -> None:
        """Read every partition from its start: a deletion may have been compacted away meanwhile."""
        for tp in partitions:
            consumer.seek(tp, 0)
        self._consumer = consumer
        self._held = {}
        self._corrupt.clear()
        known = self._known | {
            tp: table.organizations for tp, table in self._tables.items() if table.complete
        }
        self._known = {tp: organizations for tp, organizations in known.items() if tp in partitions}
        self._tables = {tp: OrganizationTable(self._count) for tp in partitions}
        numbers = {tp.partition for tp in partitions}
        for number in set(self._shards) - numbers:
            self._release(self._shards.pop(number))
        for running in self._shards.values():
            running.shard.keep()
        for number in numbers - set(self._shards):
            self._start(number)

    def _start(self, number: int) -> None:
        shard = self._open_shard(number)
        self._shards[number] = RunningShard(shard, asyncio.create_task(shard.run(), name=f"shard {number}"))

    async def revoked(self, partitions: set[TopicPartition]) -> None:  # noqa: ARG002
        """Let kept shards go on polling through a rebalance, where Kafka fences."""
        if not self._fencing:
            await self._release_all()

    async def out_of_range(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Pass over a corrupt batch, and name it. Read a partition that failed otherwise from its start."""
        if (consumer := self._consumer) is None:
            return
        for tp, offset in offsets.items():
            try:
                if tp not in self._tables or offset != await consumer.position(tp):
                    continue
                if (corrupt := consumer.corrupt_batch(tp)) is not None:
                    self._pass_over(consumer, tp, offset, corrupt)
                else:
                    self._held.pop(tp, None)
                    self._corrupt.forget(tp)
                    # deleted records, or another leader, whose log may have lost records that were read
                    log_start = (await consumer.first_offsets([tp]))[tp]
                    consumer.seek(tp, log_start)
                    if self._tables[tp].complete:
                        self._known[tp] = self._tables[tp].organizations
                    self._tables[tp] = OrganizationTable(self._count)
            except (KafkaError, TimeoutError) as error:  # the next fetch fails again
                reason = describe(error)
                log.debug("Organizations could not be read again yet.", shard=tp.partition, reason=reason)

    def _pass_over(
        self, consumer: BoundedConsumer, tp: TopicPartition, offset: int, batch: CorruptBatch
    ) -> None:
        """Read on behind the batch, and try it again in a while; another replica may have an intact copy.

        Its shard keeps the organizations that it knows and that no record behind the batch changes.
        """
        table = self._tables[tp]
        if not table.complete:
            table.has_gap = True
            table.keep(self._known.get(tp, {}))
        go_on_at = self._corrupt.pass_over(tp, offset, batch, self._clock())
        if go_on_at is None:
            consumer.pause([tp])
        else:
            consumer.seek(tp, go_on_at)
        self._held[tp] = (
            f"A batch of {tp.topic}, partition {tp.partition}, cannot be read from offset {offset} on ({batch.fault}): the "
            "organizations in it are unknown and not polled; those of other batches are. Elect a leader "
            f"that has an intact copy (`kafka-leader-election.sh`). If none has it, remove the records up to offset {batch.last_offset} with "
            "kafka-delete-records.sh (the topic needs cleanup.policy=compact,delete with retention.ms=-1 meanwhile), and add "
            "the organizations that are missing again. Their progress is kept"
        )
        self._conditions.failed(
            tp,
            batch.fault,
            "A batch of organizations could not be read; later ones are. "
            "Elect a leader that has an intact copy (`kafka-leader-election.sh`). If none has it, remove the records up to last_offset with "
            "kafka-delete-records.sh (the topic needs cleanup.policy=compact,delete with retention.ms=-1 meanwhile), and add the organizations "
            "that are missing again.",
            {
                "topic": tp.topic,
                "partition": tp.partition,
                "offset": offset,
                "last_offset": batch.last_offset,
                "reason": batch.fault,
                "organizations_known": self._tables[tp].complete,
            },
            level="error",
        )

    def _retry_corrupt(self, consumer: BoundedConsumer) -> None:
        for tp, first in self._corrupt.due(self._clock()).items():
            consumer.seek(tp, first)
            consumer.resume([tp])

    async def _find_mended(self, consumer: BoundedConsumer) -> None:
        for tp in self._corrupt.retrying():
            try:
                position = await consumer.position(tp)
            except (KafkaError, TimeoutError):
                continue
            if tp in self._tables and self._corrupt.is_read(tp, position):
                self._held.pop(tp, None)
                self._tables[tp].has_gap = False
                self._conditions.ended(
                    tp, "Organizations are read again; a batch could not be", {"partition": tp.partition}
                )

    async def records(self, batches: Mapping[TopicPartition, Sequence[Record]]) -> None:
        """Apply records of the organizations topic; a shard gets its organizations once its table is complete."""
        for tp, records in batches.items():
            if (table := self._tables.get(tp)) is not None:
                for record in records:
                    table.apply(record)
        await self._update_complete()
        if (consumer := self._consumer) is not None:
            await self._find_mended(consumer)
            self._retry_corrupt(consumer)  # last, since it moves positions back
        for tp, table in self._tables.items():
            if table.complete and table.changed and tp.partition in self._shards:
                table.changed = False
                self._shards[tp.partition].shard.set_organizations(dict(table.organizations))

    async def _update_complete(self) -> None:
        """Find the partitions that have been read to their end at the assignment."""
        if (consumer := self._consumer) is not None:
            waiting = [(tp, table) for tp, table in self._tables.items() if not table.complete]
            await asyncio.gather(*(self._update_complete_of(consumer, *one) for one in waiting))

    async def _update_complete_of(
        self, consumer: BoundedConsumer, tp: TopicPartition, table: OrganizationTable
    ) -> None:
        """Ask for each partition by itself: one without a leader would hold up the others."""
        try:
            if table.end_offset is None:
                table.end_offset = (await consumer.end_offsets([tp]))[tp]
            position = await consumer.position(tp)
        except (KafkaError, TimeoutError) as error:  # a rebalance came between, or Kafka is away
            reason = describe(error)
            log.debug("Organizations are not known yet; looking again.", shard=tp.partition, reason=reason)
            return
        if self._tables.get(tp) is table:
            table.complete = position >= table.end_offset

    async def closed(self) -> None:
        self._consumer, self._tables, self._held, self._known = None, {}, {}, {}
        self._corrupt.clear()
        await self._release_all()

    async def _release_all(self) -> None:
        shards, self._shards = list(self._shards.values()), {}
        for running in shards:
            self._release(running)
        if self._closing:
            await asyncio.wait(set(self._closing))

    def _release(self, running: RunningShard) -> None:
        running.shard.discard_pending_status()
        task = asyncio.create_task(self._stop(running), name=f"close shard {running.shard.number}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _stop(self, running: RunningShard) -> None:
        """Discard also the status that was put while it ended, unless this process owns the shard again."""
        await stop_shard(*running)
        if running.shard.number not in self._shards:
            running.shard.discard_pending_status()

    def reload(self, number: int) -> None:
        """Discard a shard's state, and load it from Kafka again."""
        if (running := self._shards.get(number)) is not None:
            running.shard.reload()

    def in_transaction(self, number: int) -> bool:
        """Return whether a shard has a transaction under way; one that a quota holds up may take minutes."""
        return (running := self._shards.get(number)) is not None and running.shard.in_transaction

    @property
    def problem(self) -> str | None:
        """Why a shard publishes nothing; None: all do, or the reason is not known."""
        of_shards = [one.shard.problem for one in self._shards.values() if one.shard.problem]
        return next(iter([*of_shards, *self._unknown_organizations()]), None)

    def _unknown_organizations(self) -> list[str]:
        """Return why some organizations are unknown. A batch behind all that were read at the assignment hides changes alone."""
        return [text for tp, text in self._held.items() if self._tables[tp].has_gap]

    @property
    def ready(self) -> bool:
        """Whether the group has assigned this process its shards, and each of them knows its organizations and can publish."""
        return (
            self._consumer is not None
            and not self._unknown_organizations()
            and all(one.shard.ready for one in self._shards.values())
        )

    @property
    def shards_by_state(self) -> Mapping[str, int]:
        """How many of its shards are open; closed for a known reason; and still opening."""
        shards = [one.shard for one in self._shards.values()]
        opened = sum(each.ready for each in shards)
        closed = sum(not each.ready and each.problem is not None for each in shards)
        return {"open": opened, "closed": closed, "opening": len(shards) - opened - closed}

    @property
    def organization_count(self) -> int:
        """How many organizations the shards of this process have, as far as they are read."""
        return sum(len(table.organizations) for table in self._tables.values())

    @property
    def numbers(self) -> list[int]:
        return sorted(self._shards)
