"""What a shard's new owner finds, on a real Kafka: also where Kafka has lost something."""

import asyncio
import json
from dataclasses import replace

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from prometheus_client import CollectorRegistry

import schemas
from producer.metrics import Metrics
from producer.publishing.publisher import DeskClosedError
from producer.publishing.topic_limits import KnownLimits
from producer.publishing.transaction import Finding
from producer.recovery import loader, log_reader
from producer.recovery.loader import Opener
from producer.sources.jira_cloud.mapping import read
from producer.state.checkpoint import Position, begin
from producer.state.intervals import Range
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
from relay.timestamps import DAY, day_of, day_start, to_text
from tests.support.kafka_log import flip_a_bit

NOW = 1_790_000_000_000
ORGANIZATIONS = ("acme", "globex")
LATER = {"collected": NOW + 5, "mode": "live"}


@pytest.fixture
async def opener(kafka, prefix, tmp_path):
    settings = KafkaConfig(bootstrap=kafka.bootstrap, topic_prefix=prefix, replication_factor=1, shards=1)
    connection = Connection(settings)
    await create_missing_topics(connection)
    async with open_schema_store(SchemaRegistryConfig(cache_directory=tmp_path), connection) as store:
        limits = KnownLimits(connection, TopicLimits())
        yield Opener(connection, Topics(prefix), store, limits, Metrics(CollectorRegistry()), lambda: NOW)


def records(name, *numbers, created=NOW - 1_000):
    return [
        read({"id": number, "created": to_text(created - number), "summary": "s"}, name) for number in numbers
    ]


def finding(events, backfill_from=None):
    return Finding(list(events), [], Range(NOW - 10_000, NOW + 1), 900_000, backfill_from)


def same(checkpoint):
    return checkpoint


async def opened(opener):
    desk = await opener.open(0)
    for name in ORGANIZATIONS:
        if desk.checkpoint(name) is None:
            await desk.write(name, lambda _, name=name: begin(name, NOW - 5_000, now=NOW))
    return desk


async def ids(opener, topic):
    found, tp = [], TopicPartition(topic, 0)
    async with standalone_consumer(opener.connection) as reader:
        span = (await stable_bounds(reader, [tp]))[tp]
        await read_to_end(reader, {tp: span.log_start_offset}, {tp: span.last_stable_offset}, found.append)
    codec = InternalCodec("audit_event")
    return [(record.key.decode(), codec.decode(record.value)["id"]) for record in found]


async def lose(opener, topic):
    """A topic that is lost altogether and made anew, as by hand after a disk has failed."""
    admin = AIOKafkaAdminClient(**opener.connection.options())
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


async def test_a_batch_that_is_damaged_on_disk_is_named(opener, kafka):
    """The shard waits, since what stands in it may have been published; it opens when the batch is whole again."""
    desk = await opened(opener)
    await desk.publish("acme", finding(records("acme", 1, 2)), same, persist=False)
    await desk.discard()
    log = kafka.directory / "log" / f"{opener.topics.progress}-0" / f"{0:020}.log"
    flip_a_bit(log, 0)
    with pytest.raises(
        RelayError, match=rf"damaged on Kafka's disk.*{opener.topics.progress}.*a replica lead"
    ):
        await opener.open(0)
    flip_a_bit(log, 0)
    desk = await opener.open(0)
    await desk.publish("acme", finding(records("acme", 1, 2)), same, persist=False)
    await desk.discard()

    assert await ids(opener, opener.topics.events) == [("acme", 1), ("acme", 2)]


async def test_a_log_that_is_lost_is_published_again_from_jira(opener):
    """Every organization whose last event is gone forgets what is not there, goes back to its day, and repeats nothing else."""
    desk = await opened(opener)
    for name in ORGANIZATIONS:
        await desk.publish(name, finding(records(name, 1, 2, 3)), same, persist=False)
    await desk.discard()
    await lose(opener, opener.topics.events)
    successor = await opened(opener)
    cursors = {name: successor.checkpoint(name).window_end for name in ORGANIZATIONS}
    for name in ORGANIZATIONS:
        await successor.publish(name, finding(records(name, 1, 2, 3, 4)), same, persist=False)
    await successor.discard()
    third = await opened(opener)
    for name in ORGANIZATIONS:
        await third.publish(name, finding(records(name, 1, 2, 3, 4)), same, persist=False)
    await third.discard()

    assert set(cursors.values()) == {day_start(day_of(NOW - 2_000))}
    assert sorted(await ids(opener, opener.topics.events)) == sorted(
        (name, number) for name in ORGANIZATIONS for number in (1, 2, 3, 4)
    )


@pytest.mark.parametrize("wrote", [True, False])
async def test_a_log_that_is_lost_under_its_owner_is_noticed_before_it_is_written_again(wrote, opener):
    """What takes the place of lost events would hide the loss: nothing is committed there, and the shard opens anew. An owner
    that has not written yet knows where the log ended when it took the shard over.
    """
    owner = await opened(opener)
    await owner.publish("acme", finding(records("acme", 1, 2)), same, persist=False)
    if not wrote:
        await owner.discard()
        owner = await opened(opener)
    await lose(opener, opener.topics.events)
    with pytest.raises(DeskClosedError, match=r"has lost the end of .*\.events, partition 0"):
        await owner.publish("acme", finding(records("acme", 3)), same, persist=False)
    await owner.discard()
    successor = await opened(opener)
    await successor.publish("acme", finding(records("acme", 1, 2, 3)), same, persist=False)
    await successor.discard()

    assert sorted(await ids(opener, opener.topics.events)) == [("acme", number) for number in (1, 2, 3)]


async def test_only_what_was_lost_is_read_again(opener):
    """Of two organizations one has lost its last event: the other's memory and cursors stay as they are."""
    desk = await opened(opener)
    await desk.publish("acme", finding(records("acme", 1)), same, persist=False)
    await desk.publish("globex", finding(records("globex", 1, 2)), same, persist=False)
    checkpoint = desk.checkpoint("globex")
    stolen = replace(
        checkpoint, last_event=replace(checkpoint.last_event, offset=checkpoint.last_event.offset + 50)
    )
    await desk.discard()
    publisher = await Publisher.open(opener.connection, f"{opener.topics.prefix}.0")
    await publisher.publish([of_progress(opener, "globex", "checkpoint", stolen.to_record())])
    await publisher.discard()
    successor = await opened(opener)
    found = {
        name: await successor.publish(name, finding(records(name, 1, 2)), same, persist=False)
        for name in ORGANIZATIONS
    }
    await successor.discard()

    assert found["acme"].modes == {"live": 1}
    assert found["globex"].modes == {}
    assert successor.checkpoint("globex").last_event == checkpoint.last_event


async def test_a_loss_is_found_though_retention_had_emptied_the_log(opener):
    """Where nothing stands, what retention cannot have deleted yet is lost, and what is older is not."""
    then = NOW - 40 * DAY
    desk = await replace(opener, now_ms=lambda: then).open(0)
    await desk.write("acme", lambda _: begin("acme", then - 5_000, now=then))
    await desk.publish("acme", finding(records("acme", 1, created=then)), same, persist=False)
    await delete_all(opener, opener.topics.events)
    checkpoint = replace(desk.checkpoint("acme"), last_event=Position(50, 2))
    days = desk._memory.progress("acme").ledger
    plan = days.to_records(days.plan(records("acme", 2)))
    await desk._publisher.publish(
        [
            *(of_progress(opener, key, "day_ledger", record) for key, record in plan.items()),
            of_progress(opener, "acme", "checkpoint", checkpoint.to_record()),
        ]
    )
    await desk.discard()
    successor = await replace(
        opener, limits=KnownLimits(opener.connection, TopicLimits(retention_ms=30 * DAY))
    ).open(0)
    found = await successor.publish("acme", finding(records("acme", 1, 2)), same, persist=False)
    await successor.discard()

    assert found.modes == {"live": 1}
    assert await ids(opener, opener.topics.events) == [("acme", 2)]


async def delete_all(opener, topic):
    """As retention does when everything is too old."""
    tp = TopicPartition(topic, 0)
    async with standalone_consumer(opener.connection) as reader:
        end = (await stable_bounds(reader, [tp]))[tp].last_stable_offset
    admin = AIOKafkaAdminClient(**opener.connection.options())
    await admin.start()
    try:
        await admin.delete_records({tp: RecordsToDelete(before_offset=end)})
    finally:
        await admin.close()


def of_progress(opener, key, subject, record, at=NOW + 60):
    return ProducerRecord(opener.topics.progress, 0, key.encode(), InternalCodec(subject).encode(record), at)


async def test_mending_that_is_broken_off_is_begun_anew(opener, monkeypatch):
    """More organizations than one transaction takes, and a death after the first: the others' events are known all the same."""
    monkeypatch.setattr(loader, "ORGANIZATIONS", 1)
    desk = await opened(opener)
    encoder = await opener.store.event_encoder()
    events = [(name, encoder.encode({**records(name, 2)[0], **LATER})) for name in ORGANIZATIONS]
    await desk._publisher.publish(
        [ProducerRecord(opener.topics.events, 0, name.encode(), value, NOW + 5) for name, value in events]
    )
    await desk.discard()
    publish, published = Publisher.publish, []

    async def dying(self, first):
        if published:
            raise PublishError("Kafka did not confirm a transaction.")
        published.append(await publish(self, first))

    with monkeypatch.context() as patched:
        patched.setattr(Publisher, "publish", dying)
        with pytest.raises(PublishError):
            await opener.open(0)
    successor = await opened(opener)
    found = [
        (await successor.publish(name, finding(records(name, 2)), same, persist=False)).modes
        for name in ORGANIZATIONS
    ]
    await successor.discard()

    assert len(published) == 1
    assert found == [{}, {}]


async def test_lost_history_is_read_again(opener):
    """Days that backfill has covered are open again where their events are gone."""
    desk = await opened(opener)
    old = records("acme", 1, 2, created=NOW - 5 * DAY)
    covered = Range(NOW - 10 * DAY, NOW - 5_000)
    await desk.publish(
        "acme",
        finding(old, backfill_from=NOW - 10 * DAY),
        lambda checkpoint: replace(checkpoint, backfilled=(covered,)),
        persist=True,
    )
    await desk.discard()
    await lose(opener, opener.topics.backfill)
    successor = await opened(opener)
    reopened = successor.checkpoint("acme").backfilled
    found = await successor.publish("acme", finding(old, NOW - 10 * DAY), same, persist=False)
    await successor.discard()

    assert reopened == ()
    assert found.modes == {"backfill": 2}


async def test_an_open_transaction_of_a_stranger_keeps_the_shard_shut(opener):
    """What cannot be ended cannot be read past: opening fails, and says who can do something about it."""
    stranger = await Publisher.open(opener.connection, f"{opener.topics.prefix}.stranger")
    await stranger._producer.begin_transaction()
    await stranger._send([ProducerRecord(opener.topics.progress, 0, b"x", b"y")])
    with pytest.raises(RelayError, match=r"not of this shard's producer.*kafka-transactions\.sh"):
        await opener.open(0)
    with pytest.raises(TopicReadError, match="has not ended"):
        await opener._progresses(0)
    await stranger.discard()
    again = await Publisher.open(opener.connection, f"{opener.topics.prefix}.stranger")
    await again.discard()
    await (await opened(opener)).discard()


async def test_without_transactions_events_are_known_though_their_progress_is_missing(opener):
    """As on Event Hubs: events come first, so a crash in between repeats none that stands and skips none that does not."""
    settings = opener.connection.kafka.model_copy(update={"profile": "event-hubs"})
    bare = replace(opener, connection=Connection(settings))
    desk = await opened(bare)
    await desk.publish("acme", finding(records("acme", 1)), same, persist=False)
    send = desk._publisher._send

    async def crashing(first):
        if any(record.topic == opener.topics.progress for record in first):
            raise KafkaError("the connection was cut")
        return await send(first)

    desk._publisher._send = crashing
    with pytest.raises(DeskClosedError):
        await desk.publish("acme", finding(records("acme", 2)), same, persist=False)
    await desk.discard()
    successor = await opened(bare)
    await successor.publish("acme", finding(records("acme", 1, 2, 3)), same, persist=False)
    await successor.discard()

    assert await ids(opener, opener.topics.events) == [("acme", number) for number in (1, 2, 3)]


async def test_progress_that_cannot_be_read_is_named(opener):
    """Which key, where, and why."""
    publisher = await Publisher.open(opener.connection, f"{opener.topics.prefix}.0")
    await publisher.publish([ProducerRecord(opener.topics.progress, 0, b"acme", b"garbage")])
    await publisher.discard()

    with pytest.raises(
        RelayError, match=r"The progress of acme cannot be read \(.*progress, partition 0, offset 0\)"
    ):
        await opener.open(0)


async def test_garbage_on_the_event_topics_is_passed_over(opener):
    """A message of somebody else, right behind our own, is told and does not keep the shard shut."""
    desk = await opened(opener)
    await desk.publish("acme", finding(records("acme", 1)), same, persist=False)
    encoder = await opener.store.event_encoder()
    foreign = encoder.encode({**records("acme", 5)[0], "collected": NOW + 9, "mode": "live"})
    await desk._publisher.publish(
        [
            ProducerRecord(opener.topics.events, 0, b"acme", b"garbage", NOW + 9),
            ProducerRecord(opener.topics.events, 0, b"acme", frame(SchemaId(7)) + b"of a registry", NOW + 9),
            ProducerRecord(opener.topics.events, 0, b"acme", frame(Fingerprint(b"a newer?")) + b"x", NOW + 9),
            ProducerRecord(opener.topics.events, 0, b"not acme", foreign, NOW + 9),
            ProducerRecord(opener.topics.events, 0, None, b"", NOW + 9),
        ]
    )
    await desk.discard()
    successor = await opened(opener)
    found = await successor.publish("acme", finding(records("acme", 1, 5)), same, persist=False)
    await successor.discard()

    assert found.modes == {"live": 1}


@pytest.mark.parametrize("ref", [SchemaId(5), Fingerprint(b"once had")], ids=str)
async def test_events_are_known_though_their_schema_is_not_to_be_had_any_more(opener, ref):
    """A registry that was set up anew or is no longer set, a topic of schemas that was lost: nothing is taken for lost, since what
    stands was written by a version of ours.
    """
    desk = await opened(opener)
    desk._encoder = Encoder(desk._encoder.schema, ref)
    await desk.publish("acme", finding(records("acme", 1, 2)), same, persist=False)
    before = desk.checkpoint("acme")
    await desk.discard()
    successor = await opened(opener)
    found = await successor.publish("acme", finding(records("acme", 1, 2)), same, persist=False)
    await successor.discard()

    assert found.modes == {}
    assert successor.checkpoint("acme") == before


async def test_events_of_a_newer_version_are_known(opener, monkeypatch):
    """After an upgrade that was taken back its schema is looked up, also for what lies before the end of the log."""
    monkeypatch.setattr(log_reader, "TAIL_OFFSETS", 1)
    desk = await opened(opener)
    ours = desk._encoder
    desk._encoder = await of_a_newer_version(opener)
    await desk.publish("acme", finding(records("acme", 1, 2)), same, persist=False)
    desk._encoder = ours
    await desk.publish("acme", finding(records("acme", 3)), same, persist=False)
    checkpoint = desk.checkpoint("acme")
    stolen = replace(checkpoint, last_event=Position(checkpoint.last_event.offset + 50, 4))
    await desk._publisher.publish([of_progress(opener, "acme", "checkpoint", stolen.to_record())])
    await desk.discard()
    successor = await opened(opener)
    found = await successor.publish("acme", finding(records("acme", 1, 2, 3)), same, persist=False)
    await successor.discard()

    assert found.modes == {}
    assert successor.checkpoint("acme").last_event == checkpoint.last_event


async def of_a_newer_version(opener):
    ours = schemas.load("audit_event")
    more = {"name": "more", "type": ["null", "string"], "default": None}
    newer = {**ours, "fields": [*ours["fields"], more]}
    await opener.store._text_store.put(fingerprint(newer), json.dumps(newer))
    return Encoder(newer, fingerprint(newer))
