"""Topic creation on clusters that refuse some settings, and beside existing topics."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    InvalidConfigurationError,
    InvalidReplicationFactorError,
    PolicyViolationError,
    TopicAuthorizationFailedError,
)

from relay.errors import RelayError
from relay.kafka.topic_admin import compare_topics, create_missing_topics, read_shard_count
from relay.kafka.topic_creation import Refusal, settings_to_leave_out
from relay.kafka.topics import OPTIONAL_SETTINGS, TUNING_SETTINGS, Topics, topic_specs
from tests.support.kafka import connection_to
from tests.support.topics import topics_of

CONFIGS = {**topic_specs(Topics("p"), 1)[0].configs, "min.insync.replicas": "2"}


@pytest.fixture
def connection(kafka, prefix):
    return connection_to(kafka, prefix, shards=4)


@pytest.fixture
def refuse(monkeypatch):
    """Return a function that sets the policy: `refusal(topic)` returns error and message, or None to create it."""
    create = AIOKafkaAdminClient.create_topics

    def set_policy(refusal):
        async def guarded(admin, new_topics, **options):
            refused = {topic.name: found for topic in new_topics if (found := refusal(topic))}
            accepted = [topic for topic in new_topics if topic.name not in refused]
            answers = (await create(admin, accepted, **options)).topic_errors if accepted else []
            answers += [(name, error.errno, message) for name, (error, message) in refused.items()]
            return SimpleNamespace(topic_errors=answers)

        monkeypatch.setattr(AIOKafkaAdminClient, "create_topics", guarded)

    return set_policy


async def create_topic(connection, name, partitions):
    """Create a topic, and wait until the broker lists it, which takes a moment."""
    admin = AIOKafkaAdminClient(**connection.options())
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1)])
        for _ in range(600):
            if name in await admin.list_topics():
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"The broker does not list {name}.")
    finally:
        await admin.close()


async def test_refused_wishes_are_left_out(connection, refuse):
    """Where a policy names one refused setting at a time, the topics are created without them, and say so."""

    def refusal(topic):
        refused = [
            name for name in ("segment.bytes", "min.cleanable.dirty.ratio") if name in topic.topic_configs
        ]
        return (PolicyViolationError, f"Config '{refused[0]}' is not allowed.") if refused else None

    refuse(refusal)
    reports = {report.name: report for report in await create_missing_topics(connection)}
    topics = Topics(connection.kafka.topic_prefix)

    assert {report.state for report in reports.values()} == {"created"}
    assert "refused segment.bytes, min.cleanable.dirty.ratio" in reports[topics.progress].notes[0]
    assert not reports[topics.events].notes
    assert not [report for report in await compare_topics(connection) if report.problems]


async def test_a_policy_without_names_leaves_the_required_settings(connection, refuse):
    """Where a policy names no setting, all optional ones are left out at last."""

    def refusal(topic):
        return (InvalidConfigurationError, "no") if OPTIONAL_SETTINGS & topic.topic_configs.keys() else None

    refuse(refusal)

    assert {report.state for report in await create_missing_topics(connection)} == {"created"}
    assert {report.state for report in await compare_topics(connection)} == {"correct"}


async def test_a_refusal_does_not_stop_the_other_topics(connection, refuse):
    """Each refused topic is reported with its reason, and all others are created."""
    topics = Topics(connection.kafka.topic_prefix)
    reasons = {
        topics.events: (PolicyViolationError, "retention.ms must be at most 604800000"),
        topics.status: (TopicAuthorizationFailedError, "Authorization failed."),
    }
    refuse(lambda topic: reasons.get(topic.name))
    reports = {report.name: report for report in await create_missing_topics(connection)}

    assert {name for name, report in reports.items() if report.state == "refused"} == set(reasons)
    assert {name for name, report in reports.items() if report.state == "created"} == reports.keys() - set(
        reasons
    )
    assert "retention.ms must be at most 604800000. The relay needs" in reports[topics.events].problems[0]
    assert "Grant Create" in reports[topics.status].problems[0]


async def test_too_many_replicas_are_refused_by_name(connection):
    """With more replicas than brokers, every report names kafka.replication_factor, and nothing is created."""
    settings = connection.kafka.model_copy(update={"replication_factor": 3})
    reports = await create_missing_topics(type(connection)(settings))

    assert {report.state for report in reports} == {"refused"}
    assert all("Set kafka.replication_factor" in report.problems[0] for report in reports)
    assert await topics_of(connection) == set()


async def test_new_topics_get_the_partition_count_of_existing_ones(connection, prefix):
    """Beside an existing sharded topic, its count replaces kafka.shards, and the reports say so."""
    await create_topic(connection, Topics(prefix).backfill, 3)
    reports = {report.name: report for report in await create_missing_topics(connection)}

    assert reports[Topics(prefix).events].notes == (
        "It has 3 partitions, as existing topics, and not kafka.shards.",
    )
    assert not reports[Topics(prefix).status].notes
    assert await read_shard_count(connection) == 3


async def test_beside_topics_that_disagree_nothing_is_created(connection, prefix):
    """Where existing partition counts differ, the error names them and the remedy."""
    topics = Topics(prefix)
    await create_topic(connection, topics.events, 1)
    await create_topic(connection, topics.progress, 3)
    with pytest.raises(RelayError, match=r"progress: 3, .*events: 1.*Delete those that hold no records"):
        await create_missing_topics(connection)

    assert await topics_of(connection) == {topics.events, topics.progress}


@pytest.mark.parametrize(
    ("error", "message", "expected"),
    [
        (
            PolicyViolationError,
            "segment.ms is not allowed. Allowed: retention.ms, max.message.bytes.",
            {"segment.ms"},
        ),
        (PolicyViolationError, "max.message.bytes is above 1048576", {"max.message.bytes"}),
        (InvalidConfigurationError, "Unsupported topic configuration", TUNING_SETTINGS),
        (PolicyViolationError, "cleanup.policy must be delete", set()),
        (PolicyViolationError, "The replication factor must be 3", set()),
        (PolicyViolationError, "The limit of 200 partitions is reached", set()),
        (PolicyViolationError, "local.segment.ms is not allowed", TUNING_SETTINGS),
        (InvalidReplicationFactorError, "Unable to replicate 3 times", set()),
        (TopicAuthorizationFailedError, "segment.ms", set()),
    ],
)
def test_the_settings_to_leave_out_follow_from_the_refusal(error, message, expected):
    """Named optional settings are left out, a tuning setting first; what no setting explains leaves nothing to try."""
    assert settings_to_leave_out(Refusal(error, message), CONFIGS) == expected
