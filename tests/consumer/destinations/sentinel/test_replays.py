"""Rows of a replay at simulated Azure: the rule and the tables keep what tells them."""

from contextlib import asynccontextmanager

import pytest

from consumer.destinations.outcome import Sent
from consumer.destinations.sentinel import SENTINEL
from consumer.destinations.sentinel_asim import SENTINEL_ASIM
from simulators.azure.rule import SilentLosses
from simulators.azure.world import ASIM, ASIM_HISTORY, HISTORY, LIVE, AzureWorld
from tests.contracts.destination_case import body_of
from tests.support.messages import event

ID = "20261130-071500-ab12"


@asynccontextmanager
async def opened(azure, kind, monkeypatch):
    for name, value in azure.environment().items():
        monkeypatch.setenv(name, value)
    (name,) = kind.config.model_fields["kind"].examples
    config = kind.config(
        kind=name, endpoint=azure.endpoint, rule_id=azure.rule_id, credential="managed-identity"
    )
    async with kind.open("target", config, 20.0) as flows:
        yield flows


@pytest.mark.parametrize(
    ("kind", "live", "history"),
    [(SENTINEL, LIVE, HISTORY), (SENTINEL_ASIM, ASIM, ASIM_HISTORY)],
    ids=["sentinel", "sentinel-asim"],
)
async def test_azure_stores_the_mark_of_a_replay(kind, live, history, monkeypatch):
    """Azure drops an undeclared column behind a 204; both streams and both tables have that of the id."""

    def marks(table):
        rows = azure.rows(table)
        if kind is SENTINEL:
            return [(row["EventMode"], row.get("ReplayId")) for row in rows]
        return [(row["AdditionalFields"]["mode"], row["AdditionalFields"].get("replay_id")) for row in rows]

    async with (
        AzureWorld(parameters={"asim": True}) as azure,
        opened(azure, kind, monkeypatch) as flows,
    ):
        for flow, replay, keep_mode in (("live", None, True), ("live", ID, True), ("history", ID, False)):
            body = body_of(flows[flow], [event(1)], replay, keep_mode=keep_mode)
            assert await flows[flow].send(body) == Sent()
        assert marks(live) == [("live", None), ("live", ID)]
        assert marks(history) == [("replay", ID)]
        assert azure.losses == SilentLosses()
