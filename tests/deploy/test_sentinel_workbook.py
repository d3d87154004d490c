"""The workbook of the relay's health."""

import json

import pytest

from tests.support.audit_records import record
from tests.support.azure_workspace import Workspace
from tests.support.sentinel_content import workbook, workbook_queries
from tests.support.sentinel_template import build

BUSY = "busy.atlassian.net"


@pytest.fixture(scope="module")
def workspace():
    stored = Workspace()
    for _ in range(2):
        stored.add(record(1, "User created", 65), record(2, "User created", 61), collected=60, arrived=59)
    stored.add(record(3, "Project updated", 9_000), mode="late", collected=30, arrived=29)
    stored.add(record(1, "Project updated", 9_000), organization=BUSY, mode="backfill", arrived=20)
    stored.add(record(1, "Project updated", 9_000), organization=BUSY, replay="job-1", arrived=10)
    return stored


def ask(workspace, title, organizations="'*'"):
    query = workbook_queries(organizations)[title]
    billed = "Jira_Audit_History_CL\n| extend _BilledSize = 500000000.0, _IsBillable = true\n"
    return workspace.query(
        query.replace("Jira_Audit_History_CL\n", billed) if "_BilledSize" in query else query
    )


def test_the_form_is_that_of_a_workbook():
    """Each item has a name of its own, each query the time range and a parameter that is there, and the template the same workbook."""
    items = workbook()["items"]
    assert workbook()["version"] == "Notebook/1.0"
    assert len({item["name"] for item in items}) == len(items)
    queries = [item["content"] for item in items if item["type"] == 3]
    assert {each["timeContextFromParameter"] for each in queries} == {"TimeRange"}
    (parameters,) = [item["content"]["parameters"] for item in items if item["type"] == 9]
    assert [each["name"] for each in parameters] == ["TimeRange", "Organization", "Price"]
    assert not any("{" in query.replace("{}", "") for query in workbook_queries().values())
    (resource,) = [each for each in build()["resources"] if each["type"].endswith("workbooks")]
    assert json.loads(resource["properties"]["serializedData"]) == workbook()


def test_the_newest_event_of_each_organization_is_shown(workspace):
    """Repeats count once, and neither history nor replays make an organization look alive."""
    (row,) = ask(workspace, "Newest event by organization")
    assert (row["Organization"], row["Events"], row["LateEvents"], row["MinutesSinceArrival"]) == (
        "acme.atlassian.net", 3, 1, 29,
    )  # fmt: skip
    assert ask(workspace, "Newest event by organization", f"'{BUSY}'") == []


def test_latency_is_that_of_live_events(workspace):
    """The way to the relay and the way to Azure are shown apart, in seconds, without late events."""
    (row,) = ask(workspace, "From Jira to this workspace, seconds")
    assert (row["ToRelay95"] > 60, row["ToAzureMedian"], row["ToAzure95"]) == (True, 60, 60)


def test_rows_are_counted_by_mode(workspace):
    """Rows that are there twice are repeats, and a replay to the live table is named."""
    rows = {
        (row["Organization"], row["Mode"]): (row["Rows"], row["Repeats"])
        for row in ask(workspace, "Rows by mode")
    }
    assert rows == {
        ("acme.atlassian.net", "live"): (4, 2),
        ("acme.atlassian.net", "late"): (1, 0),
        (BUSY, "backfill"): (1, 0),
        (BUSY, "replay to live"): (1, 0),
    }  # fmt: skip


def test_cost_is_shown_by_organization(workspace):
    """Billed bytes of both tables make the cost of an organization, at the price that the analyst gives."""
    rows = ask(workspace, "Billed size and cost by organization")
    assert [(row["Organization"], row["GB"], row["Cost"]) for row in rows] == [
        ("acme.atlassian.net", 2.5, 6.25),
        (BUSY, 1.0, 2.5),
    ]


@pytest.mark.parametrize(
    "title", ["Events by organization", "Kinds of events", "Rows that Azure refused", "Organization"]
)
def test_other_queries_run(workspace, title):
    """Each other query runs, for all organizations."""
    assert (len(ask(workspace, title)) > 0) == (title != "Rows that Azure refused")
