"""Events on a real Kafka: found by EventUid, and followed as they come."""

import pytest

from management.change_history import ChangeHistory
from management.events.condition import compile_condition
from management.events.delivery import read_moves
from management.events.feed import EventFeed
from management.events.lookup import find_event, read_event_deliveries
from management.events.query import EventQuery, read_query
from management.events.search import SearchResult
from management.events.stored_event import NoEventError
from management.events.tail import EventTail
from management.organizations.validation import InputError
from management.topic_follower import ReadState
from relay.config.kafka import KafkaConfig
from relay.config.schema_registry import SchemaRegistryConfig
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.timestamps import now_ms
from tests.support.kafka import connection_to
from tests.support.messages import Message, event, message
from tests.support.pipeline_world import FRAMED_ENCODER, some_events, to_record

REGISTRY = SchemaRegistryConfig()
ACME = "org1.atlassian.net"
NOWHERE = Connection(KafkaConfig(bootstrap="127.0.0.1:1"))


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


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"undecodable": 2}, "2 records that may be the event"),
        ({"problems": ["Offset 7 is corrupt."]}, "Offset 7"),
    ],
)
async def test_what_cannot_be_read_may_be_the_event(monkeypatch, fields, words):
    """Nobody may say that Kafka has no such event while a record that may be it is unread."""

    async def search(*_arguments):
        yield SearchResult((), 5, None, "", None, **fields)

    monkeypatch.setattr("management.events.lookup.search_on", search)
    with pytest.raises(RelayError, match=words) as failure:
        await find_event(None, REGISTRY, EventQuery(ACME, 7), f"{ACME}/7")
    assert not isinstance(failure.value, NoEventError)


async def test_moves_of_a_history_that_cannot_be_read_are_not_none():
    """An event that an operator has skipped would otherwise be taken for an accepted one."""
    history = ChangeHistory(NOWHERE, now_ms)
    history._follower._is_fresh = lambda: True
    assert await read_moves(history) == []
    history._follower.state = ReadState(failure="Kafka is away.")
    assert await read_moves(history) == "Kafka is away."


@pytest.mark.parametrize("condition", [None, compile_condition("id < 9")])
async def test_records_that_cannot_be_decoded_are_counted(condition):
    """A feed, with a condition and without, and the tail leave them out, and say how many."""
    known = [message(event(number), FRAMED_ENCODER) for number in (1, 3)]
    records = [*known, Message(b"?", ACME.encode(), 2)]
    feed, tail = EventFeed(NOWHERE, REGISTRY, "", condition, now_ms), EventTail(NOWHERE, REGISTRY, now_ms)
    for reader in (feed, tail):
        reader._follower._is_fresh = lambda: True
        reader._new += records
    assert [each.event["id"] for each in await feed.read()] == [1, 3]
    assert feed.undecodable == 1
    assert await feed.read() == []
    assert feed.undecodable == 0
    assert (await tail.view(EventQuery(), 9)).undecodable == 1


async def test_a_name_without_organization_is_refused():
    """An id alone is no name of an event."""
    with pytest.raises(InputError, match="ORGANIZATION/ID"):
        await find_event(None, REGISTRY, EventQuery(id=7), "7")


def test_a_wrong_condition_is_refused():
    """A text that is no condition on events names the option."""
    with pytest.raises(InputError, match="The condition of `where`"):
        compile_condition("no_such_column = 1")
