import json

import httpx
import pytest

import schemas
from relay.avro.codec import SchemaId, decode_body, fingerprint, split_frame
from relay.errors import RelayError
from relay.kafka import KafkaError
from relay.kafka.topics import Topics
from relay.schema_registry.client import SchemaRegistryClient, value_subject
from relay.schema_registry.register import register_schemas
from relay.schema_registry.store import (
    SchemaUnavailableError,
)
from tests.support.registry_connection import distinct_audit_event
from tests.support.schema_store import FakeSchemaTopic, schema_store, schema_topic_with

AUDIT_EVENT = schemas.load("audit_event")
EVENT = {"organization": "acme.atlassian.net", "id": 1, "created": 2, "collected": 3}


async def test_without_a_registry_the_schema_is_on_the_topic_before_the_encoder_exists(tmp_path):
    schema_topic = FakeSchemaTopic()
    encoder = await schema_store(tmp_path, schema_topic).event_encoder()
    ref, offset = split_frame(encoder.encode(EVENT))
    assert json.loads(schema_topic.texts[ref]) == AUDIT_EVENT
    assert decode_body(AUDIT_EVENT, encoder.encode(EVENT)[offset:])["id"] == 1


async def test_a_schema_on_the_topic_is_not_written_again(tmp_path):
    schema_topic = schema_topic_with(AUDIT_EVENT)
    before = dict(schema_topic.texts)
    schema_topic.put = None
    await schema_store(tmp_path, schema_topic).event_encoder()
    assert schema_topic.texts == before


async def test_a_wrong_text_under_the_own_fingerprint_is_replaced(tmp_path):
    schema_topic = schema_topic_with(AUDIT_EVENT, b"garbage")
    await schema_store(tmp_path, schema_topic).event_encoder()
    assert json.loads(schema_topic.texts[fingerprint(AUDIT_EVENT)]) == AUDIT_EVENT


async def test_no_encoder_exists_until_its_schema_is_on_the_topic(tmp_path):
    schema_topic = FakeSchemaTopic()
    schema_topic.away = True
    store = schema_store(tmp_path, schema_topic)
    with pytest.raises(RelayError, match="Kafka is away"):
        await store.event_encoder()
    schema_topic.away = False
    assert await store.event_encoder() is await store.event_encoder()


async def test_the_error_of_an_unregistered_schema_names_the_command(tmp_path, transport, prefix):
    store = schema_store(tmp_path, registry=transport.registry, prefix=prefix)
    with pytest.raises(RelayError, match="jira-relay schemas register") as caught:
        await store.event_encoder()
    assert not isinstance(caught.value, SchemaUnavailableError)
    await register_schemas(transport.registry, Topics(prefix))
    assert isinstance((await store.event_encoder()).ref, SchemaId)


async def test_with_auto_register_both_subjects_are_registered(tmp_path, transport, prefix):
    topics = Topics(prefix)
    store = schema_store(tmp_path, registry=transport.registry, prefix=prefix, auto_register=True)
    encoder = await store.event_encoder()
    for topic in (topics.events, topics.backfill):
        assert await transport.registry.lookup(value_subject(topic), AUDIT_EVENT) == encoder.ref


async def test_a_store_resolves_its_own_messages_without_a_request(tmp_path, transport, prefix):
    store = schema_store(tmp_path, registry=transport.registry, prefix=prefix, auto_register=True)
    encoder = await store.event_encoder()
    transport.cut = True
    assert await store.resolve(encoder.ref) == AUDIT_EVENT


async def test_with_the_registry_unavailable_at_start_events_use_the_cached_id(tmp_path, transport, prefix):
    await register_schemas(transport.registry, Topics(prefix))
    encoder = await schema_store(tmp_path, registry=transport.registry, prefix=prefix).event_encoder()
    transport.cut = True
    again = await schema_store(tmp_path, registry=transport.registry, prefix=prefix).event_encoder()
    assert again.ref == encoder.ref


async def test_with_the_registry_unavailable_at_the_first_start_events_wait(tmp_path, transport, prefix):
    await register_schemas(transport.registry, Topics(prefix))
    transport.cut = True
    store = schema_store(tmp_path, registry=transport.registry, prefix=prefix, auto_register=True)
    with pytest.raises(SchemaUnavailableError, match="the transport is cut"):
        await store.event_encoder()
    transport.cut = False
    assert isinstance((await store.event_encoder()).ref, SchemaId)


async def test_a_changed_schema_does_not_use_the_cached_id(tmp_path, transport, prefix, monkeypatch):
    await register_schemas(transport.registry, Topics(prefix))
    await schema_store(tmp_path, registry=transport.registry, prefix=prefix).event_encoder()
    transport.cut = True
    monkeypatch.setattr(schemas, "load", lambda _: distinct_audit_event(prefix))
    with pytest.raises(SchemaUnavailableError):
        await schema_store(tmp_path, registry=transport.registry, prefix=prefix).event_encoder()


async def test_the_error_quotes_a_registry_that_rejects_the_schema(tmp_path, transport, prefix):
    subject = value_subject(Topics(prefix).backfill)
    await transport.registry.register(subject, {**AUDIT_EVENT, "fields": AUDIT_EVENT["fields"][1:]})
    await transport.registry.set_full_transitive(subject)
    store = schema_store(tmp_path, registry=transport.registry, prefix=prefix, auto_register=True)
    with pytest.raises(RelayError, match=r"rejects the schema of events: .*organization"):
        await store.event_encoder()


def registry_with(answers):
    """Return a client of a registry that answers each look-up or registration with the next of `answers`."""
    left = list(answers)

    def answer(_request):
        status, content = left.pop(0) if len(left) > 1 else left[0]
        return httpx.Response(status, content=content)

    client = httpx.AsyncClient(base_url="http://registry.invalid", transport=httpx.MockTransport(answer))
    return SchemaRegistryClient(client)


FOUND, FOUND_ANEW = (200, b'{"id": 7}'), (200, b'{"id": 1}')
NOT_FOUND = (404, b'{"error_code": 40401, "message": "Subject not found"}')


async def test_a_producer_registers_again_in_a_registry_that_was_emptied(tmp_path):
    """Later events carry the new id, which new readers can resolve; the store still knows the old one."""
    registry = registry_with([FOUND, NOT_FOUND, FOUND_ANEW])
    store = schema_store(tmp_path, registry=registry, auto_register=True)
    encoder = await store.event_encoder()
    assert split_frame(encoder.encode(EVENT))[0] == SchemaId(7)
    assert await store.verify_encoder() is None
    assert split_frame(encoder.encode(EVENT))[0] == SchemaId(1)
    assert await store.event_encoder() is encoder
    assert [await store.resolve(SchemaId(value)) for value in (1, 7)] == [AUDIT_EVENT, AUDIT_EVENT]


async def test_a_producer_that_may_not_register_names_the_command(tmp_path):
    registry = registry_with([FOUND, NOT_FOUND])
    store = schema_store(tmp_path, registry=registry)
    encoder = await store.event_encoder()
    problem = await store.verify_encoder()
    assert "jira-relay schemas register" in problem
    assert split_frame(encoder.encode(EVENT))[0] == SchemaId(7)


async def test_a_registry_that_does_not_answer_is_no_sign_of_a_lost_schema(tmp_path):
    registry = registry_with([FOUND, (503, b"")])
    store = schema_store(tmp_path, registry=registry)
    assert await store.verify_encoder() is None
    await store.event_encoder()
    assert await store.verify_encoder() is None


async def test_a_topic_of_schemas_that_was_emptied_gets_the_schema_again(tmp_path):
    schema_topic = FakeSchemaTopic()
    store = schema_store(tmp_path, schema_topic)
    await store.event_encoder()
    schema_topic.texts.clear()
    assert await store.verify_encoder() is None
    assert json.loads(schema_topic.texts[fingerprint(AUDIT_EVENT)]) == AUDIT_EVENT


async def test_a_topic_of_schemas_that_cannot_be_read_is_no_sign_of_a_lost_schema(tmp_path):
    schema_topic = FakeSchemaTopic()
    store = schema_store(tmp_path, schema_topic)
    await store.event_encoder()
    schema_topic.away = True
    assert await store.verify_encoder() is None


@pytest.mark.parametrize("error", [KafkaError("away"), TimeoutError(), OSError("cut")], ids=repr)
async def test_a_kafka_that_is_away_ends_no_watch(tmp_path, error):
    schema_topic = FakeSchemaTopic()
    store = schema_store(tmp_path, schema_topic)
    await store.event_encoder()

    async def fail(_fingerprint):
        raise error

    schema_topic.get = fail
    assert await store.verify_encoder() is None
