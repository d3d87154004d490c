import pytest
from prometheus_client import CollectorRegistry

from producer.metrics import ProducerMetrics
from producer.publishing.topic_limits import TopicLimitsWatcher
from producer.recovery.loader import ShardLoader
from relay.config.schema_registry import SchemaRegistryConfig
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topic_facts import TopicLimits
from relay.kafka.topics import Topics
from relay.schema_registry.store import open_schema_store
from tests.support.kafka import connection_to
from tests.support.shard_loading import NOW


@pytest.fixture
async def loader(kafka, prefix, tmp_path):
    connection = connection_to(kafka, prefix, shards=1)
    await create_missing_topics(connection)
    async with open_schema_store(SchemaRegistryConfig(cache_directory=tmp_path), connection) as store:
        limits = TopicLimitsWatcher(connection, TopicLimits(), check_seconds=3600)
        metrics = ProducerMetrics(CollectorRegistry())
        yield ShardLoader(connection, Topics(prefix), store, limits, metrics, lambda: NOW)
