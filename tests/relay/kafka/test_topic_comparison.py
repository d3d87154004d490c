"""The comparison of existing topics with their configuration."""

import pytest

from relay.config.kafka import KafkaConfig
from relay.kafka.topic_comparison import ExistingTopic, compare_topic, data_loss_risks
from relay.kafka.topics import Topics, topic_specs
from relay.timestamps import DAY_MS

TOPICS = Topics("p")
SPECS = {spec.name: spec for spec in topic_specs(TOPICS, 3)}
WEEK_MS = 7 * DAY_MS


def as_specified(name, **changes):
    """Return the settings of a topic as the relay creates it on three brokers, with changes."""
    settings = {**SPECS[name].configs, "min.insync.replicas": "2"}
    return settings | {key.replace("_", "."): value for key, value in changes.items()}


def report_on(name, *, replicas=3, factor=3, **changes):
    """Return the report on one topic of a cluster where all others are as specified."""
    existing = {each: ExistingTopic(spec.partitions, 3, as_specified(each)) for each, spec in SPECS.items()}
    existing[name] = ExistingTopic(SPECS[name].partitions, replicas, as_specified(name, **changes))
    configs = {each: topic.configs for each, topic in existing.items()}
    kafka = KafkaConfig(bootstrap="b:9092", topic_prefix="p", replication_factor=factor)
    return compare_topic(SPECS[name], existing, kafka, data_loss_risks(TOPICS, configs, WEEK_MS))


@pytest.mark.parametrize("name", SPECS)
def test_a_topic_as_specified_has_no_problem(name):
    report = report_on(name)

    assert (report.state, report.problems, report.notes) == ("correct", (), ())


@pytest.mark.parametrize("name", [TOPICS.organizations, TOPICS.progress, TOPICS.schemas, TOPICS.status])
@pytest.mark.parametrize("policy", ["delete", "compact,delete"])
def test_a_table_that_kafka_deletes_by_age_is_a_risk(name, policy):
    """A compacted topic whose policy also deletes loses its oldest keys; the problem has the command that mends it."""
    (problem,) = report_on(name, cleanup_policy=policy).problems

    assert f"cleanup.policy is {policy}" in problem
    assert f"--bootstrap-server b:9092 --alter --entity-type topics --entity-name {name}" in problem
    assert "--add-config cleanup.policy=compact`" in problem


@pytest.mark.parametrize("name", [TOPICS.events, TOPICS.backfill, TOPICS.dead_letters, TOPICS.changes])
@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_a_log_that_kafka_compacts_is_a_risk(name, policy):
    """A compacted log keeps one record of each organization."""
    (problem,) = report_on(name, cleanup_policy=policy).problems

    assert "all but the newest record of each key" in problem
    assert "--add-config cleanup.policy=delete`" in problem


def test_a_retention_below_the_reread_is_a_risk():
    """Events must be kept as long as the producer reads Jira again; a retention without end is not a risk."""
    configs = {TOPICS.events: {"retention.ms": str(WEEK_MS - 1)}}
    (risk,) = data_loss_risks(TOPICS, configs, WEEK_MS)

    assert (risk.topic, risk.setting, risk.wanted) == (TOPICS.events, "retention.ms", str(30 * DAY_MS))
    assert "or lower producer.late_days" in risk.describe("b:9092")
    for kept in (WEEK_MS, -1):
        assert not data_loss_risks(TOPICS, {TOPICS.events: {"retention.ms": str(kept)}}, WEEK_MS)


@pytest.mark.parametrize("name", [TOPICS.progress, TOPICS.events, TOPICS.backfill, TOPICS.dead_letters])
def test_a_limit_that_no_transaction_fits_is_a_risk(name):
    """The report has the command instead of the general problem; a topic that only operators write to closes no shard."""
    (problem,) = report_on(name, max_message_bytes="19999").problems

    assert "max.message.bytes is 19999: Kafka refuses records" in problem
    assert f"--entity-name {name} --add-config max.message.bytes=5000000" in problem
    assert not data_loss_risks(TOPICS, {name: {"max.message.bytes": "20000"}}, WEEK_MS)
    assert not data_loss_risks(TOPICS, {TOPICS.changes: {"max.message.bytes": "300"}}, WEEK_MS)


def test_settings_that_are_not_reported_are_no_risk():
    assert not data_loss_risks(TOPICS, {}, WEEK_MS)
    assert not data_loss_risks(TOPICS, {name: {} for name in SPECS}, WEEK_MS)


def test_too_few_replicas_are_a_problem():
    (problem,) = report_on(TOPICS.events, replicas=1, min_insync_replicas="1").problems

    assert "1 replica, and kafka.replication_factor is 3" in problem
    assert not report_on(TOPICS.events, replicas=1, factor=1, min_insync_replicas="1").problems
    assert not report_on(TOPICS.events, replicas=3, factor=1).problems


@pytest.mark.parametrize(
    ("replicas", "in_sync", "advice"),
    [
        (3, "1", "set it to 2, or the loss of a broker"),
        (3, "3", "set it to 2, or Kafka rejects every write"),
        (2, "2", "set it to 1, or Kafka rejects every write"),
        (5, "1", "set it to 2, or the loss of a broker"),
    ],
)
def test_min_insync_replicas_is_compared_with_the_replicas(replicas, in_sync, advice):
    """One copy in sync is too few with three replicas, and all of them are too many."""
    (problem,) = report_on(TOPICS.progress, replicas=replicas, factor=2, min_insync_replicas=in_sync).problems

    assert advice in problem


@pytest.mark.parametrize("name", SPECS)
def test_the_timestamp_type_of_every_topic_is_compared(name):
    (problem,) = report_on(name, message_timestamp_type="LogAppendTime").problems

    assert problem == "message.timestamp.type is LogAppendTime: set it to CreateTime."


def test_a_message_size_that_a_cluster_may_cap_is_a_note():
    """The relay works with Kafka's default of 1 MB and below the caps of managed clusters."""
    report = report_on(TOPICS.events, max_message_bytes="1048588")

    assert (report.state, report.problems) == ("correct", ())
    assert "writes no larger record" in report.notes[0]
    assert report_on(TOPICS.events, max_message_bytes="100000").problems
    assert not report_on(TOPICS.events, max_message_bytes="8388608").notes


def test_tuning_settings_are_free():
    changes = {"segment_ms": "1", "segment_bytes": "1", "min_cleanable_dirty_ratio": "0.9"}

    assert not report_on(TOPICS.progress, **changes).problems


def test_a_limit_in_bytes_is_a_note():
    """A limit in bytes deletes records of a log at no known age; compacted topics ignore it."""
    assert "before retention.ms has passed" in report_on(TOPICS.events, retention_bytes="1000").notes[0]
    assert not report_on(TOPICS.events, retention_bytes="-1").notes
    assert not report_on(TOPICS.progress, retention_bytes="1000").notes


@pytest.mark.parametrize(("refused", "state"), [(False, "exists"), (True, "not known")])
def test_settings_that_are_not_known_are_not_called_right(refused, state):
    """A topic whose settings Kafka does not report exists, and nothing is said about them; refused ones are a problem."""
    name = TOPICS.events
    existing = {name: ExistingTopic(SPECS[name].partitions, 3, {}, refused)}
    report = compare_topic(SPECS[name], existing, KafkaConfig(), [])

    assert report.state == state
    assert len(report.problems) == refused
    assert ("were not compared" in " ".join(report.notes)) == (not refused)


def test_every_topic_is_named_once():
    """The names of all topics are those that are created."""
    assert sorted(TOPICS.all) == sorted(SPECS)
