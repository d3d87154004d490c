import asyncio
import contextlib
import json

import httpx
import pytest
from structlog.testing import capture_logs

import schemas
from relay.avro.codec import Fingerprint, SchemaId, decode_body, fingerprint, split_frame
from relay.errors import RelayError
from relay.kafka.topics import Topics
from relay.schema_registry.client import SchemaRegistryClient, value_subject
from relay.schema_registry.disk_cache import SchemaCache
from relay.schema_registry.register import register_schemas
from relay.schema_registry.store import (
    FAILURE_CACHE_SECONDS,
    Missing,
    SchemaStore,
    SchemaUnavailableError,
    Unavailable,
)
from tests.support.registry_connection import CuttableTransport, distinct_audit_event

AUDIT_EVENT = schemas.load("audit_event")
FOREIGN = {"type": "record", "name": "Foreign", "fields": [{"name": "a", "type": "long"}]}
EVENT = {"organization": "acme.atlassian.net", "id": 1, "created": 2, "collected": 3}


class FakeSchemaTopic:
    """Replaces the topic of schemas, and can be unavailable."""

    def __init__(self):
        self.texts = {}
        self.away = False
        self.reads = 0

    async def get(self, fingerprint):
        self.reads += 1
        await asyncio.sleep(0)
        if self.away:
            raise RelayError("Kafka is away.")
        return self.texts.get(fingerprint)

    async def put(self, fingerprint, text):
        if self.away:
            raise RelayError("Kafka is away.")
        self.texts[fingerprint] = text.encode()


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
async def transport(registry):
    transport = CuttableTransport()
    async with httpx.AsyncClient(base_url=registry, transport=transport) as client:
        transport.registry = SchemaRegistryClient(client)
        yield transport


def schema_store(tmp_path, schema_topic=None, registry=None, prefix="test", **more):
    cache = SchemaCache(tmp_path / "cache")
    return SchemaStore(
        Topics(prefix), schema_topic or FakeSchemaTopic(), registry, cache, retry_seconds=0, **more
    )


def schema_topic_with(schema, text=None):
    schema_topic = FakeSchemaTopic()
    schema_topic.texts[fingerprint(schema)] = json.dumps(schema).encode() if text is None else text
    return schema_topic


async def test_released_schemas_are_known_without_a_request(tmp_path):
    schema_topic = FakeSchemaTopic()
    for subject in schemas.SUBJECTS:
        for schema in schemas.released(subject):
            assert await schema_store(tmp_path, schema_topic).resolve(fingerprint(schema)) == schema
    assert schema_topic.reads == 0


async def test_a_schema_on_the_topic_is_read_once_and_kept_on_disk(tmp_path):
    schema_topic = schema_topic_with(FOREIGN)
    store = schema_store(tmp_path, schema_topic)
    assert await store.resolve(fingerprint(FOREIGN)) == FOREIGN
    schema_topic.away = True
    assert await store.resolve(fingerprint(FOREIGN)) == FOREIGN
    assert await schema_store(tmp_path, schema_topic).resolve(fingerprint(FOREIGN)) == FOREIGN
    assert schema_topic.reads == 1


async def test_concurrent_callers_share_one_request(tmp_path):
    schema_topic = schema_topic_with(FOREIGN)
    store = schema_store(tmp_path, schema_topic)
    answers = await asyncio.gather(*[store.resolve(fingerprint(FOREIGN)) for _ in range(50)])
    assert answers == 50 * [FOREIGN]
    assert schema_topic.reads == 1


async def test_a_cancelled_caller_does_not_cancel_the_others(tmp_path):
    store = schema_store(tmp_path, schema_topic_with(FOREIGN))
    first, second = (asyncio.create_task(store.resolve(fingerprint(FOREIGN))) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == FOREIGN
    with contextlib.suppress(asyncio.CancelledError):
        await first


async def test_an_unknown_fingerprint_is_missing_and_read_again_after_seconds(tmp_path):
    schema_topic, clock = FakeSchemaTopic(), Clock()
    store = schema_store(tmp_path, schema_topic, clock=clock)
    for _ in range(3):
        assert isinstance(await store.resolve(fingerprint(FOREIGN)), Missing)
    assert schema_topic.reads == 1
    schema_topic.texts = schema_topic_with(FOREIGN).texts
    clock.now = FAILURE_CACHE_SECONDS
    assert await store.resolve(fingerprint(FOREIGN)) == FOREIGN


async def test_while_kafka_is_unavailable_a_schema_is_unavailable_not_missing(tmp_path):
    schema_topic, clock = schema_topic_with(FOREIGN), Clock()
    schema_topic.away = True
    store = schema_store(tmp_path, schema_topic, clock=clock)
    assert await store.resolve(fingerprint(FOREIGN)) == Unavailable("Kafka is away.")
    schema_topic.away = False
    clock.now = FAILURE_CACHE_SECONDS
    assert await store.resolve(fingerprint(FOREIGN)) == FOREIGN


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff\xfe", json.dumps(AUDIT_EVENT).encode()])
async def test_a_wrong_text_under_a_fingerprint_is_never_used(tmp_path, text):
    answer = await schema_store(tmp_path, schema_topic_with(FOREIGN, text)).resolve(fingerprint(FOREIGN))
    assert isinstance(answer, Missing)
    assert "holds another schema" in answer.reason


async def test_another_schema_on_disk_under_a_fingerprint_is_never_used(tmp_path):
    store = schema_store(tmp_path, schema_topic_with(FOREIGN))
    store._cache.put(f"fingerprint-{fingerprint(FOREIGN).value.hex()}", json.dumps(AUDIT_EVENT))
    assert await store.resolve(fingerprint(FOREIGN)) == FOREIGN


async def test_old_failures_are_dropped(tmp_path):
    clock = Clock()
    store = schema_store(tmp_path, clock=clock)
    for number in range(100):
        clock.now = 0.5 * number
        await store.resolve(Fingerprint(number.to_bytes(8, "big")))
    assert len(store._failed) <= 2 * FAILURE_CACHE_SECONDS + 1


async def test_an_id_without_a_registry_names_the_setting(tmp_path):
    answer = await schema_store(tmp_path).resolve(SchemaId(7))
    assert isinstance(answer, Unavailable)
    assert "schema_registry.url" in answer.reason


async def test_an_id_is_requested_once(tmp_path, transport, prefix):
    ref = await transport.registry.register(f"{prefix}-value", AUDIT_EVENT)
    transport.requests.clear()
    store = schema_store(tmp_path, registry=transport.registry)
    answers = await asyncio.gather(*[store.resolve(ref) for _ in range(20)])
    assert answers == 20 * [AUDIT_EVENT]
    assert len(transport.requests) == 1


async def test_an_id_is_missing_only_after_a_second_request(tmp_path, transport):
    store = schema_store(tmp_path, registry=transport.registry)
    assert isinstance(await store.resolve(SchemaId(2**31 - 1)), Missing)
    assert len(transport.requests) == 2


async def test_the_disk_cache_answers_while_the_registry_is_unavailable(tmp_path, transport, prefix):
    ref = await transport.registry.register(f"{prefix}-value", AUDIT_EVENT)
    await schema_store(tmp_path, registry=transport.registry).resolve(ref)
    transport.cut = True
    with capture_logs() as logs:
        assert await schema_store(tmp_path, registry=transport.registry).resolve(ref) == AUDIT_EVENT
    assert "the transport is cut" in logs[0]["reason"]


async def test_without_registry_and_disk_cache_an_id_is_unavailable_until_the_registry_answers(
    tmp_path, transport, prefix
):
    ref = await transport.registry.register(f"{prefix}-value", AUDIT_EVENT)
    transport.cut = True
    clock = Clock()
    store = schema_store(tmp_path, registry=transport.registry, clock=clock)
    assert isinstance(await store.resolve(ref), Unavailable)
    transport.cut = False
    clock.now = FAILURE_CACHE_SECONDS
    assert await store.resolve(ref) == AUDIT_EVENT


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[:70],
        lambda content: b"\xff" + content[1:],
        lambda _: b"",
    ],
    ids=["a byte lost", "cut", "not text", "empty"],
)
async def test_a_damaged_file_is_ignored_with_a_warning(tmp_path, transport, prefix, damage):
    ref = await transport.registry.register(f"{prefix}-value", AUDIT_EVENT)
    await schema_store(tmp_path, registry=transport.registry).resolve(ref)
    [file] = (tmp_path / "cache").iterdir()
    file.write_bytes(damage(file.read_bytes()))
    transport.cut = True
    with capture_logs() as logs:
        assert isinstance(await schema_store(tmp_path, registry=transport.registry).resolve(ref), Unavailable)
    assert [entry["log_level"] for entry in logs] == ["warning"]
    transport.cut = False
    assert await schema_store(tmp_path, registry=transport.registry).resolve(ref) == AUDIT_EVENT


async def test_without_a_disk_the_store_works_while_the_registry_does(tmp_path, transport, prefix):
    (tmp_path / "cache").write_text("a file where the directory should be")
    ref = await transport.registry.register(f"{prefix}-value", AUDIT_EVENT)
    with capture_logs() as logs:
        assert await schema_store(tmp_path, registry=transport.registry).resolve(ref) == AUDIT_EVENT
    assert "schema_registry.cache_directory" in logs[0]["event"]


async def test_a_registry_that_assigns_an_id_again_wins_over_the_disk(tmp_path, transport, prefix):
    ref = await transport.registry.register(f"{prefix}-value", AUDIT_EVENT)
    store = schema_store(tmp_path, registry=transport.registry)
    store._cache.put(store._cache_name("id", str(ref.value)), json.dumps(FOREIGN))
    assert await store.resolve(ref) == AUDIT_EVENT


async def test_ids_of_different_registries_are_cached_separately(tmp_path, transport, prefix):
    ref = await transport.registry.register(f"{prefix}-value", AUDIT_EVENT)
    await schema_store(tmp_path, registry=transport.registry).resolve(ref)
    async with httpx.AsyncClient(base_url="http://other.invalid", transport=transport) as client:
        transport.cut = True
        other = schema_store(tmp_path, registry=SchemaRegistryClient(client))
        assert isinstance(await other.resolve(ref), Unavailable)


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
