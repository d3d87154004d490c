from dataclasses import replace

import pytest

from producer.events import UnreadableRecord
from producer.publishing.publisher import ShardClosedError
from producer.publishing.transaction import PendingRecords
from producer.sources.jira_cloud.mapping import restore_json, to_event
from producer.state.checkpoint import EventPosition, new_checkpoint
from producer.state.intervals import TimeRange
from relay.avro.codec import InternalCodec, split_frame
from relay.kafka import TopicPartition
from relay.kafka.log_reader import read_to_end, stable_bounds, standalone_consumer
from relay.kafka.producer import ProducerRecord
from relay.timestamps import day_start
from tests.support.shard_loading import NOW


def records(*ids):
    return [
        to_event({"id": number, "created": "2026-09-21T14:13:20.000+0000", "summary": f"s{number}"}, "acme")
        for number in ids
    ]


def pending_records(events, unreadable=()):
    return PendingRecords(
        list(events), list(unreadable), TimeRange(NOW - 10_000, NOW + 1), 900_000, None, restore_json
    )


async def committed_records(loader, topic):
    """Return the values of all committed records of a topic, in order."""
    found = []
    tp = TopicPartition(topic, 0)
    async with standalone_consumer(loader.connection) as reader:
        span = (await stable_bounds(reader, [tp]))[tp]
        await read_to_end(reader, {tp: 0}, {tp: span.last_stable_offset}, found.append)
    return found


async def ids_on(loader, topic):
    codec = InternalCodec("audit_event")
    return [codec.decode(record.value)["id"] for record in await committed_records(loader, topic)]


async def load_with_checkpoint(loader):
    publisher = await loader.load(0)
    if publisher.checkpoint("acme") is None:
        await publisher.write_checkpoint("acme", lambda _: new_checkpoint("acme", NOW - 5_000, now=NOW))
    return publisher


def unchanged(checkpoint):
    return checkpoint


async def test_the_next_owner_repeats_no_known_record(loader):
    """A successor leaves out ids that a former owner committed, in any window."""
    first = await load_with_checkpoint(loader)
    one = await first.publish("acme", pending_records(records(1, 2, 2)), unchanged, persist=False)
    second = await load_with_checkpoint(loader)
    two = await second.publish("acme", pending_records(records(1, 2, 3)), unchanged, persist=False)
    await first.discard()
    await second.discard()

    assert one.events_by_mode == {"live": 2}
    assert two.events_by_mode == {"live": 1}
    assert await ids_on(loader, loader.topics.events) == [1, 2, 3]


async def test_a_fenced_owner_publishes_nothing_more(loader):
    """The publisher of a replaced owner fails at its next transaction and stays failed."""
    old = await load_with_checkpoint(loader)
    new = await load_with_checkpoint(loader)
    with pytest.raises(ShardClosedError):
        await old.publish("acme", pending_records(records(1)), unchanged, persist=False)
    await old.discard()
    await new.discard()

    assert old.fenced
    assert await ids_on(loader, loader.topics.events) == []


async def test_many_pending_records_are_published_in_several_transactions_in_order(loader):
    """A transaction holds at most 1,000 events; events come once, oldest first."""
    publisher = await load_with_checkpoint(loader)
    published = await publisher.publish(
        "acme", pending_records(records(*range(2_500))), unchanged, persist=False
    )
    await publisher.discard()
    events = await committed_records(loader, loader.topics.events)

    assert published.events_by_mode == {"live": 2_500}
    assert await ids_on(loader, loader.topics.events) == list(range(2_500))
    assert [
        len([e for e in events if e.timestamp == at]) for at in sorted({e.timestamp for e in events})
    ] == [1000, 1000, 500]


async def test_an_unreadable_record_becomes_one_dead_letter(loader):
    """The dead-letter topic holds its raw JSON with the reason, once, after any number of reads."""
    publisher = await load_with_checkpoint(loader)
    broken = UnreadableRecord("the record has no readable id", b'{"summary": "x"}')
    for _ in range(2):
        await publisher.publish("acme", pending_records([], [broken]), unchanged, persist=False)
    await publisher.discard()
    (dead_letter,) = await committed_records(loader, loader.topics.dead_letters)

    assert dead_letter.value == b'{"summary": "x"}'
    assert dict(dead_letter.headers)["relay.reason"] == b"the record has no readable id"


async def test_an_event_too_large_for_kafka_becomes_a_dead_letter_in_parts(loader):
    """The dead letters hold a record above 4 MB whole, and publishing continues."""
    publisher = await load_with_checkpoint(loader)
    (huge,) = records(7)
    huge["description"] = "".join(chr(33 + number * 7919 % 90) for number in range(5_000_000))
    published = await publisher.publish(
        "acme", pending_records([*records(1), huge]), unchanged, persist=False
    )
    await publisher.discard()

    assert (published.events_by_mode, published.dead_letters) == ({"live": 1}, 1)
    assert len(await committed_records(loader, loader.topics.dead_letters)) >= 1


async def test_progress_without_its_events_is_taken_back(loader):
    """The loader forgets ids of lost events and sets the cursor back."""
    publisher = await load_with_checkpoint(loader)
    await publisher.publish("acme", pending_records(records(1)), unchanged, persist=False)
    progress = publisher._state.organization("acme")
    lost = replace(progress.checkpoint, last_event=EventPosition(7, 2))
    entries = progress.ledger.to_records(progress.ledger.plan(records(2)))
    await publisher._transactions.publish(
        [
            *(progress_record(loader, key, "day_ledger", value) for key, value in entries.items()),
            progress_record(loader, "acme", "checkpoint", lost.to_record()),
        ]
    )
    successor = await load_with_checkpoint(loader)
    cursor = successor.checkpoint("acme").window_end
    published = await successor.publish("acme", pending_records(records(1, 2)), unchanged, persist=False)
    await publisher.discard()
    await successor.discard()

    assert published.events_by_mode == {"live": 1}
    assert await ids_on(loader, loader.topics.events) == [1, 2]
    assert cursor == day_start("2026-09-21")


def progress_record(loader, key, subject, value):
    return ProducerRecord(
        loader.topics.progress, 0, key.encode(), InternalCodec(subject).encode(value), NOW + 5
    )


async def test_the_next_owner_knows_events_without_their_progress(loader):
    """The next owner does not repeat events whose progress Kafka lost."""
    publisher = await load_with_checkpoint(loader)
    await publisher.publish("acme", pending_records(records(1)), unchanged, persist=False)
    encoder = await loader.store.event_encoder()
    (event,) = records(2)
    value = encoder.encode({**event, "collected": NOW + 5, "mode": "live"})
    await publisher._transactions.publish([ProducerRecord(loader.topics.events, 0, b"acme", value, NOW + 5)])
    successor = await load_with_checkpoint(loader)
    published = await successor.publish("acme", pending_records(records(1, 2, 3)), unchanged, persist=False)
    await publisher.discard()
    await successor.discard()

    assert published.events_by_mode == {"live": 1}
    assert await ids_on(loader, loader.topics.events) == [1, 2, 3]
    assert split_frame(value)[1] == 10
