"""What the view makes of faults, without a Kafka."""

import asyncio

import pytest

from management.live_view import LiveView
from relay.config.kafka import KafkaConfig
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import CorruptBatchError
from relay.timestamps import now_ms


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
