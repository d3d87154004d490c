"""Topics whose largest message an operator has lowered, one at a time."""

import asyncio
import random

import pytest

from producer.events import UnreadableRecord
from producer.publishing.publisher import ShardClosedError
from producer.publishing.transaction_outcomes import TransactionOutcomes
from producer.state.checkpoint import new_checkpoint
from relay.kafka.topic_admin import read_topic_facts
from relay.kafka.topic_facts import TopicFacts
from tests.support.shard_loading import NOW, ids, pending_records, records, unchanged
from tests.support.shard_publishing import large_records, publish_all
from tests.support.topics import alter_topic


async def test_a_message_limit_below_the_batches_is_learned_from_the_refusal(loader):
    """An operator lowers max.message.bytes: the next transaction fits, and only an event above the limit is a dead letter."""
    await alter_topic(loader.connection, loader.topics.events, max_message_bytes="100000", retention_ms="-1")
    events = [*large_records(12, 50_000), *large_records(1, 150_000, first=90)]
    failures = await publish_all(loader, TransactionOutcomes(), events)

    assert len(failures) == 1
    assert "rejected a transaction for its size" in failures[0]
    assert loader.topic_limits.current.max_event_bytes == 80_000
    assert loader.topic_limits.current.max_dead_letter_bytes == 4_000_000
    assert sorted(await ids(loader, loader.topics.events)) == [("acme", number) for number in range(1, 13)]


async def test_a_lowered_limit_that_was_read_before_the_refusal_makes_no_dead_letters(loader):
    """Events of 60,000 bytes fit the limit of 100,000; the open producer has the batches of the limit before."""
    loader.topic_limits.update(await read_topic_facts(loader.connection))
    outcomes, events = TransactionOutcomes(), large_records(12, 60_000)
    publisher = await loader.load(0, outcomes)
    await publisher.write_checkpoint("acme", lambda _: new_checkpoint("acme", NOW - 5_000, now=NOW))
    assert not publisher.batches_too_large
    await alter_topic(loader.connection, loader.topics.events, max_message_bytes="100000", retention_ms="-1")
    await look_until(loader, lambda: loader.topic_limits.current.max_event_bytes == 80_000)
    assert publisher.batches_too_large
    with pytest.raises(ShardClosedError, match="for its size"):
        await publisher.publish("acme", pending_records(events), unchanged, persist=False)
    await publisher.discard()

    assert await publish_all(loader, outcomes, events) == []
    assert len(await ids(loader, loader.topics.events)) == 12


async def test_a_limit_that_kafka_does_not_report_is_found_by_halving(loader, monkeypatch):
    """Without the right to read settings, refusals alone lead to a size that the topic accepts."""
    await alter_topic(loader.connection, loader.topics.events, max_message_bytes="300000", retention_ms="-1")

    async def without_right(_connection):
        return TopicFacts({}, {loader.topics.events: "not authorized"})

    monkeypatch.setattr("producer.publishing.topic_limits.read_topic_facts", without_right)
    failures = await publish_all(loader, TransactionOutcomes(), large_records(12, 50_000))

    assert 1 <= len(failures) <= 6
    assert len(await ids(loader, loader.topics.events)) == 12
    assert "unknown" in loader.topic_limits.unknown
    assert loader.topic_limits.problem is None


async def test_a_dead_letter_topic_with_a_small_limit_gets_parts(loader):
    """Its own limit decides on the parts; an event that the event topic accepts is no dead letter for it."""
    await alter_topic(loader.connection, loader.topics.dead_letters, max_message_bytes="60000")
    while loader.topic_limits.current.max_dead_letter_bytes > 60_000:  # the broker takes a moment
        loader.topic_limits.update(await read_topic_facts(loader.connection))
    raw = random.Random(2).randbytes(200_000)
    failures = await publish_all(
        loader, TransactionOutcomes(), large_records(3, 100_000), [UnreadableRecord("no id", raw)]
    )

    assert failures == []
    assert len(await ids(loader, loader.topics.events)) == 3


async def look_until(loader, condition):
    """Read the settings of the topics until they fit: the broker takes a moment."""
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.05)
            loader.topic_limits.update(await read_topic_facts(loader.connection))


@pytest.mark.parametrize("name", ["progress", "backfill", "organizations", "status", "schemas"])
async def test_a_topic_with_a_small_limit_changes_nothing_for_live_events(loader, name):
    """An event that the topic of events accepts is published, whatever another topic accepts."""
    topic = getattr(loader.topics, name)
    await alter_topic(loader.connection, topic, max_message_bytes="30000")
    outcomes = TransactionOutcomes()
    failures = await publish_all(loader, outcomes, large_records(12, 50_000))
    failures += await publish_all(loader, outcomes, records("acme", *range(100, 130)))

    assert len(failures) <= 1
    assert len(await ids(loader, loader.topics.events)) == 42
    assert loader.topic_limits.problem is None


@pytest.mark.parametrize("name", ["progress", "events", "backfill", "dead_letters"])
async def test_a_limit_that_no_transaction_fits_is_named_until_it_is_mended(loader, name):
    """The shards close with setting, value and command; afterwards everything is published."""
    topic, watcher = getattr(loader.topics, name), loader.topic_limits
    kept = {"cleanup_policy": "compact"} if name == "progress" else {"retention_ms": "-1"}
    await alter_topic(loader.connection, topic, max_message_bytes="300", **kept)
    await look_until(loader, lambda: watcher.problem is not None)
    assert f"{topic}: max.message.bytes is 300" in watcher.problem
    assert f"--entity-name {topic} --add-config max.message.bytes=5000000" in watcher.problem

    await alter_topic(loader.connection, topic, max_message_bytes="5000000", **kept)
    await look_until(loader, lambda: watcher.problem is None)
    unreadable = [UnreadableRecord("no id", b"x" * 1_000)]
    assert await publish_all(loader, TransactionOutcomes(), records("acme", *range(10)), unreadable) == []
    assert len(await ids(loader, loader.topics.events)) == 10


async def test_a_refusal_concerns_the_topic_that_refused(loader, monkeypatch):
    """Settings cannot be read, and the topic of dead letters accepts little: no event becomes a dead letter for it."""
    await alter_topic(
        loader.connection, loader.topics.dead_letters, max_message_bytes="30000", retention_ms="-1"
    )

    async def without_right(_connection):
        return TopicFacts({}, {loader.topics.events: "not authorized"})

    monkeypatch.setattr("producer.publishing.topic_limits.read_topic_facts", without_right)
    raw = random.Random(2).randbytes(200_000)
    failures = await publish_all(
        loader, TransactionOutcomes(), large_records(3, 100_000), [UnreadableRecord("no id", raw)]
    )

    assert failures
    assert all(loader.topics.dead_letters in failure for failure in failures)
    assert loader.topic_limits.current.max_event_bytes == 4_000_000
    assert len(await ids(loader, loader.topics.events)) == 3
