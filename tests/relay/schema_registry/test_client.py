import copy
import json

import httpx
import pytest

import schemas
from relay.avro.codec import SchemaId
from relay.config.schema_registry import SchemaRegistryConfig
from relay.schema_registry.client import (
    Missing,
    RegisteredSchema,
    SchemaRegistryClient,
    SchemaRejected,
    Unavailable,
    open_schema_registry,
)

AUDIT_EVENT = schemas.load("audit_event")
URL = "http://registry.invalid/apis/ccompat/v7"


def extended_schema():
    schema = copy.deepcopy(AUDIT_EVENT)
    schema["fields"].append({"name": "more", "type": ["null", "string"], "default": None, "doc": "More."})
    return schema


def incompatible_schema():
    schema = copy.deepcopy(AUDIT_EVENT)
    schema["fields"][1]["type"] = "string"
    return schema


@pytest.fixture
async def client(real_registry):
    async with open_schema_registry(SchemaRegistryConfig(url=real_registry)) as client:
        yield client


async def test_registering_twice_gives_the_same_id(client, prefix):
    first = await client.register(f"{prefix}-value", AUDIT_EVENT)
    assert isinstance(first, SchemaId)
    assert await client.register(f"{prefix}-value", AUDIT_EVENT) == first


async def test_a_schema_is_returned_by_its_id_unchanged(client, prefix):
    ref = await client.register(f"{prefix}-value", AUDIT_EVENT)
    assert await client.by_id(ref) == AUDIT_EVENT


async def test_a_schema_is_found_only_in_its_subject(client, prefix):
    ref = await client.register(f"{prefix}-value", AUDIT_EVENT)
    assert await client.lookup(f"{prefix}-value", AUDIT_EVENT) == ref
    assert isinstance(await client.lookup(f"{prefix}-value", extended_schema()), Missing)
    assert isinstance(await client.lookup(f"{prefix}-other-value", AUDIT_EVENT), Missing)


async def test_the_latest_version_is_the_last_registered(client, prefix):
    await client.register(f"{prefix}-value", AUDIT_EVENT)
    ref = await client.register(f"{prefix}-value", extended_schema())
    assert await client.latest(f"{prefix}-value") == RegisteredSchema(ref, 2, extended_schema())


async def test_an_incompatible_version_is_rejected_with_the_field(client, prefix):
    subject = f"{prefix}-value"
    await client.register(subject, AUDIT_EVENT)
    assert await client.set_full_transitive(subject) is None
    answer = await client.register(subject, incompatible_schema())
    assert isinstance(answer, SchemaRejected)
    assert "/fields/1/type" in answer.reason
    assert isinstance(await client.check_compatibility(subject, incompatible_schema()), SchemaRejected)
    assert await client.check_compatibility(subject, extended_schema()) is None


async def test_full_transitive_can_be_set_before_the_first_version(client, prefix):
    assert await client.set_full_transitive(f"{prefix}-value") is None
    assert await client.compatibility_level(f"{prefix}-value") == "FULL_TRANSITIVE"


async def test_an_invalid_schema_is_rejected(client, prefix):
    assert isinstance(await client.register(f"{prefix}-value", {"type": "nonsense"}), SchemaRejected)


async def test_an_unknown_id_and_an_unknown_subject_are_missing(client, prefix):
    assert isinstance(await client.by_id(SchemaId(2**31 - 1)), Missing)
    assert isinstance(await client.latest(f"{prefix}-value"), Missing)
    assert isinstance(await client.check_compatibility(f"{prefix}-value", AUDIT_EVENT), Missing)


async def test_a_subject_may_hold_any_character(client, prefix):
    ref = await client.register(f"{prefix}/ä b?c#d-value", AUDIT_EVENT)
    assert isinstance(ref, SchemaId)
    assert await client.lookup(f"{prefix}/ä b?c#d-value", AUDIT_EVENT) == ref


async def test_a_wrong_path_at_a_real_registry_proves_nothing_missing(real_registry):
    url = real_registry.removesuffix("/ccompat/v7")
    async with open_schema_registry(SchemaRegistryConfig(url=url)) as client:
        answer = await client.by_id(SchemaId(1))
    assert isinstance(answer, Unavailable)
    assert "schema_registry.url" in answer.reason


def client_answering(status, content, **more):
    """Return a client of a registry that gives every request the same answer."""

    def answer(_request):
        return httpx.Response(status, content=content, **more)

    return SchemaRegistryClient(httpx.AsyncClient(base_url=URL, transport=httpx.MockTransport(answer)))


@pytest.mark.parametrize(
    ("status", "content", "kind", "words"),
    [
        (401, b'{"error_code": 40101, "message": "Unauthorized"}', Unavailable, "schema_registry.password"),
        (403, b'{"error_code": 40301, "message": "User is denied"}', Unavailable, "grant the permission"),
        (404, b'{"error_code": 40403, "message": "Schema 7 not found"}', Missing, "Schema 7 not found"),
        (404, b'{"error_code": 404, "message": "HTTP 404 Not Found"}', Unavailable, "schema_registry.url"),
        (404, b"<html>nginx</html>", Unavailable, "schema_registry.url"),
        (301, b"", Unavailable, "schema_registry.url"),
        (200, b"<html>Log in</html>", Unavailable, "schema_registry.url"),
        (200, b"[1, 2]", Unavailable, "schema_registry.url"),
        (200, b"[" * 100_000, Unavailable, "schema_registry.url"),
        (409, b"{}", SchemaRejected, "409"),
        (422, b'{"error_code": 42201, "message": "Invalid schema"}', SchemaRejected, "Invalid schema"),
        (429, b"", Unavailable, "429"),
        (500, b'{"error_code": 50001, "message": "Error in the backend data store"}', Unavailable, "backend"),
        (503, b"", Unavailable, "503"),
    ],
)
async def test_every_answer_has_a_meaning_and_a_remedy(status, content, kind, words):
    answer = await client_answering(status, content).by_id(SchemaId(7))
    assert isinstance(answer, kind)
    assert words in answer.reason


@pytest.mark.parametrize(
    "schema",
    [
        '"string"',
        '{"type": "object"}',
        "not json",
        '{"type": "record", "name": "A", "fields": [{"name": "b", "type": "C"}]}',
    ],
)
async def test_an_id_of_another_schema_than_an_avro_record_is_missing(schema):
    answer = await client_answering(200, json.dumps({"schema": schema, "schemaType": "JSON"}).encode()).by_id(
        SchemaId(7)
    )
    assert answer == Missing("schema id 7 of the schema registry is not the schema of an Avro record")


@pytest.mark.parametrize(
    "content",
    [b'{"id": "7"}', b'{"ids": [7]}', b'{"id": true}', b'{"id": -1}', b'{"id": 2147483648}', b'{"id": 7.0}'],
)
async def test_an_answer_without_an_id_is_unavailable(content):
    registry = client_answering(200, content)
    assert isinstance(await registry.lookup("a-value", AUDIT_EVENT), Unavailable)
    assert isinstance(await registry.register("a-value", AUDIT_EVENT), Unavailable)
    assert isinstance(await registry.latest("a-value"), Unavailable)


async def test_a_long_message_of_a_registry_is_cut():
    message = json.dumps({"message": "x" * 10_000}).encode()
    answer = await client_answering(409, message).register("a-value", AUDIT_EVENT)
    assert len(answer.reason) < 600


async def test_why_a_schema_is_incompatible_is_reported():
    content = b'{"is_compatible": false, "messages": ["READER_FIELD_MISSING_DEFAULT_VALUE"]}'
    answer = await client_answering(200, content).check_compatibility("a-value", AUDIT_EVENT)
    assert answer == SchemaRejected("READER_FIELD_MISSING_DEFAULT_VALUE")
