"""The peers of a sandbox's destinations: what they compare, and the faults that they play."""

import copy
import json

import polars as pl
import pytest

from sandbox import expected
from sandbox.destinations import (
    elasticsearch,
    http,
    kafka,
    object_store,
    otlp,
    sentinel,
    sentinel_asim,
    splunk,
)
from sandbox.destinations.catalogue import PEERS

EVENT = {
    **expected.expected_event(
        {
            "id": 7,
            "created": "2026-11-23T09:00:00.000+0000",
            "summary": "Permission scheme changed",
            "remoteAddress": "203.0.113.9",
            "authorKey": "ada",
            "objectItem": {"id": "1", "name": "n", "typeName": "SCHEME"},
            "changedValues": [{"fieldName": "f", "changedFrom": "a", "changedTo": "b"}],
            "riskScore": 0.5,
        },
        "acme",
    ),
    "collected": 1_795_996_800_000,
    "mode": "live",
}
MAKERS = {
    sentinel: expected.sentinel_row,
    http: expected.native_row,
    kafka: expected.native_row,
    splunk: expected.native_row,
    object_store: expected.native_row,
    elasticsearch: elasticsearch.ecs_row,
    otlp: otlp.log_row,
    sentinel_asim: sentinel_asim.asim_row,
}
"""Module of a peer: the row that it expects of an event."""


@pytest.mark.parametrize("peer", MAKERS, ids=lambda peer: peer.__name__.rpartition(".")[2])
def test_a_changed_member_of_a_row_is_found(peer):
    """An unchanged row has no difference; a changed value of any member is reported under its name."""
    row = {name: value for name, value in MAKERS[peer](EVENT).items() if value is not None}
    (unmodeled,) = (name for name in row if name.lower().endswith("unmodeled"))
    row[unmodeled] = json.dumps(row[unmodeled])
    assert peer.compare_row(row, EVENT).differing == []
    for name in row:
        spoiled = copy.deepcopy(row)
        spoiled[name] = '{"x": 1}'
        assert peer.compare_row(spoiled, EVENT).differing == [name], name


@pytest.mark.parametrize("kind", PEERS)
async def test_a_fault_ends_when_it_is_cancelled_and_when_all_are_cleared(kind, tmp_path):
    """Both ways leave a peer that takes rows, also one after the other."""
    async with PEERS[kind](tmp_path / kind) as peer:
        fault, text = peer.refuse()
        assert text
        fault.cancel()
        peer.clear_faults()
        peer.refuse()
        peer.clear_faults()
        assert peer.rows(history=False) == peer.rows(history=True) == []


async def test_objects_are_read_once_also_while_their_directory_is_away(tmp_path):
    """Rows that were seen stay counted, in the order in which they were seen."""
    async with object_store.open_object_store(tmp_path / "lake") as peer:

        def write(name, number):
            folder = tmp_path / "lake" / "live"
            folder.mkdir(exist_ok=True)
            pl.DataFrame({"organization": ["acme"], "id": [number]}).write_parquet(folder / name)

        write("b.parquet", 1)
        assert [each.record_id for each in peer.rows(history=False)] == [1]
        fault, _ = peer.refuse()
        assert [each.record_id for each in peer.rows(history=False)] == [1]
        fault.cancel()
        write("a.parquet", 2)
        assert [each.record_id for each in peer.rows(history=False)] == [1, 2]
        assert [each.record_id for each in peer.rows(history=False, start=1)] == [2]
