"""What the view makes of faults, without a Kafka."""

import asyncio
from types import SimpleNamespace

import pytest

from management.live_view import LiveView
from relay.avro.codec import InternalCodec
from relay.config.kafka import KafkaConfig
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import CorruptBatchError
from relay.status.model import to_record
from relay.timestamps import now_ms
from tests.support.views import status


@pytest.fixture
def view():
    return LiveView(Connection(KafkaConfig(bootstrap="127.0.0.1:1")), ["soc"], now_ms)


async def test_a_cancellation_by_aiokafka_is_a_failure_and_no_end(view, monkeypatch):
    """aiokafka cancels its callers at times though nobody asked: the view goes on, and names it."""

    async def cancelled():
        raise asyncio.CancelledError

    monkeypatch.setattr(view._tables, "refresh", cancelled)
    await view.refresh()

    assert "127.0.0.1:1" in view.snapshot.failure


async def test_a_requested_cancellation_ends_the_look(view, monkeypatch):
    """A stop of the process is not swallowed."""
    monkeypatch.setattr(view._tables, "refresh", asyncio.Event().wait)
    task = asyncio.create_task(view.refresh())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("topic", ["status", "destinations"])
async def test_a_corrupt_batch_is_named(view, monkeypatch, topic):
    """A pause, a lost range or a status may be in it, so the page must not say that all is well."""
    name = getattr(view._topics, topic)
    error = CorruptBatchError(TopicPartition(name, 0), 5, 9, "checksum")
    view._tables.table(name).corrupt_batches.extend([error, error])

    async def changed():
        return {name}

    monkeypatch.setattr(view._tables, "refresh", changed)
    await view.refresh()

    (problem,) = view.snapshot.problems
    assert name in problem
    assert "missing here" in problem


async def test_a_change_waits_for_a_slow_kafka_no_longer_than_it_is_given(view, monkeypatch):
    """The look goes on behind it, and further changes share the one that waits for its turn."""
    released, looks = asyncio.Event(), []

    async def slow():
        looks.append(1)
        await released.wait()
        return set()

    monkeypatch.setattr(view._tables, "refresh", slow)
    for _ in range(4):
        await view.refresh_within(0.01)
    assert view.snapshot.as_of is None
    released.set()
    await view.refresh_within(30)

    assert view.snapshot.as_of is not None
    assert len(looks) == 2  # the first look, and the one that all others share


async def test_the_end_of_the_view_ends_its_looks(view, monkeypatch):
    """A look that still waits for Kafka does not use tables that are closed, and none begins after the end."""
    monkeypatch.setattr(view._tables, "refresh", asyncio.Event().wait)
    await view.refresh_within(0.01)
    stop = asyncio.Event()
    stop.set()
    await view.run(stop)
    await view.refresh_within(0.01)

    assert not view._looks
    assert view._next_look is None


async def test_a_status_topic_that_was_made_again_is_decoded_again(view, monkeypatch):
    """Its offsets begin at zero, so a record may have the offset of one that is gone."""
    topic = view._topics.status

    async def changed():
        return {topic}

    monkeypatch.setattr(view._tables, "refresh", changed)
    for state in ("active", "failing"):
        value = InternalCodec("status").encode(to_record(status(state)))
        record = SimpleNamespace(topic=topic, partition=0, offset=7, key=b"producer/acme", value=value)
        view._tables.table(topic).partitions[0] = {b"producer/acme": record}
        await view.refresh()
        assert view.snapshot.statuses["producer/acme"].state == state
