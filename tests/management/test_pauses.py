"""Pauses that an operator sets while a part of Kafka fails."""

from types import SimpleNamespace

import pytest

from consumer.targets.store import UnreadablePauseError
from management import destinations
from management.destinations import set_paused
from relay.kafka.producer import TopicWriteError


class Store:
    """The pauses in memory, or the error that reading them raises."""

    def __init__(self, error=None):
        self.error = error
        self.states = []

    async def read_pauses(self, _names):
        if self.error is not None:
            raise self.error
        return {}

    async def write_state(self, name, state, pause):
        self.states.append((name, state, pause.who))


async def verify():
    pass


CONNECTION = SimpleNamespace(kafka=SimpleNamespace(topic_prefix="p"), bootstrap="b", verify=verify)


async def pause(monkeypatch, store, record_change, *, paused=True):
    monkeypatch.setattr(destinations, "ClaimStore", lambda *_: store)
    monkeypatch.setattr(destinations, "record_change", record_change)
    return await set_paused(CONNECTION, {"soc": None}, "soc", "ann@host", 1, paused=paused)


async def recorded(_connection, _change):
    pass


async def refused(_connection, _change):
    raise TopicWriteError("Kafka refused p.changes.")


async def test_a_pause_counts_though_its_entry_in_the_history_is_refused(monkeypatch):
    """An error alone would say that nothing is paused."""
    store = Store()
    result = await pause(monkeypatch, store, refused)
    assert result.changed
    assert "soc is paused, but the history of changes does not show it" in result.failure
    assert store.states == [("soc", "paused", "ann@host")]


@pytest.mark.parametrize(("paused", "state"), [(True, "paused"), (False, "running")])
async def test_a_record_that_cannot_be_read_is_replaced(monkeypatch, paused, state):
    store = Store(UnreadablePauseError("a later release"))
    assert (await pause(monkeypatch, store, recorded, paused=paused)).changed
    assert store.states == [("soc", state, "ann@host")]
