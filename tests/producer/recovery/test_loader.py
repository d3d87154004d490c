"""The state that a shard's new owner loads from a real Kafka, also after Kafka lost records."""

import asyncio
import json
from dataclasses import replace

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from prometheus_client import CollectorRegistry

import schemas
from producer.metrics import ProducerMetrics
from producer.publishing.publisher import ShardClosedError
from producer.publishing.topic_limits import TopicLimitsWatcher
from producer.publishing.transaction import PendingRecords
from producer.recovery.loader import LoaderLimits, ShardLoader
from producer.sources.jira_cloud.mapping import restore_json, to_event
from producer.state.checkpoint import EventPosition, new_checkpoint
from producer.state.intervals import TimeRange
from relay.avro.codec import Encoder, Fingerprint, InternalCodec, SchemaId, fingerprint, frame
from relay.config.kafka import KafkaConfig
from relay.config.schema_registry import SchemaRegistryConfig
from relay.errors import RelayError
from relay.kafka import KafkaError, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import TopicReadError, read_to_end, stable_bounds, standalone_consumer
from relay.kafka.producer import ProducerRecord
from relay.kafka.topic_admin import TopicLimits, create_missing_topics
from relay.kafka.topics import Topics
from relay.kafka.transactions import Publisher, PublishError
from relay.schema_registry.store import open_schema_store
from relay.timestamps import DAY_MS, day_of, day_start, to_iso
from tests.support.kafka_log import flip_a_bit

NOW = 1_790_000_000_000
ORGANIZATIONS = ("acme", "globex")
LATER = {"collected": NOW + 5, "mode": "live"}


@pytest.fixture
async def shard_loader(kafka, prefix, tmp_path):
    settings = KafkaConfig(bootstrap=kafka.bootstrap, topic_prefix=prefix, replication_factor=1, shards=1)
    connection = Connection(settings)
    await create_missing_topics(connection)
    async with open_schema_store(SchemaRegistryConfig(cache_directory=tmp_path), connection) as store:
        limits = TopicLimitsWatcher(connection, TopicLimits())
        yield ShardLoader(
            connection, Topics(prefix), store, limits, ProducerMetrics(CollectorRegistry()), lambda: NOW
        )


def records(name, *numbers, created=NOW - 1_000):
    return [
        to_event({"id": number, "created": to_iso(created - number), "summary": "s"}, name)
        for number in numbers
    ]


def pending_records(events, backfill_from=None):
    return PendingRecords(
        list(events), [], TimeRange(NOW - 10_000, NOW + 1), 900_000, backfill_from, restore_json
    )


def unchanged(checkpoint):
    return checkpoint


async def load_with_checkpoints(shard_loader):
    publisher = await shard_loader.load(0)
    for name in ORGANIZATIONS:
        if publisher.checkpoint(name) is None:
            await publisher.write_checkpoint(
                name, lambda _, name=name: new_checkpoint(name, NOW - 5_000, now=NOW)
            )
    return publisher


async def ids(shard_loader, topic):
    found, tp = [], TopicPartition(topic, 0)
    async with standalone_consumer(shard_loader.connection) as reader:
        span = (await stable_bounds(reader, [tp]))[tp]
        await read_to_end(reader, {tp: span.log_start_offset}, {tp: span.last_stable_offset}, found.append)
    codec = InternalCodec("audit_event")
    return [(record.key.decode(), codec.decode(record.value)["id"]) for record in found]


async def recreate_topic(shard_loader, topic):
    """Delete and create a topic, as an operator does after a disk has failed."""
    admin = AIOKafkaAdminClient(**shard_loader.connection.options())
    await admin.start()
    try:
        await admin.delete_topics([topic])
        for _ in range(100):
            await asyncio.sleep(0.1)
            try:
                made = await admin.create_topics([NewTopic(topic, 1, 1)])
            except KafkaError:
                continue
            if not made.topic_errors[0][1]:
                break
        for _ in range(100):
            if [one["error_code"] for one in await admin.describe_topics([topic])] == [0]:
                return
            await asyncio.sleep(0.1)
    finally:
        await admin.close()


async def test_a_batch_damaged_on_disk_is_reported(shard_loader, kafka):
    """Loading fails while published records may be unreadable; it succeeds on the repaired batch."""
    publisher = await load_with_checkpoints(shard_loader)
    await publisher.publish("acme", pending_records(records("acme", 1, 2)), unchanged, persist=False)
    await publisher.discard()
    log = kafka.directory / "log" / f"{shard_loader.topics.progress}-0" / f"{0:020}.log"
    flip_a_bit(log, 0)
    with pytest.raises(
        RelayError,
        match=rf"A batch of {shard_loader.topics.progress}, partition 0, .*checksum is wrong.*intact batch the leader",
    ):
        await shard_loader.load(0)
    flip_a_bit(log, 0)
    publisher = await shard_loader.load(0)
    await publisher.publish("acme", pending_records(records("acme", 1, 2)), unchanged, persist=False)
    await publisher.discard()

    assert await ids(shard_loader, shard_loader.topics.events) == [("acme", 1), ("acme", 2)]


async def test_a_lost_log_is_published_again_from_jira(shard_loader):
    """Each organization forgets lost events, goes back to their day, and repeats nothing else."""
    publisher = await load_with_checkpoints(shard_loader)
    for name in ORGANIZATIONS:
        await publisher.publish(name, pending_records(records(name, 1, 2, 3)), unchanged, persist=False)
    await publisher.discard()
    await recreate_topic(shard_loader, shard_loader.topics.events)
    successor = await load_with_checkpoints(shard_loader)
    cursors = {name: successor.checkpoint(name).window_end for name in ORGANIZATIONS}
    for name in ORGANIZATIONS:
        await successor.publish(name, pending_records(records(name, 1, 2, 3, 4)), unchanged, persist=False)
    await successor.discard()
    third = await load_with_checkpoints(shard_loader)
    for name in ORGANIZATIONS:
        await third.publish(name, pending_records(records(name, 1, 2, 3, 4)), unchanged, persist=False)
    await third.discard()

    assert set(cursors.values()) == {day_start(day_of(NOW - 2_000))}
    assert sorted(await ids(shard_loader, shard_loader.topics.events)) == sorted(
        (name, number) for name in ORGANIZATIONS for number in (1, 2, 3, 4)
    )


@pytest.mark.parametrize("wrote", [True, False])
async def test_an_owner_notices_a_lost_log_before_its_next_commit(wrote, shard_loader):
    """New records at lost offsets would hide the loss, so the publisher fails."""
    owner = await load_with_checkpoints(shard_loader)
    await owner.publish("acme", pending_records(records("acme", 1, 2)), unchanged, persist=False)
    if not wrote:
        await owner.discard()
        owner = await load_with_checkpoints(shard_loader)
    await recreate_topic(shard_loader, shard_loader.topics.events)
    with pytest.raises(ShardClosedError, match=r"the end of .*\.events, partition 0, was lost"):
        await owner.publish("acme", pending_records(records("acme", 3)), unchanged, persist=False)
    await owner.discard()
    successor = await load_with_checkpoints(shard_loader)
    await successor.publish("acme", pending_records(records("acme", 1, 2, 3)), unchanged, persist=False)
    await successor.discard()

    assert sorted(await ids(shard_loader, shard_loader.topics.events)) == [
        ("acme", number) for number in (1, 2, 3)
    ]


async def test_only_lost_events_are_read_again(shard_loader):
    """An organization without a loss keeps its state and cursors."""
    publisher = await load_with_checkpoints(shard_loader)
    await publisher.publish("acme", pending_records(records("acme", 1)), unchanged, persist=False)
    await publisher.publish("globex", pending_records(records("globex", 1, 2)), unchanged, persist=False)
    checkpoint = publisher.checkpoint("globex")
    stolen = replace(
        checkpoint, last_event=replace(checkpoint.last_event, offset=checkpoint.last_event.offset + 50)
    )
    await publisher.discard()
    transactions = await Publisher.open(shard_loader.connection, f"{shard_loader.topics.prefix}.0")
    await transactions.publish([progress_record(shard_loader, "globex", "checkpoint", stolen.to_record())])
    await transactions.discard()
    successor = await load_with_checkpoints(shard_loader)
    found = {
        name: await successor.publish(name, pending_records(records(name, 1, 2)), unchanged, persist=False)
        for name in ORGANIZATIONS
    }
    await successor.discard()

    assert found["acme"].events_by_mode == {"live": 1}
    assert found["globex"].events_by_mode == {}
    assert successor.checkpoint("globex").last_event == checkpoint.last_event


async def test_a_loss_is_found_on_a_log_emptied_by_retention(shard_loader):
    """Events too young for retention are lost; older ones are not."""
    then = NOW - 40 * DAY_MS
    publisher = await replace(shard_loader, now_ms=lambda: then).load(0)
    await publisher.write_checkpoint("acme", lambda _: new_checkpoint("acme", then - 5_000, now=then))
    await publisher.publish(
        "acme", pending_records(records("acme", 1, created=then)), unchanged, persist=False
    )
    await delete_all(shard_loader, shard_loader.topics.events)
    checkpoint = replace(publisher.checkpoint("acme"), last_event=EventPosition(50, 2))
    days = publisher._state.organization("acme").ledger
    plan = days.to_records(days.plan(records("acme", 2)))
    await publisher._transactions.publish(
        [
            *(progress_record(shard_loader, key, "day_ledger", record) for key, record in plan.items()),
            progress_record(shard_loader, "acme", "checkpoint", checkpoint.to_record()),
        ]
    )
    await publisher.discard()
    successor = await replace(
        shard_loader,
        topic_limits=TopicLimitsWatcher(shard_loader.connection, TopicLimits(retention_ms=30 * DAY_MS)),
    ).load(0)
    found = await successor.publish("acme", pending_records(records("acme", 1, 2)), unchanged, persist=False)
    await successor.discard()

    assert found.events_by_mode == {"live": 1}
    assert await ids(shard_loader, shard_loader.topics.events) == [("acme", 2)]


async def delete_all(shard_loader, topic):
    """Delete all records of a topic, as retention does."""
    tp = TopicPartition(topic, 0)
    async with standalone_consumer(shard_loader.connection) as reader:
        end = (await stable_bounds(reader, [tp]))[tp].last_stable_offset
    admin = AIOKafkaAdminClient(**shard_loader.connection.options())
    await admin.start()
    try:
        await admin.delete_records({tp: RecordsToDelete(before_offset=end)})
    finally:
        await admin.close()


def progress_record(shard_loader, key, subject, record, at=NOW + 60):
    return ProducerRecord(
        shard_loader.topics.progress, 0, key.encode(), InternalCodec(subject).encode(record), at
    )


async def test_an_interrupted_repair_begins_again(shard_loader, monkeypatch):
    """A crash after the first of several transactions loses no organization's known events."""
    shard_loader = replace(shard_loader, limits=LoaderLimits(organizations_per_transaction=1))
    publisher = await load_with_checkpoints(shard_loader)
    encoder = await shard_loader.store.event_encoder()
    events = [(name, encoder.encode({**records(name, 2)[0], **LATER})) for name in ORGANIZATIONS]
    await publisher._transactions.publish(
        [
            ProducerRecord(shard_loader.topics.events, 0, name.encode(), value, NOW + 5)
            for name, value in events
        ]
    )
    await publisher.discard()
    publish, published = Publisher.publish, []

    async def dying(self, records):
        if published:
            raise PublishError("Kafka did not confirm a transaction.")
        published.append(await publish(self, records))

    with monkeypatch.context() as patched:
        patched.setattr(Publisher, "publish", dying)
        with pytest.raises(PublishError):
            await shard_loader.load(0)
    successor = await load_with_checkpoints(shard_loader)
    found = [
        (
            await successor.publish(name, pending_records(records(name, 2)), unchanged, persist=False)
        ).events_by_mode
        for name in ORGANIZATIONS
    ]
    await successor.discard()

    assert len(published) == 1
    assert found == [{}, {}]


async def test_lost_backfill_is_read_again(shard_loader):
    """Days covered by backfill are open again when their events are lost."""
    publisher = await load_with_checkpoints(shard_loader)
    old = records("acme", 1, 2, created=NOW - 5 * DAY_MS)
    covered = TimeRange(NOW - 10 * DAY_MS, NOW - 5_000)
    await publisher.publish(
        "acme",
        pending_records(old, backfill_from=NOW - 10 * DAY_MS),
        lambda checkpoint: replace(checkpoint, backfilled=(covered,)),
        persist=True,
    )
    await publisher.discard()
    await recreate_topic(shard_loader, shard_loader.topics.backfill)
    successor = await load_with_checkpoints(shard_loader)
    reopened = successor.checkpoint("acme").backfilled
    found = await successor.publish("acme", pending_records(old, NOW - 10 * DAY_MS), unchanged, persist=False)
    await successor.discard()

    assert reopened == ()
    assert found.events_by_mode == {"backfill": 2}


async def test_a_foreign_open_transaction_prevents_loading(shard_loader):
    """Loading fails with a message that names the remedy."""
    stranger = await Publisher.open(shard_loader.connection, f"{shard_loader.topics.prefix}.stranger")
    await stranger._producer.begin_transaction()
    await stranger._send([ProducerRecord(shard_loader.topics.progress, 0, b"x", b"y")])
    with pytest.raises(RelayError, match=r"another producer left open.*kafka-transactions\.sh"):
        await shard_loader.load(0)
    with pytest.raises(TopicReadError, match="has not ended"):
        await shard_loader._read_stored_progress(0)
    await stranger.discard()
    again = await Publisher.open(shard_loader.connection, f"{shard_loader.topics.prefix}.stranger")
    await again.discard()
    await (await load_with_checkpoints(shard_loader)).discard()


async def test_without_transactions_events_are_known_without_their_progress(shard_loader):
    """A crash between events and progress, as on Event Hubs, repeats and skips none."""
    settings = shard_loader.connection.kafka.model_copy(update={"profile": "event-hubs"})
    bare = replace(shard_loader, connection=Connection(settings))
    publisher = await load_with_checkpoints(bare)
    await publisher.publish("acme", pending_records(records("acme", 1)), unchanged, persist=False)
    send = publisher._transactions._send

    async def crashing(records):
        if any(record.topic == shard_loader.topics.progress for record in records):
            raise KafkaError("the connection was cut")
        return await send(records)

    publisher._transactions._send = crashing
    with pytest.raises(ShardClosedError):
        await publisher.publish("acme", pending_records(records("acme", 2)), unchanged, persist=False)
    await publisher.discard()
    successor = await load_with_checkpoints(bare)
    await successor.publish("acme", pending_records(records("acme", 1, 2, 3)), unchanged, persist=False)
    await successor.discard()

    assert await ids(shard_loader, shard_loader.topics.events) == [("acme", number) for number in (1, 2, 3)]


async def test_unreadable_progress_is_reported(shard_loader):
    """The message gives the key, the offset and the reason."""
    transactions = await Publisher.open(shard_loader.connection, f"{shard_loader.topics.prefix}.0")
    await transactions.publish([ProducerRecord(shard_loader.topics.progress, 0, b"acme", b"garbage")])
    await transactions.discard()

    with pytest.raises(
        RelayError, match=r"The progress of acme cannot be read \(.*progress, partition 0, offset 0\)"
    ):
        await shard_loader.load(0)


async def test_garbage_on_the_event_topics_is_skipped(shard_loader):
    """A foreign message behind the relay's own is logged, and the shard loads."""
    publisher = await load_with_checkpoints(shard_loader)
    await publisher.publish("acme", pending_records(records("acme", 1)), unchanged, persist=False)
    encoder = await shard_loader.store.event_encoder()
    foreign = encoder.encode({**records("acme", 5)[0], "collected": NOW + 9, "mode": "live"})
    await publisher._transactions.publish(
        [
            ProducerRecord(shard_loader.topics.events, 0, b"acme", b"garbage", NOW + 9),
            ProducerRecord(
                shard_loader.topics.events, 0, b"acme", frame(SchemaId(7)) + b"of a registry", NOW + 9
            ),
            ProducerRecord(
                shard_loader.topics.events, 0, b"acme", frame(Fingerprint(b"a newer?")) + b"x", NOW + 9
            ),
            ProducerRecord(shard_loader.topics.events, 0, b"not acme", foreign, NOW + 9),
            ProducerRecord(shard_loader.topics.events, 0, None, b"", NOW + 9),
        ]
    )
    await publisher.discard()
    successor = await load_with_checkpoints(shard_loader)
    found = await successor.publish("acme", pending_records(records("acme", 1, 5)), unchanged, persist=False)
    await successor.discard()

    assert found.events_by_mode == {"live": 1}


@pytest.mark.parametrize("ref", [SchemaId(5), Fingerprint(b"once had")], ids=str)
async def test_events_are_known_when_their_schema_is_no_longer_available(shard_loader, ref):
    """No event counts as lost when the registry or the schema topic is lost."""
    publisher = await load_with_checkpoints(shard_loader)
    publisher._layout = replace(
        publisher._layout, event_encoder=Encoder(publisher._layout.event_encoder.schema, ref)
    )
    await publisher.publish("acme", pending_records(records("acme", 1, 2)), unchanged, persist=False)
    before = publisher.checkpoint("acme")
    await publisher.discard()
    successor = await load_with_checkpoints(shard_loader)
    found = await successor.publish("acme", pending_records(records("acme", 1, 2)), unchanged, persist=False)
    await successor.discard()

    assert found.events_by_mode == {}
    assert successor.checkpoint("acme") == before


async def test_events_of_a_newer_version_are_known(shard_loader):
    """After a downgrade the loader looks up the newer schema, also for records before the log end."""
    shard_loader = replace(shard_loader, limits=LoaderLimits(tail_offsets=1))
    publisher = await load_with_checkpoints(shard_loader)
    ours = publisher._layout
    publisher._layout = replace(ours, event_encoder=await newer_encoder(shard_loader))
    await publisher.publish("acme", pending_records(records("acme", 1, 2)), unchanged, persist=False)
    publisher._layout = ours
    await publisher.publish("acme", pending_records(records("acme", 3)), unchanged, persist=False)
    checkpoint = publisher.checkpoint("acme")
    stolen = replace(checkpoint, last_event=EventPosition(checkpoint.last_event.offset + 50, 4))
    await publisher._transactions.publish(
        [progress_record(shard_loader, "acme", "checkpoint", stolen.to_record())]
    )
    await publisher.discard()
    successor = await load_with_checkpoints(shard_loader)
    found = await successor.publish(
        "acme", pending_records(records("acme", 1, 2, 3)), unchanged, persist=False
    )
    await successor.discard()

    assert found.events_by_mode == {}
    assert successor.checkpoint("acme").last_event == checkpoint.last_event


async def newer_encoder(shard_loader):
    ours = schemas.load("audit_event")
    more = {"name": "more", "type": ["null", "string"], "default": None}
    newer = {**ours, "fields": [*ours["fields"], more]}
    await shard_loader.store._text_store.put(fingerprint(newer), json.dumps(newer))
    return Encoder(newer, fingerprint(newer))
