import asyncio
import contextlib
import json
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

import schemas
from relay.avro.codec import Fingerprint, SchemaId, fingerprint
from relay.schema_registry.client import SchemaRegistryClient
from relay.schema_registry.disk_cache import SchemaCache, registry_file
from relay.schema_registry.store import (
    DEFAULT_TIMING,
    Missing,
    Unavailable,
)
from tests.support.schema_store import FakeSchemaTopic, SettableClock, schema_store, schema_topic_with

AUDIT_EVENT = schemas.load("audit_event")
FOREIGN = {"type": "record", "name": "Foreign", "fields": [{"name": "a", "type": "long"}]}


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
    schema_topic, clock = FakeSchemaTopic(), SettableClock()
    store = schema_store(tmp_path, schema_topic, clock=clock)
    for _ in range(3):
        assert isinstance(await store.resolve(fingerprint(FOREIGN)), Missing)
    assert schema_topic.reads == 1
    schema_topic.texts = schema_topic_with(FOREIGN).texts
    clock.now = DEFAULT_TIMING.failure_cache_seconds
    assert await store.resolve(fingerprint(FOREIGN)) == FOREIGN


async def test_while_kafka_is_unavailable_a_schema_is_unavailable_not_missing(tmp_path):
    schema_topic, clock = schema_topic_with(FOREIGN), SettableClock()
    schema_topic.away = True
    store = schema_store(tmp_path, schema_topic, clock=clock)
    assert await store.resolve(fingerprint(FOREIGN)) == Unavailable("Kafka is away.")
    schema_topic.away = False
    clock.now = DEFAULT_TIMING.failure_cache_seconds
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
    clock = SettableClock()
    store = schema_store(tmp_path, clock=clock)
    for number in range(100):
        clock.now = 0.5 * number
        await store.resolve(Fingerprint(number.to_bytes(8, "big")))
    assert len(store._failed) <= 2 * DEFAULT_TIMING.failure_cache_seconds + 1


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
    clock = SettableClock()
    store = schema_store(tmp_path, registry=transport.registry, clock=clock)
    assert isinstance(await store.resolve(ref), Unavailable)
    transport.cut = False
    clock.now = DEFAULT_TIMING.failure_cache_seconds
    assert await store.resolve(ref) == AUDIT_EVENT


@pytest.mark.parametrize(
    "corrupt",
    [
        lambda content: content[:-1],
        lambda content: content[:70],
        lambda content: b"\xff" + content[1:],
        lambda _: b"",
    ],
    ids=["a byte lost", "cut", "not text", "empty"],
)
async def test_a_corrupt_file_is_ignored_with_a_warning(tmp_path, transport, prefix, corrupt):
    ref = await transport.registry.register(f"{prefix}-value", AUDIT_EVENT)
    await schema_store(tmp_path, registry=transport.registry).resolve(ref)
    [file] = (tmp_path / "cache").iterdir()
    file.write_bytes(corrupt(file.read_bytes()))
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
    name = registry_file(transport.registry.url, "id", str(ref.value))
    store._cache.put(name, json.dumps(FOREIGN))
    assert await store.resolve(ref) == AUDIT_EVENT


async def test_ids_of_different_registries_are_cached_separately(tmp_path, transport, prefix):
    ref = await transport.registry.register(f"{prefix}-value", AUDIT_EVENT)
    await schema_store(tmp_path, registry=transport.registry).resolve(ref)
    async with httpx.AsyncClient(base_url="http://other.invalid", transport=transport) as client:
        transport.cut = True
        other = schema_store(tmp_path, registry=SchemaRegistryClient(client))
        assert isinstance(await other.resolve(ref), Unavailable)


async def test_a_doubted_id_is_asked_for_again(tmp_path, transport, prefix):
    """Neither memory nor disk answers: both may hold what the registry said before it was filled anew."""
    ref = await transport.registry.register(f"{prefix}-value", AUDIT_EVENT)
    store = schema_store(tmp_path, registry=transport.registry)
    store._known[ref] = FOREIGN
    assert await store.resolve(ref) == FOREIGN
    assert await store.refresh(ref) == AUDIT_EVENT
    assert await store.resolve(ref) == AUDIT_EVENT
    transport.cut = True
    assert isinstance(await store.refresh(ref), Unavailable)
    assert await store.resolve(ref) == AUDIT_EVENT


async def test_without_a_home_directory_nothing_is_kept_on_disk(tmp_path, monkeypatch):
    """A path that still begins with ~ would become a directory of that name."""
    monkeypatch.chdir(tmp_path)
    with capture_logs() as logs:
        SchemaCache(Path("~/.cache/schemas")).put("id", "text")
    assert list(tmp_path.iterdir()) == []
    assert "no home directory" in logs[0]["reason"]
    assert "schema_registry.cache_directory" in logs[0]["event"]
