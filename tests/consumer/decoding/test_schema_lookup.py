import asyncio

import pytest
from prometheus_client import CollectorRegistry

from consumer.decoding.schema_lookup import SchemaLookup
from consumer.metrics import ConsumerMetrics
from consumer.timing import BackoffCurve
from relay.avro.codec import Encoder, SchemaId
from relay.schema_registry.client import Missing, Unavailable
from tests.support.messages import AUDIT_EVENT, WRITER_SCHEMAS, Message, event, message
from tests.support.pipeline_world import wait_until


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
    return SchemaLookup(store, metrics, BackoffCurve(0.01, 0.01))


def record_of(number, key=b"acme.atlassian.net"):
    each = message(event(number), Encoder(AUDIT_EVENT, SchemaId(number)))
    return Message(each.value, key, each.timestamp)


async def test_a_schema_that_is_missing_for_ever_is_left_out():
    found, _ = await lookup(FakeSchemaStore(id7=AUDIT_EVENT, id8=Missing("no such id"))).schemas_for(
        [record_of(7), record_of(8), record_of(7)]
    )
    assert found == WRITER_SCHEMAS


async def test_an_event_waits_for_its_schema():
    store = FakeSchemaStore(id7=AUDIT_EVENT)
    schemas = lookup(store)
    waiting = asyncio.create_task(schemas.schemas_for([record_of(7), record_of(9)]))
    await wait_until(lambda: schemas.problem == "the registry is away")
    assert not waiting.done()

    store.answers["id9"] = AUDIT_EVENT
    async with asyncio.timeout(5):
        assert set((await waiting)[0]) == {SchemaId(7), SchemaId(9)}
    assert schemas.problem is None


async def test_events_that_wait_for_their_schema_elsewhere_are_no_problem_here():
    """The partition is taken away meanwhile, and nothing comes on those that are left, for hours."""
    schemas = lookup(FakeSchemaStore())
    waiting = asyncio.create_task(schemas.schemas_for([record_of(9)]))
    await wait_until(lambda: schemas.problem is not None)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert schemas.problem is None


async def test_a_flood_of_garbage_asks_for_no_schema():
    """Each refers to another one; to ask for thousands takes hours, and to look through all for each stops the whole process."""
    store = FakeSchemaStore(id7=AUDIT_EVENT)
    flood = [record_of(number, b"x") for number in range(1000, 6000)]
    assert await lookup(store).schemas_for([*flood, record_of(7)]) == (WRITER_SCHEMAS, set())
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
    found, _ = await lookup(FakeSchemaStore(id7=AUDIT_EVENT)).schemas_for([record_of(7), garbage])
    assert found == WRITER_SCHEMAS
