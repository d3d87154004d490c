from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from producer.events import Unreadable
from producer.metrics import Metrics
from producer.publishing.publisher import DeskClosedError
from producer.publishing.topic_limits import KnownLimits
from producer.publishing.transaction import Finding
from producer.recovery.loader import Opener
from producer.sources.jira_cloud.mapping import read
from producer.state.checkpoint import Position, begin
from producer.state.intervals import Range
from relay.avro.codec import InternalCodec, split_frame
from relay.config.kafka import KafkaConfig
from relay.config.schema_registry import SchemaRegistryConfig
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import read_to_end, stable_bounds, standalone_consumer
from relay.kafka.producer import ProducerRecord
from relay.kafka.topic_admin import TopicLimits, create_missing_topics
from relay.kafka.topics import Topics
from relay.schema_registry.store import open_schema_store
from relay.timestamps import day_start

NOW = 1_790_000_000_000


@pytest.fixture
async def opener(kafka, prefix, tmp_path):
    settings = KafkaConfig(bootstrap=kafka.bootstrap, topic_prefix=prefix, replication_factor=1, shards=1)
    connection = Connection(settings)
    await create_missing_topics(connection)
    async with open_schema_store(SchemaRegistryConfig(cache_directory=tmp_path), connection) as store:
        limits = KnownLimits(connection, TopicLimits())
        yield Opener(connection, Topics(prefix), store, limits, Metrics(CollectorRegistry()), lambda: NOW)


def records(*ids):
    return [
        read({"id": number, "created": "2026-09-21T14:13:20.000+0000", "summary": f"s{number}"}, "acme")
        for number in ids
    ]


def finding(events, unreadable=()):
    return Finding(list(events), list(unreadable), Range(NOW - 10_000, NOW + 1), 900_000, None)


async def stands(opener, topic):
    """Values of all committed records of a topic, in order."""
    found = []
    tp = TopicPartition(topic, 0)
    async with standalone_consumer(opener.connection) as reader:
        span = (await stable_bounds(reader, [tp]))[tp]
        await read_to_end(reader, {tp: 0}, {tp: span.last_stable_offset}, found.append)
    return found


async def ids_on(opener, topic):
    codec = InternalCodec("audit_event")
    return [codec.decode(record.value)["id"] for record in await stands(opener, topic)]


async def begun(opener):
    desk = await opener.open(0)
    if desk.checkpoint("acme") is None:
        await desk.write("acme", lambda _: begin("acme", NOW - 5_000, now=NOW))
    return desk


def same(checkpoint):
    return checkpoint


async def test_what_is_known_is_not_published_again_by_the_next_owner(opener):
    """Ids that a former owner committed are known to its successor, whatever walk finds them again."""
    first = await begun(opener)
    one = await first.publish("acme", finding(records(1, 2, 2)), same, persist=False)
    second = await begun(opener)
    two = await second.publish("acme", finding(records(1, 2, 3)), same, persist=False)
    await first.discard()
    await second.discard()

    assert one.modes == {"live": 2}
    assert two.modes == {"live": 1}
    assert await ids_on(opener, opener.topics.events) == [1, 2, 3]


async def test_a_fenced_owner_publishes_nothing_more(opener):
    """An owner that was replaced is told at its next transaction, and is broken for good."""
    old = await begun(opener)
    new = await begun(opener)
    with pytest.raises(DeskClosedError):
        await old.publish("acme", finding(records(1)), same, persist=False)
    await old.discard()
    await new.discard()

    assert old.fenced
    assert await ids_on(opener, opener.topics.events) == []


async def test_large_findings_are_published_in_several_transactions_in_order(opener):
    """No transaction holds more than 1,000 events, and all events come once, oldest first."""
    desk = await begun(opener)
    published = await desk.publish("acme", finding(records(*range(2_500))), same, persist=False)
    await desk.discard()
    events = await stands(opener, opener.topics.events)

    assert published.modes == {"live": 2_500}
    assert await ids_on(opener, opener.topics.events) == list(range(2_500))
    assert [
        len([e for e in events if e.timestamp == at]) for at in sorted({e.timestamp for e in events})
    ] == [1000, 1000, 500]


async def test_an_unreadable_record_becomes_one_dead_letter(opener):
    """Its raw JSON stands on the dead-letter topic with the reason, once, however often it is read."""
    desk = await begun(opener)
    broken = Unreadable("the record has no readable id", b'{"summary": "x"}')
    for _ in range(2):
        await desk.publish("acme", finding([], [broken]), same, persist=False)
    await desk.discard()
    (letter,) = await stands(opener, opener.topics.dead_letters)

    assert letter.value == b'{"summary": "x"}'
    assert dict(letter.headers)["relay.reason"] == b"the record has no readable id"


async def test_an_event_too_large_for_kafka_becomes_a_dead_letter_in_parts(opener):
    """A record above 4 MB is kept whole among the dead letters and holds up nothing."""
    desk = await begun(opener)
    (huge,) = records(7)
    huge["description"] = "".join(chr(33 + number * 7919 % 90) for number in range(5_000_000))
    published = await desk.publish("acme", finding([*records(1), huge]), same, persist=False)
    await desk.discard()

    assert (published.modes, published.dead_letters) == ({"live": 1}, 1)
    assert len(await stands(opener, opener.topics.dead_letters)) >= 1


async def test_progress_without_its_events_is_taken_back(opener):
    """Where Kafka lost the events of the last transaction, their ids are unknown again and the cursor goes back."""
    desk = await begun(opener)
    await desk.publish("acme", finding(records(1)), same, persist=False)
    progress = desk._memory.progress("acme")
    lost = replace(progress.checkpoint, last_event=Position(7, 2))
    entries = progress.ledger.to_records(progress.ledger.plan(records(2)))
    await desk._publisher.publish(
        [
            *(of_progress(opener, key, "day_ledger", value) for key, value in entries.items()),
            of_progress(opener, "acme", "checkpoint", lost.to_record()),
        ]
    )
    successor = await begun(opener)
    cursor = successor.checkpoint("acme").window_end
    published = await successor.publish("acme", finding(records(1, 2)), same, persist=False)
    await desk.discard()
    await successor.discard()

    assert published.modes == {"live": 1}
    assert await ids_on(opener, opener.topics.events) == [1, 2]
    assert cursor == day_start("2026-09-21")


def of_progress(opener, key, subject, value):
    return ProducerRecord(
        opener.topics.progress, 0, key.encode(), InternalCodec(subject).encode(value), NOW + 5
    )


async def test_events_without_their_progress_are_known_to_the_next_owner(opener):
    """Where Kafka lost the progress of the last transaction, its events are not published again."""
    desk = await begun(opener)
    await desk.publish("acme", finding(records(1)), same, persist=False)
    encoder = await opener.store.event_encoder()
    (event,) = records(2)
    value = encoder.encode({**event, "collected": NOW + 5, "mode": "live"})
    await desk._publisher.publish([ProducerRecord(opener.topics.events, 0, b"acme", value, NOW + 5)])
    successor = await begun(opener)
    published = await successor.publish("acme", finding(records(1, 2, 3)), same, persist=False)
    await desk.discard()
    await successor.discard()

    assert published.modes == {"live": 1}
    assert await ids_on(opener, opener.topics.events) == [1, 2, 3]
    assert split_frame(value)[1] == 10
