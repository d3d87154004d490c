import asyncio

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from producer.metrics import ProducerMetrics
from producer.publishing.topic_limits import TopicLimitsWatcher
from producer.publishing.transaction import PendingRecords
from producer.recovery.loader import ShardLoader
from producer.sources.jira_cloud.mapping import restore_json, to_event
from producer.state.checkpoint import new_checkpoint
from producer.state.intervals import TimeRange
from relay.config.schema_registry import SchemaRegistryConfig
from relay.kafka.topic_admin import create_missing_topics, read_topic_facts
from relay.kafka.topic_facts import TopicLimits
from relay.kafka.topics import Topics
from relay.schema_registry.store import open_schema_store
from tests.relay.kafka.test_producer import alter_topic
from tests.support.kafka import connection_to

NOW = 1_790_000_000_000


async def test_what_an_operator_changes_about_the_topics_needs_no_restart(kafka, prefix, tmp_path):
    """A topic that takes less than before: what it refuses becomes a dead letter, and no transaction fails for it, again and again."""
    there, topics = connection_to(kafka, prefix, shards=1), Topics(prefix)
    await create_missing_topics(there)
    known = TopicLimitsWatcher(there, TopicLimits(), check_seconds=0.2)
    with capture_logs() as lines:
        known.update(await read_topic_facts(there))
    assert lines == []
    watching = asyncio.create_task(known.watch())
    async with open_schema_store(SchemaRegistryConfig(cache_directory=tmp_path), there) as store:
        publisher = await ShardLoader(
            there, topics, store, known, ProducerMetrics(CollectorRegistry()), lambda: NOW
        ).load(0)
        await publisher.write_checkpoint("acme", lambda _: new_checkpoint("acme", NOW - 5_000, now=NOW))
        with capture_logs() as lines:
            await alter_topic(there, topics.events, max_message_bytes="100000")
            async with asyncio.timeout(120):
                while known.current.max_event_bytes > 100_000:
                    await asyncio.sleep(0.05)
        assert [line["event"] for line in lines] == ["Topic limits changed."]
        large = {"id": 1, "created": "2026-09-21T14:13:20.000+0000", "summary": "x" * 200_000}
        pending = PendingRecords(
            [to_event(large, "acme")], [], TimeRange(NOW - 10_000, NOW + 1), 900_000, None, restore_json
        )
        published = await publisher.publish("acme", pending, lambda checkpoint: checkpoint, persist=False)
        await publisher.discard()

    assert (published.events_by_mode, published.dead_letters) == ({}, 1)
    assert not watching.done()
    watching.cancel()
    await asyncio.wait({watching})
