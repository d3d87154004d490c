"""An assignment of shards with fake shards and a fake consumer."""

import asyncio
from collections.abc import Iterable
from types import EllipsisType, SimpleNamespace
from typing import Any

from producer.sharding.assignment import ShardAssignment
from producer.sharding.shard import ShardTiming
from relay.kafka import TopicPartition
from relay.kafka.bounded_consumer import CorruptBatch
from relay.kafka.topics import partition_of
from relay.organizations import Organization, OrganizationCodec

COUNT = 4
ACME = partition_of("acme", COUNT)


class FakeShard:
    timing = ShardTiming()

    def __init__(self, number: int) -> None:
        self.number = number
        self.ready = True
        self.problem: str | None = None
        self.organization_sets: list[set[str]] = []
        self.started = self.closed = False
        self.reloads = self.retentions = self.discards = 0
        self.may_close = asyncio.Event()
        self.may_close.set()

    @property
    def latest_organizations(self) -> set[str]:
        return self.organization_sets[-1] if self.organization_sets else set()

    async def run(self) -> None:
        self.started = True

    def discard_pending_status(self) -> None:
        self.discards += 1

    def keep(self) -> None:
        self.retentions += 1

    def set_organizations(self, organizations: Iterable[str]) -> None:
        self.organization_sets.append(set(organizations))

    def reload(self) -> None:
        self.reloads += 1

    async def close(self) -> None:
        await self.may_close.wait()
        self.closed = True


class FakeConsumer:
    """`ends` and `positions` are by partition; `error` is raised once; a partition in `leaderless` has no answer."""

    def __init__(self) -> None:
        self.ends: dict[int, int] = {}
        self.positions: dict[int, int] = {}
        self.error: Exception | None = None
        self.leaderless: set[int] = set()
        self.log_starts: dict[int, int] = {}
        self.corrupt: dict[int, CorruptBatch] = {}
        self.paused: set[int] = set()

    async def first_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self.log_starts.get(tp.partition, 0) for tp in partitions}

    def corrupt_batch(self, tp: TopicPartition) -> CorruptBatch | None:
        return self.corrupt.pop(tp.partition, None)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused |= {tp.partition for tp in partitions}

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused -= {tp.partition for tp in partitions}

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.positions[tp.partition] = offset

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        error, self.error = self.error, None
        if error is not None:
            raise error
        if self.leaderless & {tp.partition for tp in partitions}:
            raise TimeoutError
        return {tp: self.ends.get(tp.partition, 0) for tp in partitions}

    async def position(self, tp: TopicPartition) -> int:
        return self.positions[tp.partition]


class AssignmentHarness:
    def __init__(self, **options: Any) -> None:
        self.opened_shards: list[FakeShard] = []
        self.consumer: Any = FakeConsumer()
        self.now = 0.0
        self.assignment = ShardAssignment(COUNT, self.open, clock=lambda: self.now, **options)

    def open(self, number: int) -> Any:
        self.opened_shards.append(FakeShard(number))
        return self.opened_shards[-1]

    def assign(self, *numbers: int) -> None:
        self.assignment.assigned(
            self.consumer, {TopicPartition("organizations", number) for number in numbers}
        )

    async def read(self, *records: Any) -> None:
        batches: dict[TopicPartition, list[Any]] = {}
        for record in records:
            batches.setdefault(TopicPartition("organizations", record.partition), []).append(record)
            self.consumer.positions[record.partition] = record.offset + 1
        await self.assignment.records(batches)

    async def fail(self, tp: TopicPartition, batch: CorruptBatch) -> None:
        """Fail the fetch at the present position for a corrupt batch."""
        self.consumer.corrupt[tp.partition] = batch
        await self.assignment.out_of_range({tp: self.consumer.positions[tp.partition]})


def record(
    name: str, offset: int, *, value: bytes | EllipsisType | None = ..., partition: int | None = None
) -> SimpleNamespace:
    if value is ...:
        value = OrganizationCodec().encode(Organization(name, f"https://{name}.example", "u", 0, 0, 1))
    number = partition_of(name, COUNT) if partition is None else partition
    return SimpleNamespace(key=name.encode(), value=value, partition=number, offset=offset)


def names_in(number: int, count: int) -> list[str]:
    found = (f"org{index}" for index in range(1_000))
    return [name for name in found if partition_of(name, COUNT) == number][:count]
