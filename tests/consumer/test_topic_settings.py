"""Topic settings with which Kafka deletes events before their delivery, as a consumer finds and reports them."""

import pytest
import structlog

from consumer.timing import ConsumerServiceTiming, ConsumerTiming
from consumer.topic_settings import DEFAULT_RETENTION_SECONDS, TopicSettings
from relay.config.kafka import KafkaConfig
from relay.kafka.connection import Connection
from relay.kafka.topic_comparison import ExistingTopic
from relay.kafka.topic_facts import TopicFacts
from relay.kafka.topics import Topics
from relay.timestamps import DAY_MS
from tests.support.pipeline_world import pipeline_world, some_events, wait_until
from tests.support.topics import alter_topic

TOPICS = Topics("p")
CONNECTION = Connection(KafkaConfig(bootstrap="b:9092", topic_prefix="p"))
MONTH = str(30 * DAY_MS)
QUICK = ConsumerTiming(service=ConsumerServiceTiming(topic_check_seconds=0.3))


def facts(topic, **configs):
    settings = {key.replace("_", "."): value for key, value in configs.items()}
    return TopicFacts({topic: ExistingTopic(3, 1, settings)})


@pytest.mark.parametrize("topic", [TOPICS.events, TOPICS.backfill, TOPICS.dead_letters])
@pytest.mark.parametrize(
    ("setting", "value", "wanted"),
    [("cleanup_policy", "compact", "delete"), ("retention_ms", "3600000", None)],
)
def test_a_setting_that_costs_events_or_dead_letters_is_named(topic, setting, value, wanted):
    """The text has topic, setting, value and command; other topics have no problem, and it ends with the setting."""
    settings = TopicSettings(CONNECTION, TopicFacts({}))
    settings.update(facts(topic, **{setting: value}))
    problem, name = settings.problem(topic), setting.replace("_", ".")

    assert f"{topic}: {name} is {value}: " in problem
    assert f"--entity-name {topic} --add-config {name}={wanted or ''}" in problem
    assert [
        other for other in (TOPICS.events, TOPICS.backfill, TOPICS.dead_letters) if settings.problem(other)
    ] == [topic]
    settings.update(facts(topic, cleanup_policy="delete", retention_ms=MONTH))
    assert settings.problem(topic) is None


def test_a_setting_that_is_not_reported_is_neither_good_nor_bad():
    """Without the right to read settings the consumer names them, once in the log, and goes on."""
    unreadable = TopicFacts({}, {TOPICS.events: "TopicAuthorizationFailedError"})
    with structlog.testing.capture_logs() as lines:
        settings = TopicSettings(CONNECTION, unreadable)
        settings.update(unreadable)

    assert settings.problem(TOPICS.events) is None
    assert "whether they cause data loss is unknown. Grant DescribeConfigs" in settings.unknown
    assert [line["log_level"] for line in lines] == ["warning"]


def test_topics_of_other_services_are_not_looked_at():
    """A consumer with the least rights may not read the settings of the producers' topics, and says nothing about them."""
    unreadable = TopicFacts(
        {}, dict.fromkeys((TOPICS.organizations, TOPICS.progress, TOPICS.changes), "refused")
    )
    with structlog.testing.capture_logs() as lines:
        settings = TopicSettings(CONNECTION, unreadable)

    assert (settings.unknown, lines) == (None, [])


@pytest.mark.parametrize(
    ("configs", "kept"),
    [
        ({"retention_ms": str(4 * DAY_MS), "retention_bytes": "-1"}, 4 * 86_400),
        ({"retention_ms": str(4 * DAY_MS), "retention_bytes": "1000"}, DEFAULT_RETENTION_SECONDS),
        ({}, DEFAULT_RETENTION_SECONDS),
    ],
)
def test_the_retention_of_the_topic_itself_counts(configs, kept):
    settings = TopicSettings(CONNECTION, facts(TOPICS.events, **configs))

    assert settings.retention_seconds(TOPICS.events) == kept


def test_a_topic_without_retention_never_reaches_half_of_it():
    settings = TopicSettings(CONNECTION, facts(TOPICS.events, retention_ms="-1", retention_bytes="-1"))

    assert settings.retention_seconds(TOPICS.events) > 100 * 365 * 86_400


async def test_events_of_a_compacted_topic_are_delivered_and_reported(kafka, prefix, monkeypatch):
    """Only delivery saves them: the flow goes on, is not ready, and is ready again after the correction."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        topic = world.topics.events
        await alter_topic(world.connection, topic, cleanup_policy="compact", retention_ms=MONTH)
        async with world.consuming(timing=QUICK) as consumer:
            await world.publish(some_events(20))
            await world.wait_for_events()
            await wait_until(
                lambda: f"{topic}: cleanup.policy is compact" in " ".join(consumer.health.problems())
            )
            await alter_topic(world.connection, topic, cleanup_policy="delete", retention_ms=MONTH)
            await wait_until(consumer.ready)


async def test_no_dead_letter_is_written_to_a_topic_that_would_lose_it(kafka, prefix, monkeypatch):
    """The record waits, the destination says why, and it is written after the mending."""
    async with pipeline_world(kafka, prefix, monkeypatch) as world:
        topic = world.topics.dead_letters
        await alter_topic(world.connection, topic, cleanup_policy="compact")
        async with world.consuming(timing=QUICK) as consumer:
            await world.publish_bytes(b"garbage")
            await wait_until(
                lambda: f"{topic}: cleanup.policy is compact" in " ".join(consumer.health.problems())
            )
            assert await world.dead_letters() == []
            await alter_topic(world.connection, topic, cleanup_policy="delete", retention_ms=MONTH)
            await wait_until(consumer.ready)
            written = "jira_relay_consumer_events_dead_lettered_total"
            await wait_until(lambda: consumer.metric(written, reason="unreadable") == 1)
            ((value, _headers),) = await world.dead_letters()

    assert value == b"garbage"
