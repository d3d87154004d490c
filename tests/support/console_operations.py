"""A console on a real Kafka that has events and dead letters; the owner of replays is played by no one."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from consumer.delivery.dead_letters import DeadLetterWriter
from consumer.group_names import group_name
from consumer.offsets.delivered import DeliveryProgress
from management.settings import load
from relay.avro.codec import InternalCodec
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.group_offsets import open_group
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics, partition_of
from relay.replays.job import ReplayJob
from relay.replays.store import ReplayStore
from relay.timestamps import now_ms
from tests.support.console import ConsoleWorld, open_console
from tests.support.kafka import connection_to
from tests.support.messages import Message, event, message
from tests.support.settings import SENTINEL

SHARDS = 2
SECRET = "rosa.luxemburg@example.com"
CODEC = InternalCodec("audit_event")


class Operations:
    """The console of a test, its Kafka, and what an operator does in it."""

    def __init__(self, console: ConsoleWorld, connection: Connection) -> None:
        self.console = console
        self.connection = connection
        self.topics = Topics(connection.kafka.topic_prefix)

    async def send(self, page: str, path: str, fields: Mapping[str, str]) -> httpx.Response:
        """Send a form with the token of a page."""
        return await self.console.client.post(path, data=await self.console.form(page) | dict(fields))

    async def jobs(self) -> list[ReplayJob]:
        """Return the jobs on the topic of replays."""
        store = ReplayStore(self.connection, self.topics.replays)
        return [each.job for each in (await store.read()).jobs.values()]

    async def publish(self, numbers: range) -> None:
        """Publish live events of `acme` and `umbra` in turn; each has a second of its own, the last one now."""
        began = now_ms() - 60_000
        async with RecordWriter(self.connection) as writer:
            for number in numbers:
                organization = ("acme", "umbra")[number % 2]
                at = began + number * 1_000
                found = event(number, organization=organization, created=at, collected=at)
                await writer.send(
                    self.topics.events,
                    organization.encode(),
                    message(found, CODEC).value,
                    partition=partition_of(organization, SHARDS),
                    timestamp_ms=at,
                )

    async def write_letters(self) -> None:
        """Write four letters of sentinel for events of `acme`, and one of a producer."""
        async with RecordWriter(self.connection) as writer:
            letters = DeadLetterWriter(
                writer, self.topics.dead_letters, "sentinel", fields=lambda _: {"flow": "live"}
            )
            for number in range(4):
                found = event(number, organization="acme", authorKey=SECRET)
                await letters.put(message(found, CODEC, offset=number), f"column {number} is <odd>", 400)
            producer = DeadLetterWriter(
                writer, self.topics.dead_letters, "", fields=lambda _: {"service": "producer"}
            )
            await producer.put(Message(f'{{"user": "{SECRET}"}}'.encode(), b"acme", 1), "no readable id")


@asynccontextmanager
async def open_operations(kafka: Any, prefix: str) -> AsyncIterator[Operations]:
    """Yield a console whose Kafka has the topics, and whose settings have the destination `sentinel`."""
    connection = connection_to(kafka, prefix, shards=SHARDS)
    await create_missing_topics(connection)
    async with open_console(connection, destinations=load(environ=SENTINEL).destinations) as console:
        console.clock.ms = now_ms()
        await console.sign_in()
        await console.context.view.refresh()
        yield Operations(console, connection)
        await console.context.view.close()


async def commit_live_offsets(operations: Operations, offset: int) -> None:
    """Commit this offset of the live group of sentinel in each partition, as a consumer does that has left since."""
    group = group_name(operations.topics.prefix, "sentinel", "live")
    async with open_group(operations.connection, group, operations.topics.events) as opened:
        progress = DeliveryProgress.starting_at(offset).to_offset_and_metadata()
        await opened.commit(
            {TopicPartition(operations.topics.events, number): progress for number in range(SHARDS)}
        )
