"""The queries of the template and of the pages, judged by Microsoft's own checker of KQL."""

import re
from pathlib import Path

import pytest

from consumer.destinations.sentinel.rows import COLUMNS as ROW
from consumer.destinations.sentinel_asim.rows import COLUMNS as ASIM_ROW
from simulators.azure.arm import Deployment, load_template
from simulators.azure.native_tables import NATIVE_TABLES
from tests.deploy.test_microsoft_content import CONTENT as MICROSOFT
from tests.support.kusto import Query, diagnostics
from tests.support.sentinel_content import load, signature, workbook_queries

ROOT = Path(__file__).parents[2]
PAGES = (
    "docs/destinations/sentinel.md",
    "docs/destinations/sentinel-asim.md",
    "docs/destinations/sentinel-content.md",
    "deploy/azure/README.md",
)
STAMPED = {"TimeGenerated": "datetime"}
BILLED = {"_BilledSize": "real", "_IsBillable": "boolean"}
"""Columns that Azure adds to each row."""
TABLES = {
    "Jira_Audit_v2_CL": STAMPED | ROW | BILLED,
    "Jira_Audit_History_CL": STAMPED | ROW | BILLED,
    "Jira_Audit_ASim_History_CL": STAMPED | ASIM_ROW,
    **NATIVE_TABLES,
    "ContainerLogV2": STAMPED | {"PodName": "string", "LogMessage": "dynamic"},
    "DCRLogErrors": STAMPED
    | dict.fromkeys(
        ("_ResourceId", "InputStreamId", "OperationName", "Message", "ClientRequestId"), "string"
    ),
}
PARSERS = {
    "_Im_AuditEvent": (
        "(starttime: datetime = datetime(null), endtime: datetime = datetime(null))",
        "ASimAuditEventLogs",
    ),
    "JiraAudit": ("()", "Jira_Audit_v2_CL"),
    **{name: (signature(parser), parser["query"]) for name, parser in load("parsers").items()},
}


def flows(**parameters):
    """Return the declared columns and the transform of each data flow of the rule."""
    given = {"workspaceName": "sentinel", "principalId": "", **parameters}
    (rule,) = [
        each
        for each in Deployment(load_template(), given).resources()
        if each.type.endswith("dataCollectionRules")
    ]
    streams = rule.body["properties"]["streamDeclarations"]
    for flow in rule.body["properties"]["dataFlows"]:
        columns = streams[flow["streams"][0]]["columns"]
        yield {column["name"]: column["type"] for column in columns}, flow["transformKql"]


def page_queries():
    """Return the queries of the pages; a line that begins with a word is a query of its own."""
    for page in PAGES:
        blocks = re.findall(
            r"^ *```kusto\n(.*?)^ *```$", (ROOT / page).read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
        for block in blocks:
            yield from re.split(r"\n\s*(?=\w)", block.strip())


def content_queries():
    """Return the queries of the content for Sentinel: the relay's own, and the conditions of Microsoft's."""
    own = [each["query"] for folder in ("rules", "hunting") for each in load(folder).values()]
    bodies = [
        "".join(f"let {each['name']} = {each['default']};\n" for each in parser["parameters"])
        + parser["query"]
        for parser in load("parsers").values()
    ]
    return [
        *own,
        *(each.kql() for each in MICROSOFT.values()),
        *bodies,
        *workbook_queries().values(),
        *(f"{name}()" for name in load("parsers")),
    ]


@pytest.mark.timeout(600)  # the checker takes seconds to start, and a minute on a busy machine
def test_transforms_and_queries_are_valid():
    """Each transform names columns of its stream, with every choice that changes one; each query of a page and of the
    content names tables that exist.

    The checker itself finds a wrong column and a cut operator, or it would prove nothing.
    """
    choices = ({"asim": True}, {"liveEventIdType": "int", "liveObjectItemType": "dynamic"})
    transforms = [Query(kql, {"source": columns}) for choice in choices for columns, kql in flows(**choice)]
    shown = [Query(text, TABLES, PARSERS) for text in (*page_queries(), *content_queries())]
    wrong = [
        Query("source | extend TimeGenerated = now(), A = EventUid", {"source": ASIM_ROW}),
        Query("source | extend", {"source": ASIM_ROW}),
    ]
    assert (len(transforms), len(shown) >= 9 + 56) == (6, True)
    found = diagnostics([*transforms, *shown, *wrong])
    right = transforms + shown
    assert [(each.text, errors) for each, errors in zip(right, found, strict=False) if errors] == []
    assert all(found[len(right) :])
