"""The view that follows the topics, on a real Kafka."""

import pytest

from consumer.targets.store import ClaimStore
from consumer.targets.target import Pause
from management.live_view import LiveView
from management.organizations.commands import delete, set_state
from management.organizations.editor import edit_organization
from relay.config.kafka import KafkaConfig
from relay.kafka.connection import Connection
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.timestamps import now_ms
from tests.support.kafka import connection_to
from tests.support.organizations import put_status
from tests.support.views import organization


@pytest.fixture
async def connection(kafka, prefix):
    connection = connection_to(kafka, prefix, shards=2)
    await create_missing_topics(connection)
    return connection


async def add(connection, name):
    await edit_organization(
        connection, name, lambda _: organization(name), action="added", author="anna", now_ms=now_ms()
    )


async def test_the_view_follows_each_topic(connection):
    """Each look shows what was added, changed and deleted since the one before."""
    view = LiveView(connection, ["soc"], now_ms)
    topics = Topics(connection.kafka.topic_prefix)
    await view.refresh()
    assert (view.snapshot.failure, dict(view.snapshot.organizations.organizations)) == (None, {})
    assert view.snapshot.as_of is not None

    await add(connection, "acme")
    await put_status(connection, "acme", "failing", "the key is wrong")
    await ClaimStore(connection, topics.destinations).write_state("soc", "paused", Pause(5, "anna"))
    await view.refresh()
    assert set(view.snapshot.organizations.organizations) == {"acme"}
    assert view.snapshot.statuses["producer/acme"].reason == "the key is wrong"
    assert view.snapshot.pauses == {"soc": Pause(5, "anna")}

    await set_state(connection, "acme", "paused", author="anna", now_ms=now_ms())
    await ClaimStore(connection, topics.destinations).write_state("soc", "running", Pause(6, "anna"))
    await add(connection, "beta")
    await view.refresh()
    assert view.snapshot.organizations.organizations["acme"].paused
    assert "beta" in view.snapshot.organizations.organizations
    assert view.snapshot.pauses == {}

    await delete(connection, "acme", author="anna", now_ms=now_ms())
    await view.refresh()
    assert set(view.snapshot.organizations.organizations) == {"beta"}
    assert view.snapshot.statuses["producer/acme"].state == "failing"
    await view.close()


async def test_an_unreadable_record_hides_no_other(connection):
    """A record that nobody can read is named, and the others are shown."""
    topics = Topics(connection.kafka.topic_prefix)
    await add(connection, "acme")
    async with RecordWriter(connection) as writer:
        await writer.send(topics.organizations, b"broken", b"\xff\xff")
        await writer.send(topics.status, b"producer/broken", b"\xff\xff")
        await writer.send(topics.destinations, b"soc.state", b"\xff\xff")
    view = LiveView(connection, ["soc"], now_ms)
    await view.refresh()

    assert set(view.snapshot.organizations.organizations) == {"acme"}
    assert "broken" in dict(view.snapshot.organizations.problems)
    assert view.snapshot.statuses == {}
    assert "soc" in view.snapshot.problems[0]
    await view.close()


async def test_without_kafka_the_last_state_stays_and_the_cause_is_named(connection):
    """A failed look changes nothing but the failure, which keeps its beginning; the next good look ends it."""
    times = iter(range(1_000, 100_000, 1_000))
    view = LiveView(connection, [], lambda: next(times))
    await add(connection, "acme")
    await view.refresh()
    reachable = view._tables._connection
    await view.close()
    view._tables._connection = Connection(KafkaConfig(bootstrap="127.0.0.1:1"))
    await view.refresh()
    await view.refresh()

    assert "127.0.0.1:1" in view.snapshot.failure
    assert (view.snapshot.failing_since, view.snapshot.as_of) == (2_000, 1_000)
    assert set(view.snapshot.organizations.organizations) == {"acme"}

    view._tables._connection = reachable
    await add(connection, "beta")
    await view.refresh()
    assert (view.snapshot.failure, view.snapshot.failing_since) == (None, None)
    assert set(view.snapshot.organizations.organizations) == {"acme", "beta"}
    await view.close()
