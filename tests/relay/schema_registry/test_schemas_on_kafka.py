import asyncio

import fastavro
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

import schemas
from relay.avro.codec import SchemaId, fingerprint, split_frame
from relay.config.kafka import KafkaConfig
from relay.config.schema_registry import SchemaRegistryConfig
from relay.errors import RelayError
from relay.kafka import topic_admin
from relay.kafka.connection import Connection
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics
from relay.schema_registry.client import open_schema_registry
from relay.schema_registry.register import register_schemas
from relay.schema_registry.store import open_schema_store
from relay.schema_registry.topic import SchemaTopic
from tests.support.kafka import connection_to

FOREIGN = {"type": "record", "name": "Foreign", "fields": [{"name": "a", "type": "long"}]}
EVENT = {
    "organization": "acme.atlassian.net",
    "id": 2**53 + 1,
    "created": 1_795_392_000_123,
    "collected": 1_795_392_060_456,
    "mode": "late",
    "summary": "User added to group: „админ“ 🦊",
    "objectItem": {"name": "site-admins", "typeName": "GROUP"},
    "associatedItems": [
        {"id": "1", "name": "b", "typeName": "USER"},
        {"id": "0", "name": "a", "typeName": "USER"},
    ],
}


@pytest.fixture
async def connection(kafka, prefix):
    connection = connection_to(kafka, prefix, shards=1)
    await topic_admin.create_missing_topics(connection)
    return connection


def deserialized(registry, topic, message):
    """Return the record as Confluent's library deserializes it."""
    with SchemaRegistryClient(
        {"url": registry, "timeout": 60}
    ) as client:  # without it, the client waits for ever; with it, it retries
        return AvroDeserializer(client)(message, SerializationContext(topic, MessageField.VALUE))


def consumed(bootstrap, topic):
    """Return the first message of a topic, read by librdkafka."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        return consumer.poll(120)
    finally:
        consumer.close()


async def test_a_schema_on_the_topic_is_visible_to_every_reader(connection, prefix):
    topic = SchemaTopic(connection, Topics(prefix).schemas)
    assert await topic.get(fingerprint(FOREIGN)) is None
    await topic.put(fingerprint(FOREIGN), '{"type": "record"}')
    assert await topic.get(fingerprint(FOREIGN)) == b'{"type": "record"}'


async def test_the_error_of_a_missing_topic_names_the_command(kafka, prefix):
    connection = connection_to(kafka, prefix)
    with pytest.raises(RelayError, match="jira-relay topics create"):
        await SchemaTopic(connection, f"{prefix}.schemas").get(fingerprint(FOREIGN))


async def test_an_unreachable_kafka_is_a_relay_error(prefix):
    topic = SchemaTopic(Connection(KafkaConfig(bootstrap="127.0.0.1:1")), f"{prefix}.schemas")
    with pytest.raises(RelayError, match=r"\.schemas"):
        await topic.get(fingerprint(FOREIGN))
    with pytest.raises(RelayError, match=r"\.schemas"):
        await topic.put(fingerprint(FOREIGN), "{}")


async def test_without_a_registry_a_service_reads_the_messages_of_another(connection, tmp_path, monkeypatch):
    """The reader is of another release, and does not know the writer's schema beforehand."""
    async with open_schema_store(
        SchemaRegistryConfig(cache_directory=tmp_path / "writer"), connection
    ) as writer:
        monkeypatch.setattr(schemas, "load", lambda _: FOREIGN)
        encoder = await writer.event_encoder()
        monkeypatch.undo()
    async with open_schema_store(
        SchemaRegistryConfig(cache_directory=tmp_path / "reader"), connection
    ) as reader:
        assert await reader.resolve(split_frame(encoder.encode({"a": 1}))[0]) == FOREIGN


async def test_an_ordinary_confluent_consumer_reads_the_events_topic(
    kafka, real_registry, connection, prefix, tmp_path
):
    topics = Topics(prefix)
    settings = SchemaRegistryConfig(url=real_registry, cache_directory=tmp_path)
    async with open_schema_registry(settings) as client:
        await register_schemas(client, topics)
    async with open_schema_store(settings, connection) as store, RecordWriter(connection) as writer:
        encoder = await store.event_encoder()
        assert isinstance(encoder.ref, SchemaId)
        await writer.send(topics.events, b"acme.atlassian.net", encoder.encode(EVENT))
    message = await asyncio.to_thread(consumed, kafka.bootstrap, topics.events)
    event = await asyncio.to_thread(deserialized, real_registry, topics.events, message.value())
    assert event["id"] == EVENT["id"]
    assert event["created"].isoformat() == "2026-11-23T00:00:00.123000+00:00"
    assert event["summary"] == EVENT["summary"]
    assert event["objectItem"] == {**dict.fromkeys(("id", "parentId", "parentName")), **EVENT["objectItem"]}
    assert [item["id"] for item in event["associatedItems"]] == ["1", "0"]
    assert fastavro.validate(event, schemas.load("audit_event"))
