"""The template of the content for Microsoft Sentinel, made of the files of deploy/azure/content.

`python -m tests.support.sentinel_template` writes deploy/azure/content/content.json; a test holds it equal.
"""

import json
from collections.abc import Mapping
from typing import Any

from tests.support.sentinel_content import FOLDER, load, minutes, signature, workbook

TEMPLATE = FOLDER / "content.json"
GROUPS = "let KnownGroups = dynamic([]);"
"""The line of a query that the parameter `administratorGroups` fills."""

_WORKSPACE = "[resourceId('Microsoft.OperationalInsights/workspaces', parameters('workspaceName'))]"
_OPERATORS = {"gt": "GreaterThan"}
_INCIDENTS = {
    "createIncident": True,
    "groupingConfiguration": {
        "enabled": True,
        "reopenClosedIncident": False,
        "lookbackDuration": "PT5H",
        "matchingMethod": "AllEntities",
        "groupByEntities": [],
        "groupByAlertDetails": [],
        "groupByCustomDetails": [],
    },
}


def build() -> dict[str, Any]:
    """Return the template."""
    rules, hunting = load("rules"), load("hunting")
    with_groups = {slug: rule["query"] for slug, rule in rules.items() if GROUPS in rule["query"]}
    return {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "metadata": {
            "description": "Content for Microsoft Sentinel on the rows of the Jira Audit Relay. Written by `python -m tests.support.sentinel_template` from the files beside it; change those."
        },
        "parameters": _parameters(),
        "variables": {"workspaceId": _WORKSPACE, "queries": with_groups},
        "resources": [
            *(_rule(slug, rule) for slug, rule in rules.items()),
            *(_hunt(query) for query in hunting.values()),
            *(_function(parser) for parser in load("parsers").values()),
            _workbook(),
        ],
        "outputs": {},
    }


def text() -> str:
    """Return the template as the file holds it."""
    return json.dumps(build(), indent=2, ensure_ascii=False) + "\n"


def _parameters() -> dict[str, Any]:
    return {
        "workspaceName": {
            "type": "string",
            "metadata": {
                "description": "Log Analytics workspace of Microsoft Sentinel, in this resource group."
            },
        },
        "location": {
            "type": "string",
            "defaultValue": "[resourceGroup().location]",
            "metadata": {"description": "Region of the workbook."},
        },
        "enableRules": {
            "type": "bool",
            "defaultValue": True,
            "metadata": {"description": "False: the analytic rules are there and do not run."},
        },
        "administratorGroups": {
            "type": "array",
            "defaultValue": [],
            "metadata": {
                "description": "Names of groups of Jira's administrators that contain neither admin, owner nor superuser."
            },
        },
    }


def _rule(slug: str, rule: Mapping[str, Any]) -> dict[str, Any]:
    same = ("description", "severity", "query", "triggerThreshold", "tactics", "entityMappings")
    properties = {
        "displayName": rule["name"],
        "enabled": "[parameters('enableRules')]",
        **{name: rule[name] for name in same},
        "techniques": rule["relevantTechniques"],
        "queryFrequency": _iso_span(rule["queryFrequency"]),
        "queryPeriod": _iso_span(rule["queryPeriod"]),
        "triggerOperator": _OPERATORS[rule["triggerOperator"]],
        "suppressionDuration": "PT5H",
        "suppressionEnabled": False,
        "customDetails": rule["customDetails"],
        "alertDetailsOverride": rule["alertDetailsOverride"],
        "eventGroupingSettings": rule["eventGroupingSettings"],
        "incidentConfiguration": _INCIDENTS,
    }
    if GROUPS in rule["query"]:
        filled = "concat('let KnownGroups = dynamic(', string(parameters('administratorGroups')), ');')"
        properties["query"] = f"[replace(variables('queries')['{slug}'], '{GROUPS}', {filled})]"
    return {
        "type": "Microsoft.SecurityInsights/alertRules",
        "apiVersion": "2024-09-01",
        "name": rule["id"],
        "scope": "[variables('workspaceId')]",
        "kind": rule["kind"],
        "properties": properties,
    }


def _hunt(query: Mapping[str, Any]) -> dict[str, Any]:
    tags = {
        "description": query["description"].strip(),
        "tactics": ",".join(query["tactics"]),
        "techniques": ",".join(query["relevantTechniques"]),
    }
    return _saved_search(
        query["id"],
        category="Hunting Queries",
        displayName=query["name"],
        query=query["query"],
        tags=[{"name": name, "value": value} for name, value in tags.items()],
    )


def _function(parser: Mapping[str, Any]) -> dict[str, Any]:
    return _saved_search(
        parser["id"],
        category="Jira Audit Relay",
        displayName=parser["name"],
        query=parser["query"],
        functionAlias=parser["name"],
        functionParameters=signature(parser)[1:-1],
    )


def _workbook() -> dict[str, Any]:
    return {
        "type": "Microsoft.Insights/workbooks",
        "apiVersion": "2022-04-01",
        "name": "[guid(variables('workspaceId'), 'jira-audit-relay-health')]",
        "location": "[parameters('location')]",
        "kind": "shared",
        "properties": {
            "displayName": "Jira Audit Relay",
            "serializedData": json.dumps(workbook(), separators=(",", ":")),
            "version": "1.0",
            "sourceId": "[variables('workspaceId')]",
            "category": "sentinel",
        },
    }


def _saved_search(name: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "Microsoft.OperationalInsights/workspaces/savedSearches",
        "apiVersion": "2020-08-01",
        "name": f"[concat(parameters('workspaceName'), '/{name}')]",
        # Without the etag, Azure answers 409 to a second deployment.
        "properties": {"etag": "*", "version": 2, **properties},
    }


def _iso_span(span: str) -> str:
    """Return a span such as 1h as ISO 8601 writes it."""
    return f"P{span.upper()}" if minutes(span) % 1440 == 0 else f"PT{span.upper()}"


if __name__ == "__main__":
    TEMPLATE.write_text(text(), encoding="utf-8")
