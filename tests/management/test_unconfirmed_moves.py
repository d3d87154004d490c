"""Moves of offsets whose answer is lost, or which Kafka refuses."""

from collections import Counter
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiokafka.errors import GroupAuthorizationFailedError

from consumer.offsets.delivered import DeliveryProgress
from management import destination_offsets
from management.destination_offsets import MoveCounts, PlannedMove, move
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
    before = DeliveryProgress.starting_at(20)
    committed = {TP: before.to_offset_and_metadata()}

    class Group:
        async def read(self):
            return SimpleNamespace(committed=committed)

        async def commit(self, _offsets):
            raise error

    @asynccontextmanager
    async def open_group(*_):
        yield Group()

    monkeypatch.setattr(destination_offsets, "open_group", open_group)
    moves = [plan_move("rewind", TP, before, 10)]
    counts = MoveCounts(10, Counter(acme=10))
    planned = PlannedMove("soc", "live", "g", "t", "rewind", moves, committed, counts, [])
    with pytest.raises(RelayError, match=words):
        await move(CONNECTION, planned, "ann@host", 1)
