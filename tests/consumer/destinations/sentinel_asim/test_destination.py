"""The kind at simulated Azure: what is stored, and the answers to an operator's mistakes."""

import json
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import ValidationError

from consumer.destinations.outcome import Paused, Reject, Sent
from consumer.destinations.sentinel import SENTINEL
from consumer.destinations.sentinel_asim import SENTINEL_ASIM
from simulators.azure import faults as azure_faults
from simulators.azure.rule import SilentLosses
from simulators.azure.world import ASIM, ASIM_HISTORY, AzureWorld
from tests.contracts.destination_case import body_of, encoded
from tests.support.messages import event, event_lists

ASKED = {"asim": True}


@asynccontextmanager
async def opened(azure, monkeypatch, **changes):
    """Yield the flows of a destination named asim."""
    for name, value in azure.environment().items():
        monkeypatch.setenv(name, value)
    config = SENTINEL_ASIM.config(
        **{
            "kind": "sentinel-asim",
            "endpoint": azure.endpoint,
            "rule_id": azure.rule_id,
            "credential": "managed-identity",
        }
        | changes
    )
    async with SENTINEL_ASIM.open("asim", config, 60.0) as flows:
        yield flows


@pytest.mark.parametrize(("flow", "table"), [("live", ASIM), ("history", ASIM_HISTORY)])
async def test_azure_stores_each_row_as_it_was_sent(flow, table, monkeypatch):
    """Nothing is dropped, nulled or truncated behind a 204, whatever an event holds."""
    async with AzureWorld(parameters=ASKED) as azure, opened(azure, monkeypatch) as flows:
        long = "é" * 70_000
        hostile = [
            event(2, created=2**62, collected=-(2**62), summary=long),
            event(3, associatedItems=[{**dict.fromkeys(("id", "typeName", "parentId", "parentName")), "name": long}] * 9),
            event(4, remoteAddress="10.0.0.1, 10.0.0.2", unmodeled="{", description="\x00", category=""),
        ]  # fmt: skip
        sent = [event(1), *hostile]
        assert await flows[flow].send(body_of(flows[flow], sent)) == Sent()
        rows = [json.loads(row) for row in encoded(flows[flow], sent)]
        stored = [{name: value for name, value in row.items() if value is not None} for row in azure.rows(table)]  # fmt: skip
        stamps = [row.pop("TimeGenerated") for row in stored]
        assert stored == rows
        assert all(stamps)
        assert azure.losses == SilentLosses()


async def test_no_generated_event_loses_a_value(monkeypatch):
    """The types and limits of the table hold every value that a record can have."""
    async with AzureWorld(parameters=ASKED) as azure, opened(azure, monkeypatch) as flows:
        rule = azure._rule

        @given(event_lists)
        @settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
        def store(events):
            rows = [json.loads(row) for row in encoded(flows["live"], events)]
            rule.store(azure.asim_stream, rows, "request", "2026-11-30T00:00:00.000Z")
            assert azure.losses == SilentLosses()

        store()


async def test_a_rule_without_the_streams_is_named(monkeypatch):
    """Check and status say which stream is missing, and how to deploy it; no event is lost meanwhile."""
    async with AzureWorld() as azure, opened(azure, monkeypatch) as flows:
        for flow, stream in (("live", azure.asim_stream), ("history", azure.asim_history_stream)):
            outcome = await flows[flow].probe()
            assert isinstance(outcome, Paused)
            assert f"with the stream {stream}" in outcome.reason
            assert outcome.reason.endswith("Deploy the template of deploy/azure with this stream, or check"
                " destinations.asim.endpoint, .rule_id, .stream and .history_stream.")  # fmt: skip


@pytest.mark.parametrize("setting", ["stream", "history_stream"])
def test_a_stream_of_the_other_kind_is_refused(setting):
    """Azure answers 204 to rows of other columns, and drops the columns: the settings refuse such a stream at the start."""
    base = {"endpoint": "https://a.ingest.monitor.azure.com", "rule_id": "dcr-" + 32 * "0"}
    for config, others in (
        (SENTINEL_ASIM.config, SENTINEL.config),
        (SENTINEL.config, SENTINEL_ASIM.config),
    ):
        (kind,) = config.model_fields["kind"].examples
        for name in ("stream", "history_stream"):
            foreign = others.model_fields[name].default
            with pytest.raises(ValidationError, match="drop their columns without an error"):
                config(kind=kind, **base, **{setting: foreign})
        own = config(kind=kind, **base, **{setting: "Custom-Audit"})
        assert getattr(own, setting) == "Custom-Audit"


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("", "Check the relay's role on the rule (Monitoring Metrics Publisher)"),
        (azure_faults.no_access_message("dcr-1"), "Give it the role Monitoring Metrics Publisher"),
        ("IsRbacPresent: True, IsDcrDceBindingValid: False", "own logs ingestion endpoint"),
        ("Access through the public network is not allowed.", "private link of the data collection endpoint"),
    ],
)
async def test_each_cause_of_a_403_has_its_remedy(message, remedy, monkeypatch):
    """The right, the endpoint and the network are distinguished, and the destination takes rows when the cause has gone."""
    async with AzureWorld(parameters=ASKED) as azure, opened(azure, monkeypatch) as flows:
        azure.fault(azure_faults.ingestion_error(403, "OperationFailed", message))
        outcome = await flows["live"].send(body_of(flows["live"], [event(1)]))
        assert isinstance(outcome, Paused)
        assert remedy in outcome.reason
        assert await flows["live"].probe() == Sent()


async def test_a_rejected_body_names_the_reason_of_azure(monkeypatch):
    """The API judges bodies, so the delivery halves one to find the row."""
    async with AzureWorld(parameters=ASKED) as azure, opened(azure, monkeypatch) as flows:
        azure.poison("acme.atlassian.net/2")
        whole = body_of(flows["live"], [event(number) for number in range(4)])
        outcome = await flows["live"].send(whole)
        assert isinstance(outcome, Reject)
        assert "InvalidData" in outcome.reason
        assert azure.accepted(ASIM) == 0
        assert await flows["live"].send(body_of(flows["live"], [event(1)])) == Sent()


def test_both_flows_of_a_rule_are_targets_of_their_own():
    """A changed stream of history concerns history alone; the credential is no part of a target."""
    base = {"kind": "sentinel-asim", "endpoint": "https://a.ingest.monitor.azure.com", "rule_id": "dcr-" + 32 * "0"}  # fmt: skip
    one = SENTINEL_ASIM.identity(SENTINEL_ASIM.config(**base))
    other = SENTINEL_ASIM.identity(
        SENTINEL_ASIM.config(**base, history_stream="Custom-Other", credential="azure-cli")
    )
    assert one["live"] == other["live"]
    assert one["history"] != other["history"]
