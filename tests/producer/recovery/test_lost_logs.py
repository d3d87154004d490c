"""The state that a shard's new owner loads after a real Kafka has lost records."""

from dataclasses import replace

import pytest

from producer.publishing.publisher import ShardClosedError
from producer.publishing.topic_limits import TopicLimitsWatcher
from producer.recovery.loader import LoaderLimits
from producer.state.checkpoint import EventPosition, new_checkpoint
from producer.state.intervals import TimeRange
from relay.kafka.producer import ProducerRecord
from relay.kafka.publish_errors import PublishError
from relay.kafka.topic_facts import TopicLimits
from relay.kafka.transactions import TransactionalProducer
from relay.timestamps import DAY_MS, day_of, day_start
from tests.support.shard_loading import (
    NOW,
    ORGANIZATIONS,
    delete_all,
    ids,
    load_with_checkpoints,
    pending_records,
    progress_record,
    records,
    recreate_topic,
    unchanged,
)

LATER = {"collected": NOW + 5, "mode": "live"}


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
    transactions = await TransactionalProducer.open(
        shard_loader.connection, f"{shard_loader.topics.prefix}.0"
    )
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
    again = [*records("acme", 1, created=then), *records("acme", 2)]
    found = await successor.publish("acme", pending_records(again), unchanged, persist=False)
    await successor.discard()

    assert found.events_by_mode == {"live": 1}
    assert await ids(shard_loader, shard_loader.topics.events) == [("acme", 2)]


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
    publish, published = TransactionalProducer.publish, []

    async def dying(self, records):
        if published:
            raise PublishError("Kafka did not confirm a transaction.")
        published.append(await publish(self, records))

    with monkeypatch.context() as patched:
        patched.setattr(TransactionalProducer, "publish", dying)
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
