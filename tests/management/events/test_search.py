"""Events in a real Kafka: searched in bounded work, read by their place, and judged at each destination."""

import pytest

from consumer.offsets.delivered import DeliveryProgress
from management.events.delivery import read_deliveries
from management.events.query import EventQuery
from management.events.search import SearchTiming, search_events
from management.events.stored_event import EventAddress, NoEventError, read_event
from management.events.tail import EventTail
from management.settings import load
from management.topic_follower import FollowerTiming
from relay.config.schema_registry import SchemaRegistryConfig
from relay.dead_letters.letter import relay_headers
from relay.kafka import TopicPartition
from relay.kafka.group_offsets import open_group
from relay.kafka.producer import ProducerRecord, RecordWriter
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.kafka.transactions import TransactionalProducer
from relay.timestamps import now_ms
from tests.support.kafka import connection_to
from tests.support.messages import AN_HOUR_AGO
from tests.support.pipeline_world import some_events, to_record
from tests.support.settings import SENTINEL

REGISTRY = SchemaRegistryConfig()
SMALL = SearchTiming(seconds=30, first_offsets=20, most_offsets=60)


@pytest.fixture
async def published(kafka, prefix):
    """Two hundred live events and forty of history, of five organizations, in transactions of ten."""
    connection = connection_to(kafka, prefix, shards=3)
    await create_missing_topics(connection)
    topics = Topics(prefix)
    live = some_events(200, remoteAddress="192.0.2.7")
    history = some_events(40, first=1000, mode="backfill")
    producer = await TransactionalProducer.open(connection, f"{prefix}.test")
    for topic, events in ((topics.events, live), (topics.backfill, history)):
        for start in range(0, len(events), 10):
            await producer.publish([to_record(each, topic, 3) for each in events[start : start + 10]])
    await producer.discard()
    return connection, [*live, *history]


async def test_a_search_goes_on_until_each_event_was_found_once(published):
    """Small steps and small answers: together they are all events, the newest first, and the last one says that it is the last."""
    connection, events = published
    ids, place, rounds = [], "", 0
    while rounds == 0 or place:
        found = await search_events(connection, REGISTRY, EventQuery(), place, 30, SMALL)
        ids += [each.event["id"] for each in found.events]
        claimed = {each["id"] for each in events if each["collected"] >= (found.read_from or now_ms())}
        assert claimed <= set(ids)
        place, rounds = found.place, rounds + 1

    assert len(ids) == len(set(ids))
    assert sorted(ids) == sorted(each["id"] for each in events)
    assert rounds > 5


async def test_a_search_finds_by_organization_id_text_and_time(published):
    """The whole range was read, in the topics of live events and of history."""
    connection, _ = published
    for query, count in (
        (EventQuery("org2.atlassian.net", 17), 1),
        (EventQuery(id=17), 1),
        (EventQuery("org3.atlassian.net", 17), 0),
        (EventQuery("org2.atlassian.net"), 48),
        (EventQuery(id=1002), 1),
        (EventQuery(text="user CREATED", from_ms=AN_HOUR_AGO + 1100, to_ms=AN_HOUR_AGO + 1150), 50),
        (EventQuery(text="192.0.2.7"), 0),
        (EventQuery(text="192.0.2.7", personal=True), 200),
    ):
        found = await search_events(connection, REGISTRY, query, limit=500)
        assert (len(found.events), found.finished, found.undecodable) == (count, True, 0), query


async def test_an_event_is_read_by_its_place(published):
    """Its page shows what Kafka holds; an offset of a transaction marker and one behind the end are named."""
    connection, _ = published
    (found,) = (await search_events(connection, REGISTRY, EventQuery(id=17))).events
    again = await read_event(connection, REGISTRY, found.address)

    assert again == found
    assert (again.uid, again.event["remoteAddress"]) == ("org2.atlassian.net/17", "192.0.2.7")
    assert "192.0.2.7" not in str(again.document())
    assert again.document(personal=True)["event"]["remoteAddress"] == "192.0.2.7"
    for wrong in (EventAddress("events", 9, 0), EventAddress("events", 0, 10**6)):
        with pytest.raises(NoEventError):
            await read_event(connection, REGISTRY, wrong)


async def test_each_destination_says_what_became_of_the_event(published, prefix):
    """By its committed offset, its dead letters and its filter; a destination that has begun nothing says so."""
    connection, _ = published
    destinations = load(
        environ=SENTINEL
        | {
            "RELAY_DESTINATIONS__PICKY__KIND": "http",
            "RELAY_DESTINATIONS__PICKY__URL": "https://picky.example.com",
            "RELAY_DESTINATIONS__PICKY__WHERE": "summary = 'Other'",
        }
    ).destinations
    (found,) = (await search_events(connection, REGISTRY, EventQuery(id=17))).events
    tp = TopicPartition(found.full_topic, found.address.partition)
    for name in ("sentinel", "picky"):
        async with open_group(connection, f"{prefix}.{name}", tp.topic) as opened:
            ahead = DeliveryProgress.starting_at(found.address.offset + 1)
            await opened.commit({tp: ahead.to_offset_and_metadata()})

    async def words():
        deliveries = await read_deliveries(connection, destinations, ["hidden"], found, [])
        return {each.destination: each.word for each in deliveries}

    assert await words() == {"hidden": "not begun", "picky": "left out", "sentinel": "accepted"}
    original = {"topic": tp.topic, "partition": str(tp.partition), "offset": str(found.address.offset)}
    headers = relay_headers({"reason": "too odd", "destination": "sentinel", **original})
    async with RecordWriter(connection) as writer:
        letters = Topics(prefix).dead_letters
        await writer.send(letters, b"org2.atlassian.net", b"x", partition=tp.partition, headers=headers)
    assert (await words())["sentinel"] == "dead letter"


async def test_the_tail_follows_the_live_events(published, prefix):
    """The newest is first; a filter holds; a new event appears with the next look."""
    connection, _ = published
    tail = EventTail(connection, REGISTRY, now_ms, FollowerTiming(fresh_seconds=0))
    assert (await tail.view(EventQuery(), 3)).events[0].event["id"] == 199
    (new,) = some_events(1, first=500, collected=now_ms(), summary="Group created")
    record = to_record(new, Topics(prefix).events, 3)
    assert isinstance(record, ProducerRecord)
    async with RecordWriter(connection) as writer:
        await writer.send(
            record.topic, record.key, record.value, partition=record.partition, timestamp_ms=record.timestamp
        )
    view = await tail.view(EventQuery(), 3)

    assert view.events[0].event["id"] == 500
    assert view.seen == 201
    only = await tail.view(EventQuery(organization="ORG0", text="group"), 3)
    assert [each.event["id"] for each in only.events] == [500]
