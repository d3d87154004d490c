"""Changes to organizations, each together with its history, whoever else is changing."""

import asyncio
from dataclasses import replace

import pytest

from management.organizations.commands import delete
from management.organizations.editor import StaleEditError, edit_organization
from management.organizations.store import (
    StoredOrganizations,
    read_organizations,
    read_store,
    require_existing,
)
from relay.config.kafka import KafkaConfig
from relay.errors import RelayError
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import read_to_end, stable_bounds, standalone_consumer
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import create_missing_topics, read_shard_count
from relay.kafka.topics import Topics, partition_of
from relay.organizations import Organization, OrganizationCodec

NOW = 1_790_000_000_000


@pytest.fixture
async def connection(kafka, prefix):
    settings = KafkaConfig(bootstrap=kafka.bootstrap, topic_prefix=prefix, replication_factor=1, shards=4)
    connection = Connection(settings)
    await create_missing_topics(connection)
    return connection


async def put_organization(connection, name, **options):
    new = Organization(name, f"https://{name}", "relay", added=NOW, modified=NOW, revision=0)
    return await edit_organization(
        connection, name, lambda _: new, what="added", who="test", now_ms=NOW, **options
    )


async def count_changes(connection):
    tp, records = TopicPartition(Topics(connection.kafka.topic_prefix).changes, 0), []
    async with standalone_consumer(connection) as reader:
        end = (await stable_bounds(reader, [tp]))[tp].last_stable_offset
        await read_to_end(reader, {tp: 0}, {tp: end}, records.append)
    return len(records)


async def test_editors_at_the_same_time_all_get_through(connection):
    """Editors of one shard fence one another; each tries again, and every change is there once, with its history."""
    names = [f"org{number}" for number in range(3)]
    await asyncio.gather(*(put_organization(connection, name) for name in names))

    assert sorted(await read_organizations(connection)) == names
    assert await count_changes(connection) == len(names)


async def test_a_stale_edit_is_refused(connection):
    """A change that is based on an older revision does nothing."""
    first = await put_organization(connection, "acme")
    await put_organization(connection, "acme", revision=first.revision)

    with pytest.raises(StaleEditError, match="somebody else"):
        await put_organization(connection, "acme", revision=first.revision)
    assert (await read_organizations(connection))["acme"].revision == 2


async def test_what_a_change_raises_leaves_everything_as_it_was(connection):
    """An edit that is refused from inside changes nothing and is not in the history."""
    with pytest.raises(RelayError, match="There is no organization"):
        await edit_organization(
            connection,
            "nobody",
            lambda before: replace(require_existing(before, "nobody"), state="paused"),
            what="paused",
            who="test",
            now_ms=NOW,
        )
    assert await read_organizations(connection) == {}
    assert await count_changes(connection) == 0


async def test_what_cannot_be_read_holds_up_no_other(connection):
    """Garbage on the topic is named and left alone; others are listed and changed beside it; it can be deleted."""
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
        await delete(connection, name, who="test", now_ms=NOW)
    await put_organization(connection, "odd")
    assert sorted(await read_organizations(connection)) == ["acme", "odd"]
    assert (await read_store(connection)).problems == []


async def test_what_stands_in_a_partition_of_others_hides_nothing(connection):
    """Garbage or a deletion under a name of ours, in a partition where that name has no place, is told of and counts for nothing."""
    topic = Topics(connection.kafka.topic_prefix).organizations
    followed = await put_organization(connection, "acme")
    async with RecordWriter(connection) as writer:
        shards = await read_shard_count(connection)
        away = [number for number in range(shards) if number != partition_of("acme", shards)]
        for number in away[:-1]:
            await writer.send(topic, b"acme", b"garbage", partition=number)
        await writer.send(topic, b"acme", None, partition=away[-1])
        await writer.send(topic, b"", b"garbage", partition=away[0])
    found = await read_store(connection)

    assert found.organizations == {"acme": followed}
    (nameless, complaint), (acme, told) = found.problems
    assert (nameless, acme) == ("", "acme")
    assert "delete ''" in complaint
    assert "followed as before" in told
    await delete(connection, "", who="test", now_ms=NOW)
    await delete(connection, "acme", who="test", now_ms=NOW)
    assert await read_store(connection) == StoredOrganizations({}, {}, {})


async def test_an_organization_under_the_name_of_another_is_none(connection):
    """A value whose name is not its key is not believed."""
    copied = OrganizationCodec().encode(await put_organization(connection, "acme"))
    async with RecordWriter(connection) as writer:
        await writer.send(Topics(connection.kafka.topic_prefix).organizations, b"other", copied)

    assert "holds 'acme'" in (await read_store(connection)).unreadable["other"]


async def test_a_kafka_that_is_away_is_said_in_one_sentence():
    """No Kafka is a RelayError, soon."""
    away = Connection(KafkaConfig(bootstrap="127.0.0.1:1", replication_factor=1))
    async with asyncio.timeout(15):
        for attempt in (read_organizations(away), put_organization(away, "acme")):
            with pytest.raises(RelayError, match=r"127\.0\.0\.1:1"):
                await attempt
