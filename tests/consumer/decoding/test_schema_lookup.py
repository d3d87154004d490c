import pytest
from prometheus_client import CollectorRegistry

from consumer.decoding.schema_lookup import FoundSchemas, SchemaLookup
from consumer.metrics import ConsumerMetrics
from relay.avro.codec import Encoder, SchemaId
from relay.schema_registry.client import Missing, Unavailable
from tests.support.messages import AUDIT_EVENT, WRITER_SCHEMAS, Message, event, message


class FakeSchemaStore:
    def __init__(self, **answers):
        self.answers = answers
        self.requests = 0

    async def resolve(self, ref):
        self.requests += 1
        return self.answers.get(f"id{ref.value}", Unavailable("the registry is away"))

    async def refresh(self, ref):
        return await self.resolve(ref)

    def source(self, _ref):
        return "The schema registry at https://registry.example"


def lookup(store):
    metrics = ConsumerMetrics(CollectorRegistry()).for_pipeline("sentinel", "live")
    return SchemaLookup(store, metrics)


def record_of(number, key=b"acme.atlassian.net"):
    each = message(event(number), Encoder(AUDIT_EVENT, SchemaId(number)))
    return Message(each.value, key, each.timestamp)


async def test_a_schema_that_is_missing_for_ever_is_left_out():
    found = await lookup(FakeSchemaStore(id7=AUDIT_EVENT, id8=Missing("no such id"))).schemas_for(
        [record_of(7), record_of(8), record_of(7)]
    )
    assert found == FoundSchemas(WRITER_SCHEMAS, set(), {})


async def test_an_unavailable_schema_is_named_and_not_waited_for():
    """A registry that denies one id, or does not answer for it, holds up no record of another id."""
    store = FakeSchemaStore(id7=AUDIT_EVENT)
    schemas = lookup(store)
    found = await schemas.schemas_for([record_of(7), record_of(9)])
    assert found == FoundSchemas(WRITER_SCHEMAS, set(), {SchemaId(9): "the registry is away"})

    store.answers["id9"] = AUDIT_EVENT
    assert set((await schemas.schemas_for([record_of(9)])).schemas) == {SchemaId(9)}


async def test_a_flood_of_garbage_asks_for_no_schema():
    """Each refers to another one; to ask for thousands takes hours, and to look through all for each stops the whole process."""
    store = FakeSchemaStore(id7=AUDIT_EVENT)
    flood = [record_of(number, b"x") for number in range(1000, 6000)]
    assert (await lookup(store).schemas_for([*flood, record_of(7)])).schemas == WRITER_SCHEMAS
    assert store.requests == 1


@pytest.mark.parametrize(
    "garbage",
    [
        Message(b"\x00\x00\x00\x00\x09garbage", b"acme", 1),
        Message(b"\x00\x00\x00\x00\x09", None, 1),
        record_of(9, b"x"),
    ],
)
async def test_garbage_is_not_waited_for(garbage):
    """An event begins with its organization, which is its key: nobody waits for the schema of other bytes."""
    found = await lookup(FakeSchemaStore(id7=AUDIT_EVENT)).schemas_for([record_of(7), garbage])
    assert found == FoundSchemas(WRITER_SCHEMAS, set(), {})
