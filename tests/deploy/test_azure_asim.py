"""The part of the Azure template that the destination kind sentinel-asim needs."""

import re

import pytest

from consumer.destinations.sentinel_asim.config import SentinelAsimConfig
from consumer.destinations.sentinel_asim.rows import COLUMNS
from simulators.azure.arm import Deployment, DeploymentError, load_template
from simulators.azure.native_tables import NATIVE_TABLES
from simulators.azure.rule import SYSTEM_COLUMNS, deploy_rule

NATIVE, HISTORY = "ASimAuditEventLogs", "Jira_Audit_ASim_History_CL"
STREAMS = [SentinelAsimConfig.model_fields[name].default for name in ("stream", "history_stream")]
NOW = "2026-11-23T10:00:00.000Z"


def deployment(**parameters):
    return Deployment(
        load_template(), {"workspaceName": "sentinel", "principalId": "someone", "asim": True, **parameters}
    )


def rule(**parameters):
    (found,) = [
        entry
        for entry in deployment(**parameters).resources()
        if entry.type.endswith("dataCollectionRules")
    ]  # fmt: skip
    return found.body["properties"]


def test_the_streams_are_made_on_request():
    """Without the parameter the rule is as it was, and with it the streams of the kind sentinel are unchanged."""
    without, whole = rule(asim=False), rule()
    assert not set(STREAMS) & without["streamDeclarations"].keys()
    assert whole["streamDeclarations"].items() > without["streamDeclarations"].items()
    assert whole["dataFlows"][:2] == without["dataFlows"]
    assert not [each for each in deployment(asim=False).resources() if HISTORY in each.name]


def test_the_streams_declare_the_row_contract():
    """The streams declare every column of a row with its type, since Azure drops an undeclared one behind a 204."""
    for stream in STREAMS:
        columns = rule()["streamDeclarations"][stream]["columns"]
        assert {column["name"]: column["type"] for column in columns} == COLUMNS
        assert len(columns) == len(COLUMNS)


def test_the_native_table_has_every_column_with_its_type():
    """Azure drops a column that the native table does not have, and a template cannot add one to it."""
    assert NATIVE_TABLES[NATIVE].items() >= COLUMNS.items()
    assert len(COLUMNS) + 1 < len(NATIVE_TABLES[NATIVE])


def test_live_events_go_to_the_native_table_and_history_to_its_own():
    """No analytics rule takes an old event for a new one."""
    deployed = deploy_rule(deployment(), {})
    assert [deployed.flows[stream].table.name for stream in STREAMS] == [NATIVE, HISTORY]
    assert deployed.tables()[HISTORY].columns == COLUMNS | {"TimeGenerated": "datetime"}
    flows = {flow["streams"][0]: flow["outputStream"] for flow in rule()["dataFlows"]}
    assert [flows[stream] for stream in STREAMS] == [f"Microsoft-{NATIVE}", f"Custom-{HISTORY}"]


def test_history_may_go_to_the_native_table_on_request():
    """Both streams then fill one table, and no other is made."""
    deployed = deploy_rule(deployment(asimHistoryTable=NATIVE), {})
    assert [deployed.flows[stream].table.name for stream in STREAMS] == [NATIVE, NATIVE]
    assert HISTORY not in {each.name.rpartition("/")[2] for each in deployment(asimHistoryTable=NATIVE).resources()}  # fmt: skip


@pytest.mark.parametrize("history", [HISTORY, NATIVE])
def test_a_row_of_each_stream_is_stored_whole(history):
    """Each column of the stream reaches the table, and TimeGenerated is the time of arrival."""
    deployed = deploy_rule(deployment(asimHistoryTable=history), {})
    values = {"int": 1, "datetime": NOW, "string": "x", "dynamic": {"associatedItems": [{"name": "n"}]}}
    row = {name: values[kind] for name, kind in COLUMNS.items()}
    for stream in STREAMS:
        deployed.store(stream, [row], "request", NOW)
        stored = deployed.flows[stream].table.stored_rows[-1].row
        assert {name: value for name, value in stored.items() if value is not None} == row | {"TimeGenerated": NOW}  # fmt: skip
    assert (deployed.losses.dropped, deployed.losses.nulled) == ({}, {})


def test_the_limits_of_azure_are_kept():
    """Names and sizes are within the limits of data collection rules."""
    assert all(re.fullmatch(r"[A-Za-z]\w{0,44}", name) for name in (*COLUMNS, HISTORY))
    assert not SYSTEM_COLUMNS & COLUMNS.keys()
    properties = rule()
    assert len(properties["streamDeclarations"]) <= 10
    assert len(properties["dataFlows"]) <= 10
    assert all(len(flow["streams"]) == 1 for flow in properties["dataFlows"])


@pytest.mark.parametrize(
    "change",
    [
        {"outputStream": f"Custom-{NATIVE}"},
        {"outputStream": "Microsoft-Jira_Audit_History_CL"},
        {"outputStream": "Microsoft-ASimAuditEvents"},
        {"transformKql": "source"},
        {"transformKql": "source | extend TimeGenerated = now(), EventCount = tostring(EventCount)"},
    ],
    ids=str,
)
def test_the_simulator_refuses_a_flow_that_azure_refuses(change):
    """A native table has the prefix Microsoft- alone, needs TimeGenerated, and keeps the types of its columns."""
    text = load_template()
    text["variables"]["asimDataFlows"][0] |= change
    given = {"workspaceName": "sentinel", "principalId": "", "asim": True}
    with pytest.raises(DeploymentError):
        deploy_rule(Deployment(text, given), {})


def test_the_rule_waits_for_the_table_of_history():
    """Azure often refuses a rule whose table is made at the same time (InvalidOutputTable)."""
    text = load_template()
    (entry,) = [each for each in text["resources"] if each["type"].endswith("dataCollectionRules")]
    entry["dependsOn"] = [each for each in entry["dependsOn"] if HISTORY not in each]
    given = {"workspaceName": "sentinel", "principalId": ""}
    deploy_rule(Deployment(text, given), {})
    with pytest.raises(DeploymentError, match="InvalidOutputTable"):
        deploy_rule(Deployment(text, given | {"asim": True}), {})


def test_the_outputs_are_settings_of_the_kind():
    """The lines for relay.toml and the environment are there on request alone."""
    (entry,) = [each for each in deployment().resources() if each.type.endswith("dataCollectionRules")]
    states = {entry.id: {"immutableId": "dcr-1", "endpoints": {"logsIngestion": "https://rule"}}}
    given = {"workspaceName": "sentinel", "principalId": ""}
    without = Deployment(load_template(), given, states).outputs()
    outputs = Deployment(load_template(), given | {"asim": True}, states).outputs()
    assert outputs == without | {
        "asimSettings": [
            "RELAY_DESTINATIONS__ASIM__KIND=sentinel-asim",
            "RELAY_DESTINATIONS__ASIM__ENDPOINT=https://rule",
            "RELAY_DESTINATIONS__ASIM__RULE_ID=dcr-1",
        ],
        "asimToml": [
            "[destinations.asim]",
            'kind = "sentinel-asim"',
            'endpoint = "https://rule"',
            'rule_id = "dcr-1"',
        ],
    }
