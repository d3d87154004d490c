"""Edits of organizations: committed with their history, and fenced against other editors."""

import asyncio
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaConnectionError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
)

from management.organizations.commands import delete
from management.organizations.editor import StaleEditError, edit_organization
from management.organizations.store import (
    StoredOrganizations,
    kafka_errors_as_relay_errors,
    read_organizations,
    read_store,
    require_existing,
)
from relay.config.kafka import KafkaConfig
from relay.errors import RelayError
from relay.kafka import KafkaError, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import create_missing_topics, read_shard_count
from relay.kafka.topics import Topics, partition_of
from relay.organizations import Organization, OrganizationCodec
from tests.support.kafka import connection_to
from tests.support.organizations import read_change_log
from tests.support.raw_batches import stored_batch, with_bad_header_name, write_batch
from tests.support.topics import alter_topic

NOW = 1_790_000_000_000


@pytest.fixture
async def connection(kafka, prefix):
    connection = connection_to(kafka, prefix, shards=4)
    await create_missing_topics(connection)
    return connection


async def put_organization(connection, name, **options):
    new = Organization(name, f"https://{name}", "relay", added=NOW, modified=NOW, revision=0)
    return await edit_organization(
        connection, name, lambda _: new, action="added", author="test", now_ms=NOW, **options
    )


async def test_concurrent_editors_all_succeed(connection):
    """Editors of one partition fence one another and try again, and each change is committed once, with its history."""
    names = [f"org{number}" for number in range(3)]
    await asyncio.gather(*(put_organization(connection, name) for name in names))

    assert sorted(await read_organizations(connection)) == names
    assert len(await read_change_log(connection)) == len(names)


async def test_a_stale_edit_is_refused(connection):
    """An edit that is based on an older revision changes nothing."""
    first = await put_organization(connection, "acme")
    await put_organization(connection, "acme", etag=first.etag)

    with pytest.raises(StaleEditError, match="Another operator changed acme"):
        await put_organization(connection, "acme", etag=first.etag)
    assert (await read_organizations(connection))["acme"].revision == 2


@pytest.mark.parametrize(
    ("name", "kept"), [("organizations", {"cleanup_policy": "compact"}), ("changes", {"retention_ms": "-1"})]
)
async def test_an_edit_that_a_topic_refuses_for_its_size_changes_nothing(connection, name, kept):
    """The error names the topic, and says that nothing was changed; the same edit works once the topic is mended."""
    topic = getattr(Topics(connection.kafka.topic_prefix), name)
    await alter_topic(connection, topic, max_message_bytes="100", **kept)
    with pytest.raises(RelayError, match=rf"^acme was not changed\. .*{topic} accepts no batch of that size"):
        await put_organization(connection, "acme")
    assert await read_organizations(connection) == {}
    await alter_topic(connection, topic, max_message_bytes="5000000", **kept)
    await put_organization(connection, "acme")
    assert len(await read_change_log(connection)) == 1


async def test_an_edit_that_kafka_refuses_before_its_commit_changed_nothing(connection, monkeypatch):
    """A missing topic, and a producer that Kafka does not start, leave nothing behind: the outcome is known."""
    await put_organization(connection, "acme")
    for call, error, text in (
        ("send_batch", UnknownTopicOrPartitionError, r"^acme was not changed\. Kafka rejected"),
        ("start", TransactionalIdAuthorizationFailed, r"^acme was not changed, because .* lacks a right"),
        ("start", KafkaConnectionError, r"^acme was not changed\. Kafka did not start"),
        ("commit_transaction", KafkaConnectionError, "^The outcome of the change of acme is unknown"),
    ):

        async def refuse(*_arguments, _error=error, **_options):
            raise _error

        with monkeypatch.context() as patched:
            patched.setattr(AIOKafkaProducer, call, refuse)
            with pytest.raises(RelayError, match=text):
                await put_organization(connection, "acme")
    assert (await read_organizations(connection))["acme"].revision == 1


async def test_an_edit_that_raises_changes_nothing(connection):
    """An edit whose function raises changes nothing and has no entry in the history."""
    with pytest.raises(RelayError, match="The organization nobody does not exist"):
        await edit_organization(
            connection,
            "nobody",
            lambda before: replace(require_existing(before, "nobody"), state="paused"),
            action="paused",
            author="test",
            now_ms=NOW,
        )
    assert await read_organizations(connection) == {}
    assert await read_change_log(connection) == []


async def test_an_unreadable_record_does_not_stop_the_others(connection):
    """An unreadable record is reported, the other organizations can be listed and changed, and it can be deleted."""
    async with RecordWriter(connection) as writer:
        topic = Topics(connection.kafka.topic_prefix).organizations
        for key in (b"odd", b"\xff"):
            await writer.send(topic, key, b"\x00garbage")
    await put_organization(connection, "acme")
    found = await read_store(connection)

    assert sorted(found.organizations) == ["acme"]
    assert sorted(found.unreadable) == ["odd"]
    assert sorted(found.misplaced) == ["\\xff"]
    with pytest.raises(RelayError, match="organizations delete odd"):
        await put_organization(connection, "odd")
    for name in ("odd", "\\xff"):
        await delete(connection, name, author="test", now_ms=NOW)
    await put_organization(connection, "odd")
    assert sorted(await read_organizations(connection)) == ["acme", "odd"]
    assert (await read_store(connection)).problems == []


async def test_a_misplaced_record_hides_no_organization(connection):
    """A record or a tombstone with an organization's name in another partition is reported and ignored."""
    topic = Topics(connection.kafka.topic_prefix).organizations
    polled = await put_organization(connection, "acme")
    async with RecordWriter(connection) as writer:
        shards = await read_shard_count(connection)
        away = [number for number in range(shards) if number != partition_of("acme", shards)]
        for number in away[:-1]:
            await writer.send(topic, b"acme", b"garbage", partition=number)
        await writer.send(topic, b"acme", None, partition=away[-1])
        await writer.send(topic, b"", b"garbage", partition=away[0])
    found = await read_store(connection)

    assert found.organizations == {"acme": polled}
    (nameless, problem), (acme, remark) = found.problems
    assert (nameless, acme) == ("", "acme")
    assert "delete ''" in problem
    assert "polled as before" in remark
    await delete(connection, "", author="test", now_ms=NOW)
    await delete(connection, "acme", author="test", now_ms=NOW)
    assert await read_store(connection) == StoredOrganizations({}, {}, {})


async def test_a_batch_that_cannot_be_read_is_named_and_the_rest_is_shown(connection):
    """`organizations list` and `check` show the other organizations; an edit of the partition says what to do."""
    topic = Topics(connection.kafka.topic_prefix).organizations
    await put_organization(connection, "acme")
    tp = TopicPartition(topic, partition_of("acme", await read_shard_count(connection)))
    assert await write_batch(connection, tp, with_bad_header_name(stored_batch(0, [b"x"], key=b"acme"))) == 0
    found = await read_store(connection)

    assert sorted(found.organizations) == ["acme"]
    ((place, problem),) = found.problems
    assert place.startswith(f"partition {tp.partition}, ")
    assert "kafka-delete-records.sh" in problem
    with pytest.raises(RelayError, match=f"partition {tp.partition}, cannot be read"):
        await put_organization(connection, "acme")


async def test_an_organization_under_the_key_of_another_is_unreadable(connection):
    """A record whose value names another organization than its key is unreadable."""
    copied = OrganizationCodec().encode(await put_organization(connection, "acme"))
    async with RecordWriter(connection) as writer:
        await writer.send(Topics(connection.kafka.topic_prefix).organizations, b"other", copied)

    assert "holds 'acme'" in (await read_store(connection)).unreadable["other"]


async def test_an_unreachable_kafka_is_a_relay_error():
    """Without Kafka, reading and editing raise a RelayError within seconds."""
    away = Connection(KafkaConfig(bootstrap="127.0.0.1:1", replication_factor=1))
    async with asyncio.timeout(60):
        for attempt in (read_organizations(away), put_organization(away, "acme")):
            with pytest.raises(RelayError, match=r"127\.0\.0\.1:1"):
                await attempt


@pytest.mark.parametrize(
    "error", [KafkaError("no code"), KafkaConnectionError("gone"), TimeoutError(), OSError(29, "x")]
)
async def test_any_error_of_kafkas_client_is_a_relay_error(error):
    """An error without a code, and one whose number means something else, is not a missing right."""
    connection = Connection(KafkaConfig(bootstrap="127.0.0.1:1", replication_factor=1))
    with (
        pytest.raises(RelayError, match=r"127\.0\.0\.1:1 failed"),
        kafka_errors_as_relay_errors(connection),
    ):
        raise error
