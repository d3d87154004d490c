"""The template of the content for Microsoft Sentinel."""

import json
import re
from pathlib import Path

import pytest

from simulators.azure.arm import Deployment, DeploymentError
from tests.support import sentinel_template
from tests.support.audit_records import joined
from tests.support.azure_workspace import Workspace
from tests.support.sentinel_content import load


def deployed(**parameters):
    return Deployment(sentinel_template.build(), {"workspaceName": "sentinel", **parameters}).resources()


def of_type(kind, **parameters):
    return [each for each in deployed(**parameters) if each.type.endswith(kind)]


def test_the_template_is_made_of_the_files():
    """The template is `python -m tests.support.sentinel_template`, and no one edits it by hand."""
    assert sentinel_template.TEMPLATE.read_text("utf-8") == sentinel_template.text()


def test_each_rule_is_deployed_in_the_workspace():
    """Each rule is a scheduled rule of the workspace, with its query, and off where the operator wants so."""
    rules = of_type("alertRules")
    found = {each.body["properties"]["displayName"]: each for each in rules}
    assert found.keys() == {rule["name"] for rule in load("rules").values()}
    for rule in load("rules").values():
        resource = found[rule["name"]]
        assert (resource.name, resource.body["kind"]) == (rule["id"], "Scheduled")
        assert resource.scope.endswith("/workspaces/sentinel")
        properties = resource.body["properties"]
        assert (properties["query"], properties["enabled"]) == (rule["query"], True)
        assert re.fullmatch(r"PT\d+[HM]", properties["queryFrequency"])
        assert re.fullmatch(r"PT\d+[HM]|P\d+D", properties["queryPeriod"])
    assert {each.body["properties"]["enabled"] for each in of_type("alertRules", enableRules=False)} == {
        False
    }


def test_each_hunting_query_is_deployed():
    """Each hunting query is a saved search of the category that Sentinel shows under Hunting."""
    found = [each.body["properties"] for each in of_type("savedSearches")]
    hunts = {each["displayName"]: each for each in found if each["category"] == "Hunting Queries"}
    assert hunts.keys() == {query["name"] for query in load("hunting").values()}
    for query in load("hunting").values():
        tags = {tag["name"]: tag["value"] for tag in hunts[query["name"]]["tags"]}
        assert tags["tactics"].split(",") == query["tactics"]
        assert max(map(len, tags.values())) <= 255  # Azure's limit of a tag
        assert hunts[query["name"]]["query"] == query["query"]


def test_the_parsers_are_functions_of_the_workspace():
    """Each parser is a function under its own name, with the parameters of the schema."""
    found = [each.body["properties"] for each in of_type("savedSearches")]
    functions = {each["functionAlias"]: each for each in found if "functionAlias" in each}
    assert functions.keys() == load("parsers").keys()
    assert (
        functions["ASimAuditEventJiraAuditRelay"]["functionParameters"]
        == "disabled: bool = false, pack: bool = false"
    )
    assert functions["vimAuditEventJiraAuditRelay"]["query"].startswith("Jira_Audit_v2_CL")


def test_a_second_deployment_replaces_each_saved_search():
    """Azure answers 409 (Conflict) to a saved search that exists, unless `etag` is `*` among its properties."""
    assert {each.body["properties"].get("etag") for each in of_type("savedSearches")} == {"*"}


def test_groups_of_administrators_are_a_parameter():
    """The parameter's groups are in the queries that look for administrators, quotes and other letters included."""
    groups = ["Crew", 'The "A" team', "équipe d'or"]
    queries = [each.body["properties"]["query"] for each in of_type("alertRules", administratorGroups=groups)]
    filled = [
        query
        for query in queries
        if f"dynamic({json.dumps(groups, ensure_ascii=False, separators=(',', ':'))})" in query
    ]
    assert len(filled) == 2
    workspace = Workspace()
    workspace.add(*(joined(number, group, "eve") for number, group in enumerate([*groups, "Readers"])))
    (found,) = (workspace.query(query) for query in filled if "GrantedGroup" in query)
    assert sorted(row["Group"] for row in found) == sorted(groups)
    with pytest.raises(DeploymentError):
        deployed(administratorGroups="Crew")


def test_each_parameter_is_explained():
    """Each parameter has a description in the template and a row on the page."""
    page = (Path(__file__).parents[2] / "docs/destinations/sentinel-content.md").read_text("utf-8")
    for name, parameter in sentinel_template.build()["parameters"].items():
        assert parameter["metadata"]["description"]
        assert f"| `{name}` |" in page


def test_no_text_is_taken_for_an_expression():
    """Azure evaluates a text that begins with a bracket, so no query or description does; it allows 4 MB and 800 resources."""
    for entry in sentinel_template.build()["resources"]:
        for name in ("query", "description", "displayName"):
            value = entry["properties"].get(name, "")
            assert not value.startswith("[") or "parameters('administratorGroups')" in value
    assert len(sentinel_template.text()) < 1_000_000
    assert len({(each.type, each.name) for each in deployed()}) == len(deployed())
