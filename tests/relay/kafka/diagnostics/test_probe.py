"""The whole use of Kafka, through TLS and with each kind of login."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from relay.config.kafka import KafkaConfig
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.kafka.producer import ProducerRecord
from relay.kafka.publish_errors import PublishError
from relay.kafka.topic_admin import compare_topics, create_missing_topics
from relay.kafka.topics import Topics
from relay.kafka.transactions import TransactionalProducer
from simulators.faults import respond_with
from tests.support.group_member import SESSION, RecordingHandler, running_member
from tests.support.kafka import PATIENCE, aiokafka_tasks
from tests.support.waiting import wait_until


def connection_of(given, prefix):
    config = KafkaConfig(**given, topic_prefix=prefix, shards=1, group_session_timeout_seconds=SESSION)
    return Connection(config, patience=PATIENCE)


async def open_connection(given, prefix):
    found = connection_of(given, prefix)
    await found.verify()
    await create_missing_topics(found)
    return found


async def open_short_sessions(secure_kafka, authorization_server, prefix):
    """A connection whose login ends within seconds. Its topics are made over another one, which no end of a login cuts off."""
    await open_connection(secure_kafka.scram_settings(), prefix)
    return connection_of(secure_kafka.oauth_settings(authorization_server, "short"), prefix)


def organization(prefix, value):
    return ProducerRecord(Topics(prefix).organizations, 0, b"acme", value)


@pytest.mark.parametrize("name", ["scram", "mutual", "oauth"])
async def test_transactions_and_groups_work_through_each_listener(
    secure_kafka, authorization_server, prefix, name
):
    """Topics are created, a transaction is committed, and a group member reads its records."""
    given = {"scram": secure_kafka.scram_settings, "mutual": secure_kafka.mutual_settings}
    connection = await open_connection(
        given[name]() if name in given else secure_kafka.oauth_settings(authorization_server), prefix
    )
    assert not [report for report in await compare_topics(connection) if report.problems]
    before, handler = aiokafka_tasks(), RecordingHandler()
    publisher = await TransactionalProducer.open(connection, f"{prefix}.0")
    async with running_member(connection, handler, prefix):
        await publisher.publish([organization(prefix, b"1"), organization(prefix, b"2")])
        await wait_until(lambda: handler.values == [b"1", b"2"])
        await handler.consumer.commit(dict.fromkeys(handler.aiokafka_consumer.assignment(), 2))
    await publisher.discard()

    assert aiokafka_tasks() <= before
    assert len(authorization_server.requests) == (name == "oauth")


async def test_work_continues_when_kafka_ends_an_expired_login(
    secure_kafka, authorization_server, prefix, caplog
):
    """aiokafka does not log in again in time, so Kafka closes the connection (KIP-368); nothing fails, repeats or
    rebalances.
    """
    connection = await open_short_sessions(secure_kafka, authorization_server, prefix)
    publisher, handler, written = (
        await TransactionalProducer.open(connection, f"{prefix}.0"),
        RecordingHandler(),
        0,
    )
    async with running_member(connection, handler, prefix):
        while min(count_closed(caplog, "sender"), count_closed(caplog, "group_coordinator")) < 2:
            written += 1
            assert written < 600
            await publisher.publish([organization(prefix, b"%d" % written)])
            await asyncio.sleep(0.1)
        await wait_until(lambda: len(handler.values) >= written)
    await publisher.discard()

    assert handler.values == [b"%d" % number for number in range(1, written + 1)]
    assert len(handler.assignments) == 1
    assert len(authorization_server.requests) == 1


def count_closed(caplog, part):
    """Count how often a connection of this part of aiokafka was closed by the broker."""
    return sum(record.name.endswith(part) and "closed" in record.getMessage() for record in caplog.records)


async def test_work_resumes_when_tokens_are_available_again(secure_kafka, authorization_server, prefix):
    """Tokens expire while no new ones are issued, and Kafka closes the connections; once they are issued again, work
    resumes by itself.
    """
    authorization_server.token_seconds = 4
    connection = await open_short_sessions(secure_kafka, authorization_server, prefix)
    handler = RecordingHandler()
    async with AsyncExitStack() as stack:
        member = await stack.enter_async_context(running_member(connection, handler, prefix))
        await wait_until(lambda: member.valid)
        authorization_server.faults.add(respond_with(503), rate=1)
        await wait_until(lambda: not member.valid, seconds=40)
        with pytest.raises(PublishError):
            await TransactionalProducer.open(connection, f"{prefix}.0")
        with pytest.raises(RelayError, match="gives no token for now"):
            await connection.verify()
        authorization_server.faults.clear()
        await wait_until(lambda: member.valid, seconds=60)
        publisher = await TransactionalProducer.open(connection, f"{prefix}.0")
        await publisher.publish([organization(prefix, b"after")])
        await wait_until(lambda: handler.values == [b"after"])
        await publisher.discard()
