import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.sources.jira_cloud import mapping
from sandbox import expected
from sandbox.destinations.sentinel import MAX_ROW_BYTES, MAX_VALUE_BYTES
from simulators.jira_cloud.hostile import make_hostile_record, make_mistyped_record
from simulators.jira_cloud.records import RecordGenerator

TEXT = st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=6)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
MEMBERS = st.dictionaries(
    st.sampled_from([*expected.ITEM, *expected.CHANGE, "else"]), TEXT | JSON, max_size=5
)
RECORDS = st.fixed_dictionaries(
    {
        "id": st.integers(0, 2**63 - 1),
        "created": st.sampled_from(
            [
                "1969-12-31T23:59:59.999+0000",
                "2026-01-18T08:43:02.838+0000",
                "2026-01-18T08:43:02Z",
                "2026-01-18T08:43+00:00",
                "2026-01-18T08:43:02.838000+0000",
                "2026-01-18T08:43:02.838123456+0000",
                "2026-01-18T08:43:02.838+0530",
                "0001-01-01T00:00:00.000+0000",
                "9999-12-31T23:59:59.999+0000",
            ]
        ),
    },
    optional={
        **dict.fromkeys(expected.TEXTS, TEXT | JSON),
        "objectItem": MEMBERS | JSON,
        "changedValues": st.lists(MEMBERS | JSON, max_size=3) | JSON,
        "associatedItems": st.lists(MEMBERS | JSON, max_size=3) | JSON,
        "else": JSON,
        "unmodeled": JSON,
    },
)
SAMPLE = {
    "id": 2**40,
    "created": "2026-01-18T08:43:02.838+0000",
    "summary": "Überprüft  ",
    "authorKey": 4711,
    "objectItem": {"id": "1", "name": "n", "icon": "x"},
    "changedValues": [{"fieldName": "f", "changedTo": ""}, "odd"],
    "associatedItems": None,
    "riskScore": 0.5,
}


@given(RECORDS)
@settings(max_examples=300)
def test_any_record_becomes_the_event_that_is_expected(record):
    """The mapping of the relay and the independent expectation of the sandbox agree for any record."""
    event = mapping.to_event(record, "acme")
    assert expected.event_differences(expected.expected_event(record, "acme"), event) == []


@given(RECORDS, st.sampled_from(["summary", "created", "objectItem", "changedValues", "unmodeled", "id"]))
@settings(max_examples=200)
def test_a_changed_field_of_an_event_is_found(record, field):
    """A changed value of any field is reported under the field's name."""
    event = mapping.to_event(record, "acme")
    event[field] = json.dumps({"other": "than before"}) if field == "unmodeled" else [["other"]]
    assert expected.event_differences(expected.expected_event(record, "acme"), event) == [field]


def test_a_row_has_the_column_names_of_microsoft():
    """The expected row of a sample record has these columns and values."""
    event = {**expected.expected_event(SAMPLE, "acme"), "collected": 1_768_725_783_001, "mode": "live"}
    assert expected.sentinel_row(event) == {
        "EventId": 2**40,
        "EventUid": f"acme/{2**40}",
        "EventMessage": "Überprüft  ",
        "EventDescription": None,
        "EventCreationTime": "2026-01-18T08:43:02.838Z",
        "CollectedTime": "2026-01-18T08:43:03.001Z",
        "EventCategoryType": None,
        "EventSource": None,
        "SrcIpAddr": None,
        "UserName": None,
        "UserSid": None,
        "ObjectItemId": "1",
        "ObjectItemName": "n",
        "ObjectItemTypeName": None,
        "ObjectItemParentId": None,
        "ObjectItemParentName": None,
        "objectItem": {"id": "1", "name": "n", "typeName": None, "parentId": None, "parentName": None},
        "ChangedValues": [
            {"fieldName": "f", "changedFrom": None, "changedTo": ""},
            {"fieldName": None, "changedFrom": None, "changedTo": None},
        ],
        "AssociatedItems": None,
        "Organization": "acme",
        "EventMode": "live",
        "Unmodeled": {
            "riskScore": 0.5,
            "authorKey": 4711,
            "objectItem": {"icon": "x"},
            "changedValues": [{}, "odd"],
            "associatedItems": None,
        },
        "EventVendor": "Atlassian",
        "EventProduct": "Jira Audit",
    }


def sentinel_row(record):
    return expected.sentinel_row({**expected.expected_event(record, "acme"), "collected": 0, "mode": "late"})


def differences(row, found):
    """Compare rows within the limits of Sentinel."""
    return expected.row_differences(row, found, MAX_VALUE_BYTES, MAX_ROW_BYTES)


def delivered(row, **changes):
    """Return the row as a table stores it: `Unmodeled` as text, and TimeGenerated added."""
    kept = json.loads(json.dumps({**row, **changes}))
    kept["Unmodeled"] = json.dumps(kept["Unmodeled"]) if kept["Unmodeled"] else None
    return {**kept, "TimeGenerated": "2026-01-18T08:43:05.000Z"}


@pytest.mark.parametrize(
    "make", [make_hostile_record, make_mistyped_record, lambda generator: generator.generate()]
)
def test_a_changed_column_of_a_row_is_found(make):
    """An unchanged row has no difference; a changed value of any column is reported under the column's name."""
    record = {"id": 9, "created": "2026-01-18T08:43:02.838+0000", **make(RecordGenerator("seed"))}
    row = sentinel_row(record)
    assert differences(row, delivered(row)) == ([], [])
    for column in row:
        spoiled = copy.deepcopy(delivered(row))
        spoiled[column] = None if spoiled[column] is not None and column != "Unmodeled" else '{"x": 1}'
        assert differences(row, spoiled) == ([column], []), column


def test_rows_are_compared_as_json():
    """1 differs from true, and an empty text from null, although Python compares the first pair as equal."""
    row = sentinel_row({**SAMPLE, "summary": "", "flag": True})
    unmodeled = {**row["Unmodeled"], "flag": 1}
    assert differences(row, delivered(row, Unmodeled=unmodeled)) == (["Unmodeled"], [])
    assert differences(row, delivered(row, EventMessage=None)) == (["EventMessage"], [])


def test_only_a_marked_truncation_of_a_long_value_is_accepted():
    """A truncation is correct if the value exceeds 64 KB, the text begins like the value, and the mark is there."""
    long, mark = "ä" * 40_000, "… [EventMessage was cut by jira-relay: 80000 bytes]"
    row = sentinel_row({**SAMPLE, "summary": long})
    assert differences(row, delivered(row, EventMessage="ä" * 30_000 + mark)) == (
        [],
        ["EventMessage"],
    )
    for wrong in (long[:30_000], "ö" * 30_000 + mark, None):
        assert differences(row, delivered(row, EventMessage=wrong)) == (["EventMessage"], [])
    short = {**row, "EventMessage": "ä" * 30_000}
    assert differences(short, delivered(row, EventMessage=mark)) == (["EventMessage"], [])


def test_shorter_values_of_a_row_above_a_megabyte_may_be_truncated():
    """In a row above the limit of a request, truncated values below 64 KB are accepted too."""
    changes = [{"fieldName": "x" * 30_000} for _ in range(40)]
    record = {**SAMPLE, "changedValues": changes, "description": "d" * 40_000}
    row = sentinel_row(record)
    description = "d" * 1000 + "… [EventDescription was cut by jira-relay: 40000 bytes]"
    marked = [{"fieldName": "[ChangedValues was cut by jira-relay: 0 of 40 items]"}]
    found = delivered(row, EventDescription=description, ChangedValues=marked)
    assert differences(row, found) == ([], ["EventDescription", "ChangedValues"])
