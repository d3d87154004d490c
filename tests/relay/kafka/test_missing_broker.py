"""A Kafka of three nodes, one of which dies: `check`, the statuses of the services and their metrics name its copies."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from consumer.metrics import ConsumerMetrics
from consumer.topic_settings import TopicSettings
from producer.metrics import ProducerMetrics
from producer.publishing.topic_limits import TopicLimitsWatcher
from relay.config.kafka import KafkaConfig
from relay.kafka.connection import Connection
from relay.kafka.copy_report import CopyReport
from relay.kafka.topic_admin import compare_topics, create_missing_topics, read_topic_facts
from relay.kafka.topic_facts import TopicFacts, TopicLimits
from relay.kafka.topics import Topics
from tests.support.kafka_cluster import KafkaCluster
from tests.support.waiting import wait_until

TOPICS = Topics("copies")


@pytest.fixture
async def cluster(tmp_path):
    async with KafkaCluster(tmp_path) as cluster:
        yield cluster


def states(registry, service):
    """Return the number of partitions in each state, as the metrics have it."""
    return {
        sample.labels["state"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == f"jira_relay_{service}_kafka_partitions_by_state"
    }


async def test_a_dead_broker_is_named_until_it_is_back(cluster):
    kafka = KafkaConfig(bootstrap=cluster.bootstrap, topic_prefix="copies", shards=2, replication_factor=3)
    connection = Connection(kafka, patience=8)
    await create_missing_topics(connection)
    await cluster.wait_until_in_sync(TOPICS.all)
    registry = CollectorRegistry()
    settings = TopicSettings(
        connection, TopicFacts({}), 0.2, CopyReport(ConsumerMetrics(registry).kafka_partitions)
    )
    limits = TopicLimitsWatcher(
        connection, TopicLimits(), 0.2, copies=CopyReport(ProducerMetrics(registry).kafka_partitions)
    )
    limits.update(await read_topic_facts(connection))
    watching = [asyncio.create_task(each.watch()) for each in (settings, limits)]
    try:
        await wait_until(lambda: states(registry, "consumer").get("under_replicated") == 0)
        await wait_until(lambda: (settings.copies.text, limits.copies.text) == (None, None))  # see below

        cluster.nodes[3].kill()
        sentence = "Copies on broker 3 are not in sync, so the loss of another broker can stop writes. Start "
        for report in (settings.copies, limits.copies):
            await wait_until(lambda report=report: sentence in (report.text or ""))
        async with asyncio.timeout(120):  # a busy machine may lose sight of another broker for a moment
            while not all(sentence in " ".join(each.problems) for each in await compare_topics(connection)):
                await asyncio.sleep(0.2)
        await wait_until(lambda: states(registry, "producer").get("under_replicated", 0) > 0)

        await cluster.nodes[3].start()
        for report in (settings.copies, limits.copies):
            await wait_until(lambda report=report: report.text is None)
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
