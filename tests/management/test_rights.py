"""The rights on Kafka: `check` names exactly the missing one, and changes nothing."""

import asyncio

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from management.rights import Right, Role, describe_missing, required_rights
from management.rights_check import check_rights
from management.sign_outs import PREFIX, record_sign_out
from relay.config.kafka import KafkaConfig
from relay.kafka.connection import Connection
from relay.kafka.diagnostics.rights import principal_of, read_rights
from relay.kafka.log_reader import partitions_of, standalone_consumer
from relay.kafka.topic_admin import compare_topics, create_missing_topics, read_shard_count
from relay.kafka.topics import Topics
from relay.timestamps import now_ms
from tests.support.authorizing_kafka import USER, Grant
from tests.support.certificates import CertificateAuthority
from tests.support.kafka import PATIENCE, connection_to

TOPICS = Topics("rights")
DESTINATIONS = ("sentinel",)
CASES = [
    (role, right)
    for role in Role
    for right in required_rights(role, TOPICS, DESTINATIONS)
    if right.operation != "Create"
]


def grants_of(rights):
    return [Grant(right.kind, right.name, right.operation, right.prefixed) for right in rights]


def connect(kafka, **settings):
    return Connection(
        KafkaConfig(**(kafka.settings() | {"topic_prefix": TOPICS.prefix, "shards": 2} | settings)),
        patience=PATIENCE,
    )


@pytest.fixture
async def administrator(authorizing_kafka):
    """A connection of a user with every right, to a cluster with the topics."""
    connection = connection_to(authorizing_kafka, TOPICS.prefix, shards=2)
    await create_missing_topics(connection)
    return connection


async def check_one(connection, role):
    (result,) = await check_rights(connection, [role], DESTINATIONS)
    assert result.subject == f"rights of the {role}"
    return result


@pytest.mark.parametrize("role", Role)
@pytest.mark.usefixtures("administrator")
async def test_the_least_rights_pass(authorizing_kafka, role):
    """A user with the documented rights has all that its role needs, and the message names the user."""
    await authorizing_kafka.grant_only(grants_of(required_rights(role, TOPICS, DESTINATIONS)))
    result = await check_one(connect(authorizing_kafka), role)

    assert (result.state, result.message) == ("ok", f"User:{USER} has all that it needs")


@pytest.mark.parametrize(("role", "missing"), CASES, ids=lambda value: str(getattr(value, "name", value)))
@pytest.mark.usefixtures("administrator")
async def test_exactly_the_missing_right_is_named(authorizing_kafka, role, missing):
    """Without one right, the check fails, and its command grants this right and no other."""
    rights = required_rights(role, TOPICS, DESTINATIONS)
    await authorizing_kafka.grant_only(grants_of([right for right in rights if right != missing]))
    connection = connect(authorizing_kafka)
    result = await check_one(connection, role)

    assert result.state == "failed"
    assert result.message.startswith(describe_missing([missing], f"User:{USER}", connection.bootstrap))
    assert f"--operation {missing.operation} --{missing.kind} {missing.name}" in result.message


@pytest.mark.usefixtures("administrator")
async def test_a_console_with_the_least_rights_keeps_its_sign_outs(authorizing_kafka):
    """A sign-out is a write to the topic of statuses; without the right to it, the reason names the command."""
    rights = required_rights(Role.OPERATOR, TOPICS, DESTINATIONS)
    missing = Right("topic", TOPICS.status, "Write")
    await authorizing_kafka.grant_only(grants_of(rights))
    key, now = f"{PREFIX}one", now_ms()
    assert await record_sign_out(connect(authorizing_kafka), key, now + 60_000, now, 60.0) is None

    await authorizing_kafka.grant_only(grants_of([right for right in rights if right != missing]))
    reason = await record_sign_out(connect(authorizing_kafka), key, now + 60_000, now, 60.0)
    assert "`jira-relay check --rights operator` names the right" in reason
    assert ".." not in reason


async def test_create_is_needed_for_missing_topics_alone(authorizing_kafka, administrator):
    """Without Create, an operator's check passes while all topics exist, and names Create where they are missing."""
    rights = required_rights(Role.OPERATOR, TOPICS, DESTINATIONS)
    other = [
        Right(right.kind, right.name.replace("rights.", "absent."), right.operation, right.prefixed)
        for right in rights
    ]
    granted = [right for right in (*rights, *other) if right.operation != "Create"]
    await authorizing_kafka.grant_only(grants_of(granted))

    assert (await check_one(connect(authorizing_kafka), Role.OPERATOR)).state == "ok"
    fresh = await check_one(connect(authorizing_kafka, topic_prefix="absent"), Role.OPERATOR)
    assert fresh.message.startswith(f"User:{USER} lacks Create on topics with the prefix absent.. Run `")
    assert "--operation Create --topic absent. --resource-pattern-type prefixed`" in fresh.message
    assert {report.state for report in await compare_topics(administrator)} == {"correct"}


@pytest.mark.parametrize("lacking", [None, "Read", "Write", "DescribeConfigs"])
@pytest.mark.usefixtures("administrator")
async def test_the_rights_on_missing_topics_are_known_before_they_are_created(authorizing_kafka, lacking):
    """A right that is missing is named, and the question about it creates no topic."""
    prefixed = [
        Grant("topic", "fresh.", name, prefixed=True)
        for name in ("Create", "Read", "Write", "DescribeConfigs")
        if name != lacking
    ]
    others = [
        Grant("group", "fresh.", "Read", prefixed=True),
        Grant("transactional-id", "fresh.", "Write", prefixed=True),
    ]
    await authorizing_kafka.grant_only([*prefixed, *others])
    connection = connect(authorizing_kafka, topic_prefix="fresh")
    result = await check_one(connection, Role.PRODUCER)

    assert result.state == ("ok" if lacking is None else "failed")
    assert lacking is None or f"lacks {lacking} on topics" in result.message
    assert {report.state for report in await compare_topics(connection)} == {"missing"}


@pytest.mark.usefixtures("administrator")
async def test_hidden_topics_are_not_called_missing_nor_right(authorizing_kafka):
    """Topics without Describe are not visible, those without DescribeConfigs not known, and nothing is created beside them."""
    await authorizing_kafka.grant_only(
        [Grant("topic", TOPICS.events, "Read"), Grant("topic", TOPICS.prefix, "Create", prefixed=True)]
    )
    connection = connect(authorizing_kafka)
    reports = {report.name: report for report in await compare_topics(connection)}

    assert (reports[TOPICS.events].state, reports[TOPICS.status].state) == ("not known", "not visible")
    assert "DescribeConfigs" in reports[TOPICS.events].problems[0]
    assert "not visible to this user" in reports[TOPICS.status].problems[0]
    for attempt in (read_shard_count(connection), create_missing_topics(connection), _partitions(connection)):
        with pytest.raises(Exception, match="not visible to this user"):
            await attempt


async def _partitions(connection):
    async with standalone_consumer(connection) as consumer:
        return await partitions_of(consumer, TOPICS.organizations)


async def test_reading_the_rights_changes_nothing(kafka, prefix):
    """A transaction that is open while the rights are read commits, and neither a group nor a topic is created."""
    connection = connection_to(kafka, prefix, shards=1)
    await create_missing_topics(connection)
    names, group, transactional_id = (
        (*Topics(prefix).all, f"{prefix}.nothing"),
        f"{prefix}.producer",
        f"{prefix}.0",
    )
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": transactional_id})
    await asyncio.to_thread(producer.init_transactions, 60)
    producer.begin_transaction()
    producer.produce(Topics(prefix).events, b"1", partition=0)
    await asyncio.to_thread(producer.flush, 60)

    for _ in range(2):
        rights = await read_rights(connection, names, [group], [transactional_id])
        assert rights.missing == {f"{prefix}.nothing"}
        assert rights.operations[f"{prefix}.nothing"] == {"Describe", "Read", "Write", "DescribeConfigs"}
        assert (rights.groups, rights.transactional_ids) == ({group: True}, {transactional_id: True})
    await asyncio.to_thread(producer.commit_transaction, 60)
    listed = await asyncio.to_thread(
        AdminClient({"bootstrap.servers": kafka.bootstrap}).list_consumer_groups().result, 20
    )
    assert group not in {one.group_id for one in listed.valid}


@pytest.mark.parametrize(
    ("settings", "principal"),
    [
        ({}, "User:ANONYMOUS"),
        (
            {
                "sasl_username": "relay",
                "sasl_mechanism": "PLAIN",
                "sasl_password": "p",
                "security_protocol": "SASL_PLAINTEXT",
            },
            "User:relay",
        ),
        (
            {
                "sasl_mechanism": "OAUTHBEARER",
                "oauth_credential": "managed-identity",
                "security_protocol": "SASL_SSL",
            },
            None,
        ),
    ],
)
def test_the_user_is_named_as_kafka_names_it(settings, principal):
    """The principal is the user of the login, anonymous without one, and not known of a token."""
    assert principal_of(KafkaConfig(bootstrap="127.0.0.1:1", **settings)) == principal


def test_the_subject_of_a_certificate_is_the_user(tmp_path):
    """With a client certificate, the principal is its subject."""
    issued = CertificateAuthority(tmp_path, "authority").issue("ours", ())
    config = KafkaConfig(
        bootstrap="127.0.0.1:1",
        security_protocol="SSL",
        certificate_file=issued.certificate,
        key_file=issued.key,
    )
    assert principal_of(config) == "User:CN=ours"


def test_rights_that_are_lacking_alike_share_a_command():
    """Topics that lack the same operations are one entry, and a user that only its token names is a placeholder."""
    missing = [
        *(Right("topic", name, operation) for name in ("a", "b") for operation in ("Read", "Write")),
        Right("group", "g", "Read"),
    ]
    assert describe_missing(missing, None, "k:9092") == (
        "The relay's user lacks Read and Write on topics a, b; Read on group g. Run `kafka-acls.sh --bootstrap-server k:9092 --add"
        " --allow-principal User:USER --operation Read --operation Write --topic a --topic b` and `kafka-acls.sh"
        " --bootstrap-server k:9092 --add --allow-principal User:USER --operation Read --group g`."
    )


async def test_event_hubs_has_no_rights_of_kafka():
    """With the profile event-hubs, the rights are not known, and nothing is asked for."""
    connection = Connection(KafkaConfig(bootstrap="127.0.0.1:1", profile="event-hubs"))
    results = await check_rights(connection, list(Role), DESTINATIONS)
    assert [result.state for result in results] == ["unknown"] * 3
