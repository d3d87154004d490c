import asyncio
import contextlib
import json

import httpx
import pytest
from structlog.testing import capture_logs

import schemas
from relay.avro.codec import Fingerprint, SchemaId, decode_body, fingerprint, split
from relay.errors import RelayError
from relay.kafka.topics import Topics
from relay.schema_registry.client import Registry
from relay.schema_registry.disk_cache import SchemaCache
from relay.schema_registry.register import register
from relay.schema_registry.store import (
    FAILURE_SECONDS,
    Missing,
    SchemaStore,
    SchemaUnavailableError,
    Unavailable,
    value_subject,
)
from tests.support.registry_connection import Line, audit_event_of

AUDIT_EVENT = schemas.load("audit_event")
FOREIGN = {"type": "record", "name": "Foreign", "fields": [{"name": "a", "type": "long"}]}
EVENT = {"organization": "acme.atlassian.net", "id": 1, "created": 2, "collected": 3}


class Shelf:
    """A stand-in for the topic of schemas, which can be away."""

    def __init__(self):
        self.texts = {}
        self.away = False
        self.asked = 0

    async def get(self, fingerprint):
        self.asked += 1
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
async def line(registry):
    way = Line()
    async with httpx.AsyncClient(base_url=registry, transport=way) as client:
        way.registry = Registry(client)
        yield way


def store_of(tmp_path, shelf=None, registry=None, prefix="test", **more):
    cache = SchemaCache(tmp_path / "cache")
    return SchemaStore(Topics(prefix), shelf or Shelf(), registry, cache, ask_again_seconds=0, **more)


def shelf_with(schema, text=None):
    shelf = Shelf()
    shelf.texts[fingerprint(schema)] = json.dumps(schema).encode() if text is None else text
    return shelf


async def test_every_release_is_known_without_asking(tmp_path):
    shelf = Shelf()
    for subject in schemas.SUBJECTS:
        for schema in schemas.released(subject):
            assert await store_of(tmp_path, shelf).resolve(fingerprint(schema)) == schema
    assert shelf.asked == 0


async def test_a_schema_on_the_topic_is_asked_for_once_and_kept_on_disk(tmp_path):
    shelf = shelf_with(FOREIGN)
    store = store_of(tmp_path, shelf)
    assert await store.resolve(fingerprint(FOREIGN)) == FOREIGN
    shelf.away = True
    assert await store.resolve(fingerprint(FOREIGN)) == FOREIGN
    assert await store_of(tmp_path, shelf).resolve(fingerprint(FOREIGN)) == FOREIGN
    assert shelf.asked == 1


async def test_however_many_ask_the_question_is_put_once(tmp_path):
    shelf = shelf_with(FOREIGN)
    store = store_of(tmp_path, shelf)
    answers = await asyncio.gather(*[store.resolve(fingerprint(FOREIGN)) for _ in range(50)])
    assert answers == 50 * [FOREIGN]
    assert shelf.asked == 1


async def test_whoever_gives_up_asking_does_not_spoil_it_for_others(tmp_path):
    store = store_of(tmp_path, shelf_with(FOREIGN))
    first, second = (asyncio.create_task(store.resolve(fingerprint(FOREIGN))) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == FOREIGN
    with contextlib.suppress(asyncio.CancelledError):
        await first


async def test_a_fingerprint_nobody_knows_is_missing_and_asked_for_again_after_seconds(tmp_path):
    shelf, clock = Shelf(), Clock()
    store = store_of(tmp_path, shelf, clock=clock)
    for _ in range(3):
        assert isinstance(await store.resolve(fingerprint(FOREIGN)), Missing)
    assert shelf.asked == 1
    shelf.texts = shelf_with(FOREIGN).texts
    clock.now = FAILURE_SECONDS
    assert await store.resolve(fingerprint(FOREIGN)) == FOREIGN


async def test_while_kafka_is_away_a_schema_is_unavailable_not_missing(tmp_path):
    shelf, clock = shelf_with(FOREIGN), Clock()
    shelf.away = True
    store = store_of(tmp_path, shelf, clock=clock)
    assert await store.resolve(fingerprint(FOREIGN)) == Unavailable("Kafka is away.")
    shelf.away = False
    clock.now = FAILURE_SECONDS
    assert await store.resolve(fingerprint(FOREIGN)) == FOREIGN


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff\xfe", json.dumps(AUDIT_EVENT).encode()])
async def test_a_wrong_text_under_a_fingerprint_is_never_used(tmp_path, text):
    answer = await store_of(tmp_path, shelf_with(FOREIGN, text)).resolve(fingerprint(FOREIGN))
    assert isinstance(answer, Missing)
    assert "something else" in answer.reason


async def test_another_schema_on_disk_under_a_fingerprint_is_never_used(tmp_path):
    store = store_of(tmp_path, shelf_with(FOREIGN))
    store._cache.put(f"fingerprint-{fingerprint(FOREIGN).value.hex()}", json.dumps(AUDIT_EVENT))
    assert await store.resolve(fingerprint(FOREIGN)) == FOREIGN


async def test_failures_do_not_pile_up(tmp_path):
    clock = Clock()
    store = store_of(tmp_path, clock=clock)
    for number in range(100):
        clock.now = 0.5 * number
        await store.resolve(Fingerprint(number.to_bytes(8, "big")))
    assert len(store._failed) <= 2 * FAILURE_SECONDS + 1


async def test_an_id_without_a_registry_is_a_fault_of_the_settings(tmp_path):
    answer = await store_of(tmp_path).resolve(SchemaId(7))
    assert isinstance(answer, Unavailable)
    assert "schema_registry.url" in answer.reason


async def test_an_id_is_asked_for_once(tmp_path, line, prefix):
    ref = await line.registry.register(f"{prefix}-value", AUDIT_EVENT)
    line.asked.clear()
    store = store_of(tmp_path, registry=line.registry)
    answers = await asyncio.gather(*[store.resolve(ref) for _ in range(20)])
    assert answers == 20 * [AUDIT_EVENT]
    assert len(line.asked) == 1


async def test_an_id_is_believed_missing_only_at_the_second_asking(tmp_path, line):
    store = store_of(tmp_path, registry=line.registry)
    assert isinstance(await store.resolve(SchemaId(2**31 - 1)), Missing)
    assert len(line.asked) == 2


async def test_with_the_registry_away_the_disk_answers(tmp_path, line, prefix):
    ref = await line.registry.register(f"{prefix}-value", AUDIT_EVENT)
    await store_of(tmp_path, registry=line.registry).resolve(ref)
    line.cut = True
    with capture_logs() as logs:
        assert await store_of(tmp_path, registry=line.registry).resolve(ref) == AUDIT_EVENT
    assert "the line is cut" in logs[0]["reason"]


async def test_with_registry_and_disk_away_an_id_is_waited_for(tmp_path, line, prefix):
    ref = await line.registry.register(f"{prefix}-value", AUDIT_EVENT)
    line.cut = True
    clock = Clock()
    store = store_of(tmp_path, registry=line.registry, clock=clock)
    assert isinstance(await store.resolve(ref), Unavailable)
    line.cut = False
    clock.now = FAILURE_SECONDS
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
async def test_a_damaged_file_is_ignored_loudly(tmp_path, line, prefix, damage):
    ref = await line.registry.register(f"{prefix}-value", AUDIT_EVENT)
    await store_of(tmp_path, registry=line.registry).resolve(ref)
    [file] = (tmp_path / "cache").iterdir()
    file.write_bytes(damage(file.read_bytes()))
    line.cut = True
    with capture_logs() as logs:
        assert isinstance(await store_of(tmp_path, registry=line.registry).resolve(ref), Unavailable)
    assert [entry["log_level"] for entry in logs] == ["warning"]
    line.cut = False
    assert await store_of(tmp_path, registry=line.registry).resolve(ref) == AUDIT_EVENT


async def test_without_a_disk_everything_works_while_the_registry_does(tmp_path, line, prefix):
    (tmp_path / "cache").write_text("a file where the directory should be")
    ref = await line.registry.register(f"{prefix}-value", AUDIT_EVENT)
    with capture_logs() as logs:
        assert await store_of(tmp_path, registry=line.registry).resolve(ref) == AUDIT_EVENT
    assert "schema_registry.cache_directory" in logs[0]["event"]


async def test_a_registry_that_gives_an_id_out_anew_is_believed_over_the_disk(tmp_path, line, prefix):
    ref = await line.registry.register(f"{prefix}-value", AUDIT_EVENT)
    store = store_of(tmp_path, registry=line.registry)
    store._cache.put(store._kept_name("id", str(ref.value)), json.dumps(FOREIGN))
    assert await store.resolve(ref) == AUDIT_EVENT


async def test_ids_of_different_registries_are_kept_apart(tmp_path, line, prefix):
    ref = await line.registry.register(f"{prefix}-value", AUDIT_EVENT)
    await store_of(tmp_path, registry=line.registry).resolve(ref)
    async with httpx.AsyncClient(base_url="http://other.invalid", transport=line) as client:
        line.cut = True
        other = store_of(tmp_path, registry=Registry(client))
        assert isinstance(await other.resolve(ref), Unavailable)


async def test_without_a_registry_the_schema_stands_on_the_topic_before_the_encoder_is_out(tmp_path):
    shelf = Shelf()
    encoder = await store_of(tmp_path, shelf).event_encoder()
    ref, offset = split(encoder.encode(EVENT))
    assert json.loads(shelf.texts[ref]) == AUDIT_EVENT
    assert decode_body(AUDIT_EVENT, encoder.encode(EVENT)[offset:])["id"] == 1


async def test_a_schema_that_stands_on_the_topic_is_not_written_again(tmp_path):
    shelf = shelf_with(AUDIT_EVENT)
    before = dict(shelf.texts)
    shelf.put = None
    await store_of(tmp_path, shelf).event_encoder()
    assert shelf.texts == before


async def test_a_wrong_text_under_our_fingerprint_is_written_over(tmp_path):
    shelf = shelf_with(AUDIT_EVENT, b"garbage")
    await store_of(tmp_path, shelf).event_encoder()
    assert json.loads(shelf.texts[fingerprint(AUDIT_EVENT)]) == AUDIT_EVENT


async def test_there_is_no_encoder_until_its_schema_stands_on_the_topic(tmp_path):
    shelf = Shelf()
    shelf.away = True
    store = store_of(tmp_path, shelf)
    with pytest.raises(RelayError, match="Kafka is away"):
        await store.event_encoder()
    shelf.away = False
    assert await store.event_encoder() is await store.event_encoder()


async def test_events_that_are_not_registered_name_the_command(tmp_path, line, prefix):
    store = store_of(tmp_path, registry=line.registry, prefix=prefix)
    with pytest.raises(RelayError, match="jira-relay schemas register") as caught:
        await store.event_encoder()
    assert not isinstance(caught.value, SchemaUnavailableError)
    await register(line.registry, Topics(prefix))
    assert isinstance((await store.event_encoder()).ref, SchemaId)


async def test_with_auto_register_both_subjects_are_registered(tmp_path, line, prefix):
    topics = Topics(prefix)
    store = store_of(tmp_path, registry=line.registry, prefix=prefix, auto_register=True)
    encoder = await store.event_encoder()
    for topic in (topics.events, topics.backfill):
        assert await line.registry.lookup(value_subject(topic), AUDIT_EVENT) == encoder.ref


async def test_what_the_encoder_writes_its_own_store_resolves_without_asking(tmp_path, line, prefix):
    store = store_of(tmp_path, registry=line.registry, prefix=prefix, auto_register=True)
    encoder = await store.event_encoder()
    line.cut = True
    assert await store.resolve(encoder.ref) == AUDIT_EVENT


async def test_with_the_registry_away_at_start_events_are_written_as_before(tmp_path, line, prefix):
    await register(line.registry, Topics(prefix))
    encoder = await store_of(tmp_path, registry=line.registry, prefix=prefix).event_encoder()
    line.cut = True
    again = await store_of(tmp_path, registry=line.registry, prefix=prefix).event_encoder()
    assert again.ref == encoder.ref


async def test_with_the_registry_away_at_the_very_first_start_it_is_waited_for(tmp_path, line, prefix):
    await register(line.registry, Topics(prefix))
    line.cut = True
    store = store_of(tmp_path, registry=line.registry, prefix=prefix, auto_register=True)
    with pytest.raises(SchemaUnavailableError, match="the line is cut"):
        await store.event_encoder()
    line.cut = False
    assert isinstance((await store.event_encoder()).ref, SchemaId)


async def test_another_schema_of_ours_is_not_written_under_the_id_of_before(
    tmp_path, line, prefix, monkeypatch
):
    await register(line.registry, Topics(prefix))
    await store_of(tmp_path, registry=line.registry, prefix=prefix).event_encoder()
    line.cut = True
    monkeypatch.setattr(schemas, "load", lambda _: audit_event_of(prefix))
    with pytest.raises(SchemaUnavailableError):
        await store_of(tmp_path, registry=line.registry, prefix=prefix).event_encoder()


async def test_a_registry_that_refuses_the_schema_is_quoted(tmp_path, line, prefix):
    subject = value_subject(Topics(prefix).backfill)
    await line.registry.register(subject, {**AUDIT_EVENT, "fields": AUDIT_EVENT["fields"][1:]})
    await line.registry.demand_full_transitive(subject)
    store = store_of(tmp_path, registry=line.registry, prefix=prefix, auto_register=True)
    with pytest.raises(RelayError, match=r"refuses the schema of events: .*organization"):
        await store.event_encoder()
