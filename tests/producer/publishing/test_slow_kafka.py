"""Transactions that a slow or throttled Kafka does not end in time, and sizes that its topics refuse."""

import asyncio
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from producer.metrics import ProducerMetrics
from producer.publishing.topic_limits import TopicLimitsWatcher
from producer.publishing.transaction_outcomes import OutcomeTiming, TransactionOutcomes
from producer.publishing.transaction_size import TransactionLimits
from producer.recovery.loader import LoaderLimits, ShardLoader
from producer.state.checkpoint import new_checkpoint
from relay.config.schema_registry import SchemaRegistryConfig
from relay.kafka.publish_errors import PublishError
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topic_facts import TopicLimits
from relay.kafka.topics import Topics
from relay.kafka.transactions import TransactionalProducer, TransactionTiming
from relay.schema_registry.store import open_schema_store
from tests.support.kafka import connection_to
from tests.support.quotas import set_quota
from tests.support.shard_loading import NOW, ids, records
from tests.support.shard_publishing import large_records, publish_all


async def test_a_transaction_too_large_for_a_slow_kafka_gets_smaller_until_it_ends(loader, monkeypatch):
    """Each time-out halves the next transaction, so that all is published, once."""
    publish = TransactionalProducer._publish

    async def slow(self, given, after_offsets):
        """Take a minute for more than 30 records, with 1 s for a transaction."""
        await asyncio.sleep(60 if len(given) > 30 else 0)
        return await publish(self, given, after_offsets)

    monkeypatch.setattr(TransactionalProducer, "_publish", slow)
    opened = TransactionalProducer.open

    async def with_little_time(connection, name, **options):
        options["timing"] = TransactionTiming(transaction_seconds=1.0, open_seconds=80.0)
        return await opened(connection, name, **options)

    monkeypatch.setattr(TransactionalProducer, "open", with_little_time)
    outcomes = TransactionOutcomes()
    failures = await publish_all(loader, outcomes, records("acme", *range(100)))

    assert 1 <= len(failures) <= 7  # 100 events can be halved so often
    assert "did not confirm a transaction within 1 s: Kafka is slow" in failures[0]
    assert sorted(await ids(loader, loader.topics.events)) == [("acme", number) for number in range(100)]


async def test_a_repair_that_does_not_end_in_time_is_smaller_the_next_time(loader):
    """The organizations that are repaired together are halved, as events are."""
    outcomes = TransactionOutcomes()
    loader = replace(loader, limits=LoaderLimits(transaction=TransactionLimits(max_events=8)))

    sizes = []

    class NeverInTime:
        async def publish(self, given):
            sizes.append(len(given))
            raise PublishError("late", timed_out=True)

    publisher = await loader.load(0, outcomes)
    for name in "abcdefgh":
        await publisher.write_checkpoint(name, lambda _, name=name: new_checkpoint(name, NOW, now=NOW))
    state = publisher._state
    await publisher.discard()
    repairs = [SimpleRepair(name) for name in "abcdefgh"]
    for _ in range(5):
        with pytest.raises(PublishError):
            await loader._write_repairs(NeverInTime(), 0, state, repairs, NOW, outcomes)

    assert sizes == [8, 4, 2, 1, 1]


class SimpleRepair:
    day = None

    def __init__(self, organization):
        self.organization = organization


async def test_a_quota_is_named_and_met(kafka, prefix, tmp_path):
    """Under a quota that no full transaction fits, smaller ones carry everything, and the failures say why."""
    connection = replace(connection_to(kafka, prefix, patience=1.0, shards=1), client_id=prefix)
    await create_missing_topics(connection)
    async with open_schema_store(SchemaRegistryConfig(cache_directory=tmp_path), connection) as store:
        limits = TopicLimitsWatcher(connection, TopicLimits(), check_seconds=3600)
        metrics = ProducerMetrics(CollectorRegistry())
        loader = ShardLoader(connection, Topics(prefix), store, limits, metrics, lambda: NOW)
        outcomes = TransactionOutcomes()
        assert await publish_all(loader, outcomes, records("acme", 1000)) == []
        await set_quota(connection, producer_byte_rate=200_000)
        failures = await publish_all(loader, outcomes, large_records(80, 50_000))

        assert failures
        assert "throttled by a quota" in failures[0]
        assert "producer_byte_rate" in failures[0]
        assert len(await ids(loader, loader.topics.events)) == 81


async def test_one_event_that_a_quota_holds_up_is_published(loader, monkeypatch):
    """Its transaction cannot get smaller, so it gets more time; before, it was repeated without end."""
    publish = TransactionalProducer._publish

    async def throttled(self, given, after_offsets):
        self._note_throttling(0.8)
        await asyncio.sleep(0.8)
        return await publish(self, given, after_offsets)

    monkeypatch.setattr(TransactionalProducer, "_publish", throttled)
    loader = replace(loader, connection=replace(loader.connection, patience=1.0))
    outcomes = TransactionOutcomes(OutcomeTiming(transaction_seconds=0.5, quick_seconds=0.0))
    failures = await publish_all(loader, outcomes, records("acme", 1))

    assert failures
    assert all("throttled by a quota" in failure for failure in failures)
    assert 1.0 <= outcomes.transaction_seconds < 64
    assert await ids(loader, loader.topics.events) == [("acme", 1)]
