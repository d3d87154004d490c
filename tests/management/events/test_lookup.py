"""Events on a real Kafka: found by EventUid, and followed as they come."""

import pytest

from management.events.condition import compile_condition
from management.events.feed import EventFeed
from management.events.lookup import find_event, read_event_deliveries
from management.events.query import EventQuery, read_query
from management.events.stored_event import NoEventError
from management.organizations.validation import InputError
from relay.config.schema_registry import SchemaRegistryConfig
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.timestamps import now_ms
from tests.support.kafka import connection_to
from tests.support.pipeline_world import some_events, to_record

REGISTRY = SchemaRegistryConfig()
ACME = "org1.atlassian.net"


async def publish(connection, count, first=0):
    """Write events with ids from `first` to the live topic; the organization of an id is org(id mod 5)."""
    topic = Topics(connection.kafka.topic_prefix).events
    async with RecordWriter(connection) as writer:
        for each in some_events(count, first=first):
            record = to_record(each, topic, 2)
            await writer.send(
                topic, record.key, record.value, partition=record.partition, timestamp_ms=record.timestamp
            )


async def test_events_are_found_by_name_and_followed(kafka, prefix):
    """A name finds its event; a feed has each event once, of one organization, and by a condition; the rest is refused."""
    connection = connection_to(kafka, prefix, shards=2)
    await create_missing_topics(connection)
    await publish(connection, 30)
    found = await find_event(connection, REGISTRY, read_query({"id": f"{ACME}/6"}), f"{ACME}/6")
    assert (found.uid, found.event["id"]) == (f"{ACME}/6", 6)
    assert await read_event_deliveries(connection, {}, found) == []
    with pytest.raises(NoEventError, match=f"Kafka has no event {ACME}/7"):
        await find_event(connection, REGISTRY, EventQuery(ACME, 7), f"{ACME}/7")

    feed = EventFeed(connection, REGISTRY, ACME, None, now_ms)
    few = EventFeed(connection, REGISTRY, "", compile_condition("id < 3"), now_ms)
    assert [each.event["id"] for each in await feed.read()] == [1, 6, 11, 16, 21, 26]
    assert sorted(each.event["id"] for each in await few.read()) == [0, 1, 2]
    assert await feed.read() == []
    await publish(connection, 10, first=30)
    assert [each.event["id"] for each in await feed.read()] == [31, 36]


async def test_a_name_without_organization_is_refused():
    """An id alone is no name of an event."""
    with pytest.raises(InputError, match="ORGANIZATION/ID"):
        await find_event(None, REGISTRY, EventQuery(id=7), "7")


def test_a_wrong_condition_is_refused():
    """A text that is no condition on events names the option."""
    with pytest.raises(InputError, match="The condition of --where"):
        compile_condition("no_such_column = 1")
