import asyncio
import os

import pytest
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from aiokafka.protocol.metadata import MetadataRequest

from relay.config.kafka import KafkaConfig
from relay.kafka.compacted_topics import read_table
from relay.kafka.connection import Connection
from relay.kafka.consumer_group import Member
from relay.kafka.producer import NotWrittenError, ProducerRecord, RecordWriter, TopicWriteError
from relay.kafka.publish_errors import PublishError
from relay.kafka.topic_admin import create_missing_topics, read_topic_facts
from relay.kafka.topic_facts import UNLIMITED_RETENTION_MS, topic_limits
from relay.kafka.topics import MAX_EVENT_BYTES, Topics
from relay.kafka.transactions import TransactionalProducer
from relay.status.model import take_over
from relay.status.writer import StatusWriter
from relay.timestamps import DAY_MS
from tests.support.group_member import RecordingHandler
from tests.support.kafka import aiokafka_tasks, connection_to, event
from tests.support.topics import alter_topic


@pytest.fixture
async def connection(kafka, prefix):
    found = connection_to(kafka, prefix, shards=1)
    await create_missing_topics(found)
    return found


async def test_a_publisher_cancelled_while_it_opens_leaves_nothing(connection, prefix):
    """A cancelled start leaves no task and no connection."""
    before = aiokafka_tasks()
    opening = asyncio.create_task(TransactionalProducer.open(connection, f"{prefix}.0"))
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait({opening}, timeout=120)

    assert opening.cancelled()
    assert aiokafka_tasks() <= before


@pytest.mark.parametrize("kind", ["writer", "publisher", "reader", "member"])
async def test_an_interrupted_start_leaves_no_connection(connection, prefix, monkeypatch, kind):
    """A start that is cancelled, or times out, during its first request closes the connection."""
    topics, connections, send = Topics(prefix), [], AIOKafkaConnection.send

    def cut_off(self, request, **options):
        connections.append(self)
        if isinstance(request, MetadataRequest):
            asyncio.current_task().cancel()
        return send(self, request, **options)

    async def start():
        if kind == "writer":
            async with RecordWriter(connection) as writer:
                await writer.send(topics.status, b"k", b"v")
        elif kind == "publisher":
            await TransactionalProducer.open(connection, f"{prefix}.0")
        elif kind == "reader":
            await read_table(connection, topics.status)
        else:
            await Member(connection, prefix, topics.organizations, RecordingHandler()).run()

    monkeypatch.setattr(AIOKafkaConnection, "send", cut_off)
    task = asyncio.create_task(start())
    await asyncio.wait({task}, timeout=240)

    assert task.cancelled()
    assert connections
    assert not [one for one in connections if one.connected()]


async def test_a_cancellation_from_inside_is_a_failure(connection, prefix):
    """If aiokafka cancels a pending answer, the caller gets a failure and is not cancelled."""
    publisher = await TransactionalProducer.open(connection, f"{prefix}.0")

    async def cancelled():
        raise asyncio.CancelledError

    publisher._producer.commit_transaction = cancelled
    with pytest.raises(PublishError, match="cancelled a transaction"):
        await publisher.publish([event(prefix)])
    await publisher.discard()


async def test_a_batch_that_failed_fails_the_transaction(connection, prefix):
    """aiokafka commits although a batch was rejected; the publisher raises, and nothing is committed."""
    publisher = await TransactionalProducer.open(connection, f"{prefix}.0")
    with pytest.raises(PublishError, match="events accepts no batch of that size"):
        await publisher.publish(
            [event(prefix), ProducerRecord(Topics(prefix).events, 0, b"big", os.urandom(5_500_000))]
        )
    await publisher.discard()
    await (await TransactionalProducer.open(connection, f"{prefix}.0")).discard()

    assert await read_table(connection, Topics(prefix).events) == {}


async def test_an_unknown_offset_fails_the_transaction(connection, prefix):
    """A batch that Kafka calls a duplicate has no offset for the progress record, so the transaction is not committed."""
    publisher = await TransactionalProducer.open(connection, f"{prefix}.0")
    send = publisher._producer.send_batch

    async def without_offset(*arguments, **options):
        found = await (await send(*arguments, **options))
        later = asyncio.get_running_loop().create_future()
        later.set_result(found._replace(offset=-1))
        return later

    publisher._producer.send_batch = without_offset
    with pytest.raises(PublishError, match="a duplicate"):
        await publisher.publish([event(prefix)])
    await publisher.discard()


async def wait_for_limits(connection, expected):
    """Wait until the broker applies changed topic settings, which takes a moment."""
    for _ in range(600):
        facts = await read_topic_facts(connection)
        limits = topic_limits(facts, Topics(connection.kafka.topic_prefix), connection.profile)
        found = limits.max_event_bytes, limits.max_backfill_bytes, limits.retention_ms
        if found == expected:
            return
        await asyncio.sleep(0.1)
    assert found == expected


async def test_each_topic_has_its_limit_of_size_and_the_shortest_retention_holds(connection, prefix):
    """A topic of backfill that accepts less makes no dead letter of a live event."""
    topics, large = Topics(prefix), str(MAX_EVENT_BYTES * 2)
    await wait_for_limits(connection, (MAX_EVENT_BYTES, MAX_EVENT_BYTES, 30 * DAY_MS))
    await alter_topic(connection, topics.backfill, max_message_bytes="300000", retention_ms=str(3 * DAY_MS))
    await wait_for_limits(connection, (MAX_EVENT_BYTES, 280_000, 3 * DAY_MS))
    for topic in (topics.events, topics.backfill):
        await alter_topic(connection, topic, max_message_bytes=large, retention_ms="-1")
    await wait_for_limits(connection, (MAX_EVENT_BYTES, MAX_EVENT_BYTES, UNLIMITED_RETENTION_MS))
    await alter_topic(connection, topics.events, max_message_bytes=large, retention_bytes="1000")
    await wait_for_limits(connection, (MAX_EVENT_BYTES, MAX_EVENT_BYTES, 0))


async def test_an_unusable_certificate_is_a_failed_write(tmp_path):
    """While a certificate file is being replaced, pending statuses wait, and no task ends."""
    authority = tmp_path / "ca.pem"
    authority.touch()
    settings = KafkaConfig(bootstrap="127.0.0.1:1", security_protocol="SSL", ca_file=authority)
    async with RecordWriter(Connection(settings)) as writer:
        status_writer = StatusWriter(writer, "status")
        status_writer.put("producer/acme", take_over("active", 1))
        with structlog.testing.capture_logs() as logs:
            await status_writer.flush()
        with pytest.raises(TopicWriteError, match=r"certificate file .*kafka\.ca_file"):
            await writer.send("status", b"k", b"v")

    assert [entry["event"] for entry in logs] == ["Status was not written; the relay tries again."]


async def test_a_write_that_was_not_sent_is_known_not_to_be_there(connection, monkeypatch):
    """A missing topic, and a producer that Kafka does not start, say that nothing was written; a lost answer does not."""
    topics = Topics(connection.kafka.topic_prefix)
    async with RecordWriter(connection) as writer:
        with pytest.raises(NotWrittenError, match=r"^Nothing was written to .*missing"):
            await writer.send(f"{topics.status}.missing", b"k", b"v", seconds=2)

        async def refuse(_self):
            raise TopicAuthorizationFailedError

        with monkeypatch.context() as patched:
            patched.setattr(AIOKafkaProducer, "start", refuse)
            with pytest.raises(NotWrittenError, match="Nothing was written"):
                await writer.send(topics.status, b"k", b"v")

        async def send(_self, *_arguments, **_options):
            lost = asyncio.get_running_loop().create_future()
            lost.set_exception(KafkaConnectionError("gone"))
            return lost

        monkeypatch.setattr(AIOKafkaProducer, "send", send)
        with pytest.raises(TopicWriteError, match="did not confirm") as caught:
            await writer.send(topics.status, b"k", b"v")
        assert not isinstance(caught.value, NotWrittenError)
