"""The state that a shard's new owner loads from a real Kafka, also after Kafka lost records."""

import json
from dataclasses import replace

import pytest

import schemas
from producer.publishing.publisher import ShardClosedError
from producer.recovery.loader import LoaderLimits
from producer.state.checkpoint import EventPosition
from relay.avro.codec import Encoder, Fingerprint, SchemaId, fingerprint, frame
from relay.errors import RelayError
from relay.kafka import KafkaError
from relay.kafka.log_reader import TopicReadError
from relay.kafka.producer import ProducerRecord
from relay.kafka.transactions import TransactionalProducer
from tests.support.kafka_log import flip_a_bit
from tests.support.shard_loading import (
    NOW,
    ids,
    load_with_checkpoints,
    pending_records,
    progress_record,
    records,
    unchanged,
)


async def test_a_batch_corrupt_on_disk_is_reported(shard_loader, kafka):
    """Loading fails while published records may be unreadable; it succeeds on the repaired batch."""
    publisher = await load_with_checkpoints(shard_loader)
    await publisher.publish("acme", pending_records(records("acme", 1, 2)), unchanged, persist=False)
    await publisher.discard()
    log = kafka.directory / "log" / f"{shard_loader.topics.progress}-0" / f"{0:020}.log"
    flip_a_bit(log, 0)
    with pytest.raises(
        RelayError,
        match=rf"A batch of {shard_loader.topics.progress}, partition 0, .*checksum is wrong.*Elect a leader that has an intact copy",
    ):
        await shard_loader.load(0)
    flip_a_bit(log, 0)
    publisher = await shard_loader.load(0)
    await publisher.publish("acme", pending_records(records("acme", 1, 2)), unchanged, persist=False)
    await publisher.discard()

    assert await ids(shard_loader, shard_loader.topics.events) == [("acme", 1), ("acme", 2)]


async def test_a_foreign_open_transaction_prevents_loading(shard_loader):
    """Loading fails with a message that names the remedy."""
    stranger = await TransactionalProducer.open(
        shard_loader.connection, f"{shard_loader.topics.prefix}.stranger"
    )
    await stranger._producer.begin_transaction()
    await stranger._send([ProducerRecord(shard_loader.topics.progress, 0, b"x", b"y")])
    with pytest.raises(RelayError, match=r"another producer left open.*kafka-transactions\.sh"):
        await shard_loader.load(0)
    with pytest.raises(TopicReadError, match="has not ended"):
        await shard_loader._read_stored_progress(0)
    await stranger.discard()
    again = await TransactionalProducer.open(
        shard_loader.connection, f"{shard_loader.topics.prefix}.stranger"
    )
    await again.discard()
    await (await load_with_checkpoints(shard_loader)).discard()


async def test_without_transactions_events_are_known_without_their_progress(shard_loader):
    """A crash between events and progress, as on Event Hubs, repeats and skips none."""
    settings = shard_loader.connection.kafka.model_copy(update={"profile": "event-hubs"})
    bare = replace(shard_loader, connection=replace(shard_loader.connection, kafka=settings))
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
    transactions = await TransactionalProducer.open(
        shard_loader.connection, f"{shard_loader.topics.prefix}.0"
    )
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
    publisher._topics = replace(
        publisher._topics, event_encoder=Encoder(publisher._topics.event_encoder.schema, ref)
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
    ours = publisher._topics
    publisher._topics = replace(ours, event_encoder=await newer_encoder(shard_loader))
    await publisher.publish("acme", pending_records(records("acme", 1, 2)), unchanged, persist=False)
    publisher._topics = ours
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


async def test_events_of_a_newer_version_without_its_schema_never_count_as_lost(shard_loader):
    """After a downgrade the topic of schemas was emptied too: the shard stays closed and says why, until it is filled."""
    publisher = await load_with_checkpoints(shard_loader)
    encoder = await newer_encoder(shard_loader)
    publisher._topics = replace(publisher._topics, event_encoder=encoder)
    await publisher.publish("acme", pending_records(records("acme", 1, 2)), unchanged, persist=False)
    await publisher.discard()
    await shard_loader.store._text_store.put(encoder.ref, "{}")
    with pytest.raises(RelayError, match="event of a newer release, whose schema is nowhere"):
        await shard_loader.load(0)

    await newer_encoder(shard_loader)
    shard_loader.store._failed.clear()
    successor = await load_with_checkpoints(shard_loader)
    found = await successor.publish("acme", pending_records(records("acme", 1, 2)), unchanged, persist=False)
    await successor.discard()

    assert found.events_by_mode == {}
