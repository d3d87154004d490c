"""The ASIM parsers over the relay's own table, beside the rows of the destination sentinel-asim."""

import json

import pytest

from consumer.decoding.columns import decode
from consumer.formats.asim import asim_rows
from producer.sources.jira_cloud.mapping import to_event
from simulators.azure.native_tables import NATIVE_TABLES
from simulators.jira_cloud.record_kinds import KINDS
from simulators.jira_cloud.records import RecordGenerator
from tests.support.audit_records import record
from tests.support.azure_workspace import NOW, ORGANIZATION, Workspace, iso
from tests.support.messages import AUDIT_EVENT, REF, message
from tests.support.sentinel_content import definition, load

FILTERING = "vimAuditEventJiraAuditRelay"
PARAMETERS = {each["name"]: each["default"] for each in load("parsers")[FILTERING]["parameters"]}
FUNCTION = definition(FILTERING).replace(
    "has_any_ipv4_prefix(SrcIpAddr, srcipaddr_has_any_prefix)",
    "SrcIpAddr startswith tostring(srcipaddr_has_any_prefix[0])",
)
# The schema's mandatory columns, which a source-specific parser has to fill: ASIM audit event schema 0.1.2.
MANDATORY = {
    "TimeGenerated", "EventCount", "EventStartTime", "EventEndTime", "EventType", "EventResult", "EventProduct", "EventVendor",
    "EventSchema", "EventSchemaVersion", "Dvc", "Operation", "Object",
}  # fmt: skip
ADDED = {"EventSchema", "Dvc", "Value", "User", "Src", "IpAddr", "Application"}
"""Columns that Azure's parser adds to the native table at query time, so that the table does not have them."""


@pytest.fixture(scope="module")
def records():
    generator = RecordGenerator("ASIM")
    made = [generator.generate(summary) for summary in [*KINDS, "Something odd", "User unassigned from role"]]
    return [each | {"id": number, "created": iso(6)} for number, each in enumerate(made, 1)]


@pytest.fixture(scope="module")
def workspace(records):
    stored = Workspace()
    stored.add(*records)
    stored.add(record(900, "User created"), replay="job-1")
    stored.add(record(901, "User created"), mode="backfill")
    return stored


@pytest.fixture(scope="module")
def rows(workspace):
    return ask(workspace)


def ask(workspace, pipeline="", **given):
    """Return the rows of the filtering parser. duckdb-kql passes arguments by place, and has no has_any_ipv4_prefix."""
    return workspace.query(call(**given) + pipeline, functions=[FUNCTION])


def call(**given):
    return f"{FILTERING}({', '.join(given.get(name, default) for name, default in PARAMETERS.items())})"


def test_the_parser_agrees_with_the_destination_sentinel_asim(rows, records):
    """For each kind of record, each column that both have is the same: a rule finds the same over the parser and the native table."""
    parsed = {row["EventOriginalUid"]: row for row in rows}
    known = {"collected": int(NOW.timestamp() * 1000), "mode": "live"}
    events = [to_event(dict(each), ORGANIZATION) | known for each in records]
    frame = decode([message(each) for each in events], {REF: AUDIT_EVENT}).frame
    native = [json.loads(row) for row in asim_rows(frame)]
    assert parsed.keys() == {row["EventOriginalUid"] for row in native}
    for row in native:
        mine = parsed[row["EventOriginalUid"]]
        shared = mine.keys() - ADDED - {"TimeGenerated", "AdditionalFields"}
        texts = {name: text(mine[name]) for name in shared}
        assert texts == {name: text(row.get(name, "")) for name in shared}


def text(value):
    return value.isoformat(timespec="milliseconds") + "Z" if hasattr(value, "isoformat") else str(value or "")


def test_the_columns_are_those_of_the_schema(rows):
    """Mandatory columns are filled in each row, each column is one of the schema's, and details cost nothing without `pack`."""
    assert all(row[name] for row in rows for name in MANDATORY)
    assert rows[0].keys() <= NATIVE_TABLES["ASimAuditEventLogs"].keys() | ADDED
    assert {row["AdditionalFields"] for row in rows} == {"{}"}


FILTERS = {
    "eventtype_in": "dynamic(['Delete'])",
    "operation_has_any": "dynamic(['user'])",
    "object_has_any": "dynamic(['Scheme'])",
    "newvalue_has_any": "dynamic(['Inactive'])",
    "srcipaddr_has_any_prefix": "dynamic(['10.20.'])",
    "actorusername_has_any": "dynamic(['ug:eve'])",
}


def test_each_parameter_leaves_out_the_rows_that_do_not_fit():
    """Of seven records, six fail one parameter each, and one fits all of them; `pack` fills AdditionalFields."""
    stored = Workspace()
    fits = {"by": "eve", "item": ("A Scheme", "SCHEME"), "address": "10.20.1.1", "State": "Inactive"}
    stored.add(
        record(1, "User deleted", **fits),
        record(2, "User created", **fits),
        record(3, "Filter deleted", **fits),
        record(4, "User deleted", **fits | {"item": ("A filter", "FILTER")}),
        record(5, "User deleted", **fits | {"State": "Active"}),
        record(6, "User deleted", **fits | {"address": "10.2.1.1"}),
        record(7, "User deleted", **fits | {"by": "ann"}),
    )
    (row,) = ask(stored, pack="true", **FILTERS)
    assert row["EventOriginalUid"].endswith("/1")
    assert json.loads(row["AdditionalFields"])["mode"] == "live"


def test_times_are_those_of_arrival(workspace):
    """The end of the period is compared with the arrival, as of the other parsers."""
    assert ask(workspace, endtime="ago(4m)") != []
    assert ask(workspace, endtime="ago(6m)") == []


def test_the_parser_without_filters_is_the_other_one():
    """It passes both of its parameters on."""
    body = load("parsers")["ASimAuditEventJiraAuditRelay"]["query"]
    assert body == f"{FILTERING}(disabled = disabled, pack = pack)\n"
