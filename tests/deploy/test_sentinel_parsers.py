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


SELECTS = {
    "eventtype_in": ("dynamic(['Delete'])", lambda row: row["EventType"] == "Delete"),
    "operation_has_any": ("dynamic(['user'])", lambda row: "user" in row["Operation"].lower().split()),
    "object_has_any": ("dynamic(['Scheme'])", lambda row: "Scheme" in row["Object"]),
    "newvalue_has_any": ("dynamic(['Inactive'])", lambda row: row["NewValue"] == "Inactive"),
    "srcipaddr_has_any_prefix": ("dynamic(['10.20.'])", lambda row: row["SrcIpAddr"].startswith("10.20.")),
}


@pytest.mark.parametrize(
    "names",
    [
        ("eventtype_in", "object_has_any"),
        ("newvalue_has_any", "operation_has_any"),
        ("srcipaddr_has_any_prefix",),
    ],
    ids=str,
)
def test_parameters_select_their_rows(workspace, rows, names):
    """Parameters leave exactly the rows that fit each of them."""
    expected = {row["EventOriginalUid"] for row in rows if all(SELECTS[name][1](row) for name in names)}
    given = {name: SELECTS[name][0] for name in names}
    assert {row["EventOriginalUid"] for row in ask(workspace, **given)} == expected
    for name in names:
        assert 0 < len([row for row in rows if SELECTS[name][1](row)]) < len(rows)


@pytest.mark.parametrize("given", [{"disabled": "true"}, {"endtime": "ago(1h)"}], ids=str)
def test_a_parameter_that_fits_no_row_leaves_none(workspace, given):
    """A parser that is switched off has no rows, and times are those of arrival."""
    assert ask(workspace, **given) == []


def test_details_are_packed_on_request(workspace):
    """AdditionalFields is filled with `pack`, and the parser without filters passes it on."""
    body = load("parsers")["ASimAuditEventJiraAuditRelay"]["query"]
    assert body == f"{FILTERING}(disabled = disabled, pack = pack)\n"
    (row,) = ask(workspace, " | take 1", pack="true")
    assert json.loads(row["AdditionalFields"])["mode"] == "live"
