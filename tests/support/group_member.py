"""A member of a consumer group, whose handler records its calls."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from relay.kafka import Record, TopicPartition
from relay.kafka.bounded_consumer import BoundedConsumer
from relay.kafka.connection import Connection
from relay.kafka.consumer_group import Member
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics
from tests.support.waiting import wait_until

SESSION = 6


class RecordingHandler:
    """Reads every partition from its start, and records every call. `fail_next`: the next call that fails, and its error."""

    consumer: BoundedConsumer

    def __init__(self) -> None:
        self.assignments: list[set[TopicPartition]] = []
        self.values: list[bytes | None] = []
        self.closings = 0
        self.fail_next: tuple[str, Exception] | None = None

    def assigned(self, consumer: BoundedConsumer, partitions: set[TopicPartition]) -> None:
        self.consumer = consumer
        for tp in partitions:
            consumer.seek(tp, 0)
        self.assignments.append(partitions)
        self._fail_if_due("assigned")

    async def revoked(self, partitions: set[TopicPartition]) -> None:  # noqa: ARG002
        self._fail_if_due("revoked")

    async def records(self, batches: Mapping[TopicPartition, Sequence[Record]]) -> None:
        self.values += [record.value for records in batches.values() for record in records]
        self._fail_if_due("records")

    async def out_of_range(self, offsets: Mapping[TopicPartition, int]) -> None:
        raise AssertionError(offsets)

    async def closed(self) -> None:
        self.closings += 1

    def _fail_if_due(self, callback: str) -> None:
        if self.fail_next is not None and self.fail_next[0] == callback:
            (_, error), self.fail_next = self.fail_next, None
            raise error

    @property
    def aiokafka_consumer(self) -> Any:
        return self.consumer._consumer


@contextlib.asynccontextmanager
async def running_member(
    connection: Connection, handler: RecordingHandler, group: str, kind: type[Member] = Member
) -> AsyncIterator[Member]:
    """Run a member of the group on the organizations topic; yield it once partitions are assigned."""
    topic = Topics(connection.kafka.topic_prefix).organizations
    member = kind(connection, group, topic, handler)
    task = asyncio.create_task(member.run())
    try:
        await wait_until(lambda: bool(handler.assignments))
        yield member
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=240)


async def write_organization(connection: Connection, prefix: str, value: bytes) -> None:
    async with RecordWriter(connection) as writer:
        await writer.send(Topics(prefix).organizations, b"acme", value, partition=0)
