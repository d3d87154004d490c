"""Moves of offsets whose answer is lost, or which Kafka refuses."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiokafka.errors import GroupAuthorizationFailedError

from consumer.offsets.delivered import DeliveryProgress
from management import destination_move
from management.destination_move import MoveCounts, PlannedMove, move
from management.offset_moves import plan_move
from relay.errors import RelayError
from relay.kafka import TopicPartition

TP = TopicPartition("t", 0)
CONNECTION = SimpleNamespace(bootstrap="b")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "It is not known whether the offsets of soc are set"),
        (OSError("connection reset"), "destinations offsets soc"),
        (GroupAuthorizationFailedError("g"), "check --rights operator"),
    ],
)
async def test_an_answer_that_is_lost_says_how_to_look(monkeypatch, error, words):
    """The offsets may be set. A refusal names the right instead."""

    async def commit(_offsets):
        raise error

    with pytest.raises(RelayError, match=words):
        await move(CONNECTION, planned_move(monkeypatch, commit), "ann@host", 1)


async def test_an_interrupt_between_the_offsets_and_their_record_waits_for_both(monkeypatch):
    """No move is without its record in the history of changes."""
    committing, answer, recorded = asyncio.Event(), asyncio.Event(), []

    async def commit(_offsets):
        committing.set()
        await answer.wait()

    async def record_change(_connection, change):
        await asyncio.sleep(0.01)
        recorded.append(change.what)

    monkeypatch.setattr(destination_move, "record_change", record_change)
    moving = asyncio.create_task(move(CONNECTION, planned_move(monkeypatch, commit), "ann@host", 1))
    await committing.wait()
    moving.cancel()
    asyncio.get_running_loop().call_later(0.05, answer.set)
    with pytest.raises(asyncio.CancelledError):
        await moving
    assert recorded == ["rewound"]


def planned_move(monkeypatch, commit):
    """Return a rewind of a group whose offsets `commit` sets."""
    before = DeliveryProgress.starting_at(20)
    committed = {TP: before.to_offset_and_metadata()}

    async def read():
        return SimpleNamespace(committed=committed)

    @asynccontextmanager
    async def open_group(*_):
        yield SimpleNamespace(read=read, commit=commit)

    monkeypatch.setattr(destination_move, "open_group", open_group)
    moves = [plan_move("rewind", TP, before, 10)]
    counts = MoveCounts(10, Counter(acme=10))
    return PlannedMove("soc", "live", "g", "t", "rewind", moves, committed, counts, [])
