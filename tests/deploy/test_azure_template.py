import json
import re
from itertools import product
from pathlib import Path

import pytest

from consumer.destinations.sentinel.rows import COLUMNS as ROW
from simulators.azure.arm import Deployment, load_template
from simulators.azure.rule import SYSTEM_COLUMNS, deploy_rule

FOLDER = Path(__file__).parents[2] / "deploy/azure"
LIVE, HISTORY = "Jira_Audit_v2_CL", "Jira_Audit_History_CL"
STREAMS = ["Custom-JiraAuditRelay", "Custom-JiraAuditRelayHistory"]


# Solutions/AtlassianJiraAudit in Azure/Azure-Sentinel: JiraAudit_tables.json at bbcca243, KqlvalidationsTests/CustomTables at 231fb830
MICROSOFT = {
    "TimeGenerated": "datetime",
    "EventId": "int",
    "AssociatedItems": "dynamic",
    "UserSid": "string",
    "UserName": "string",
    "EventCategoryType": "string",
    "ChangedValues": "dynamic",
    "EventCreationTime": "datetime",
    "EventSource": "string",
    "objectItem": "dynamic",
    "SrcIpAddr": "string",
    "EventMessage": "string",
    "EventVendor": "string",
    "EventProduct": "string",
    "ObjectItemId": "string",
    "ObjectItemName": "string",
    "ObjectItemTypeName": "string",
    "ObjectItemParentId": "string",
    "ObjectItemParentName": "string",
}

# The columns that Parsers/JiraAudit.yaml (c4414baf) projects, except SourceTable, which the union makes.
PARSER = [
    "TimeGenerated",
    "EventVendor",
    "EventProduct",
    "EventId",
    "EventMessage",
    "SrcIpAddr",
    "UserName",
    "UserSid",
    "EventCreationTime",
    "EventSource",
    "ObjectItemId",
    "ObjectItemName",
    "ObjectItemTypeName",
    "ChangedValues",
    "AssociatedItems",
    "ObjectItemParentId",
    "ObjectItemParentName",
    "EventCategoryType",
]


def deployment(**parameters):
    given = {"workspaceName": "sentinel", "principalId": "someone", **parameters}
    return Deployment(load_template(), given)


def resource(kind, **parameters):
    (found,) = [entry for entry in deployment(**parameters).resources() if entry.type.endswith(kind)]
    return found


def tables(**parameters):
    return {name: table.columns for name, table in deploy_rule(deployment(**parameters), {}).tables().items()}


def test_the_simulator_deploys_this_template():
    """The simulator loads the template that an operator deploys."""
    assert load_template() == json.loads((FOLDER / "azuredeploy.json").read_text())


def test_the_streams_declare_the_row_contract():
    """The streams declare every column of a row with its type, since Azure drops an undeclared one behind a 204."""
    declared = resource("dataCollectionRules").body["properties"]["streamDeclarations"]
    assert list(declared) == STREAMS
    for stream in declared.values():
        assert {column["name"]: column["type"] for column in stream["columns"]} == ROW
        assert len(stream["columns"]) == len(ROW)


def test_the_tables_have_every_column_of_the_rows():
    """Both tables have every column, since Azure drops a missing one behind a 204."""
    whole = ROW | {"TimeGenerated": "datetime"}
    assert tables() == {LIVE: whole, HISTORY: whole}


def test_no_rule_of_microsoft_reads_history():
    """Backfill and replays go to a table that Microsoft's parser does not unite (Parsers/JiraAudit.yaml), so they raise no alarm."""
    flows = resource("dataCollectionRules").body["properties"]["dataFlows"]
    outputs = {flow["streams"][0]: flow["outputStream"].removeprefix("Custom-") for flow in flows}
    assert outputs == {STREAMS[0]: LIVE, STREAMS[1]: HISTORY}
    assert HISTORY not in {"Jira_Audit_CL", "Jira_Audit_v2_CL"}


def test_microsofts_columns_have_microsofts_types():
    """Types equal those of Microsoft's table, except EventId, which is long unless the operator chooses int."""
    live = tables()[LIVE]
    assert {name: live[name] for name in MICROSOFT} == MICROSOFT | {"EventId": "long"}
    assert tables(liveEventIdType="int")[LIVE].items() >= MICROSOFT.items()
    assert set(PARSER) <= live.keys()


@pytest.mark.parametrize(
    ("event_id", "object_item"), list(product(("long", "int"), ("string", "dynamic"))), ids=str
)
def test_every_choice_of_types_deploys(event_id, object_item):
    """With each choice, the rule deploys to a new table and to an existing one of these types."""
    choice = {"liveEventIdType": event_id, "liveObjectItemType": object_item}
    columns = tables(**choice)[LIVE]
    assert (columns["EventId"], columns["ObjectItemName"]) == (event_id, object_item)
    found = deploy_rule(deployment(createLiveTable=False, **choice), {LIVE: columns})
    assert found.flows[STREAMS[0]].table.columns == columns
    assert found.tables()[HISTORY].columns == tables()[HISTORY]


def test_columns_not_added_to_microsofts_table_are_lost():
    """The columns that deploy/azure/README.md tells to add are those that Microsoft's table drops."""
    found = deploy_rule(deployment(createLiveTable=False, liveEventIdType="int"), {LIVE: MICROSOFT})
    found.store(STREAMS[0], [dict.fromkeys(ROW)], "request", "now")
    lost = {name.removeprefix(f"{LIVE}.") for name in found.losses.dropped}
    assert lost == ROW.keys() - MICROSOFT.keys()
    (sentence,) = re.findall(r"Add the seven missing columns: ([^.]*)\.", readme())
    assert set(re.findall(r"`(\w+)`", sentence)) == lost


def test_the_readme_adds_the_columns_that_the_rule_fills():
    """The command replaces the table's columns, so it names every column and its type."""
    command = readme().split("table update", 1)[1].split("```", 1)[0]
    assert dict(re.findall(r"(\w+)=(\w+)", command)) == tables(liveEventIdType="int")[LIVE]


def test_the_limits_of_azure_are_kept():
    """Names and sizes are within the limits of the Logs Ingestion API and of data collection rules."""
    for columns in tables().values():
        assert all(re.fullmatch(r"[A-Za-z]\w{0,44}", name) for name in columns)
        assert not SYSTEM_COLUMNS & columns.keys()
        assert len(columns) <= 500
    properties = resource("dataCollectionRules").body["properties"]
    assert all(stream.startswith("Custom-") for stream in properties["streamDeclarations"])
    for flow in properties["dataFlows"]:
        assert flow["outputStream"].startswith("Custom-")
        assert flow["outputStream"].endswith("_CL")
        assert len(flow["transformKql"]) <= 15_360
        assert len(flow["streams"]) == 1
        assert flow["destinations"] == [properties["destinations"]["logAnalytics"][0]["name"]]


def test_the_rule_has_an_endpoint_of_its_own():
    """The rule is of kind Direct, which has an endpoint, and takes the endpoint of a private link if given."""
    assert resource("dataCollectionRules").body["kind"] == "Direct"
    assert resource("dataCollectionRules").body["properties"]["dataCollectionEndpointId"] is None
    behind = resource("dataCollectionRules", dataCollectionEndpointId="/an/endpoint")
    assert behind.body["properties"]["dataCollectionEndpointId"] == "/an/endpoint"


def test_the_errors_of_the_rule_are_logged():
    """A diagnostic setting sends the errors of the rule to the workspace."""
    setting = resource("diagnosticSettings")
    assert setting.scope == resource("dataCollectionRules").id
    assert setting.depends_on == {setting.scope}
    assert setting.body["properties"]["logs"] == [{"category": "LogErrors", "enabled": True}]
    assert setting.body["properties"]["workspaceId"].endswith("/workspaces/sentinel")


def test_the_role_is_given_on_the_rule_alone():
    """The principal gets Monitoring Metrics Publisher on the rule, and an empty principal gets no role."""
    role = resource("roleAssignments")
    assert role.scope == resource("dataCollectionRules").id
    assert role.depends_on == {role.scope}
    given = role.body["properties"]
    assert given["roleDefinitionId"].endswith("/3913510d-42f4-4e42-8a64-420c390055eb")
    assert (given["principalId"], given["principalType"]) == ("someone", "ServicePrincipal")
    kinds = {entry.type for entry in deployment(principalId="").resources()}
    assert "Microsoft.Authorization/roleAssignments" not in kinds


@pytest.mark.parametrize("private", [False, True])
def test_the_outputs_are_settings_of_the_relay(private):
    """The outputs are the endpoint, that of a private link if given, and the immutable id, as settings."""
    states = {
        resource("dataCollectionRules").id: {
            "immutableId": "dcr-1",
            "endpoints": {"logsIngestion": "https://rule"},
        },
        "/an/endpoint": {"logsIngestion": {"endpoint": "https://private"}},
    }
    given = {"workspaceName": "sentinel", "principalId": ""}
    given |= {"dataCollectionEndpointId": "/an/endpoint"} if private else {}
    endpoint = "https://private" if private else "https://rule"
    assert Deployment(load_template(), given, states).outputs() == {
        "endpoint": endpoint,
        "ruleId": "dcr-1",
        "settings": [
            f"RELAY_DESTINATIONS__SENTINEL__ENDPOINT={endpoint}",
            "RELAY_DESTINATIONS__SENTINEL__RULE_ID=dcr-1",
        ],
        "toml": ["[destinations.sentinel]", f'endpoint = "{endpoint}"', 'rule_id = "dcr-1"'],
    }


def test_every_parameter_is_explained():
    """Each parameter has a description in the template and a row in the README."""
    for name, parameter in load_template()["parameters"].items():
        assert parameter["metadata"]["description"]
        assert f"| `{name}` |" in readme()


def readme():
    return (FOLDER / "README.md").read_text(encoding="utf-8")
