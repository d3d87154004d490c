"""ASIM audit events: the columns agree with plain Python on any event, and with the values that the schema allows."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.decoding.columns import decode
from consumer.formats.asim import asim_rows
from tests.support import asim, ecs
from tests.support.messages import WRITER_SCHEMAS, event, event_records, message

MANDATORY = {
    *("EventCount", "EventStartTime", "EventEndTime", "EventType", "EventResult", "EventProduct", "EventVendor"),
    *("EventSchemaVersion", "Operation", "Object"),
}  # fmt: skip
EVENT_TYPES = {
    *("Set", "Read", "Create", "Delete", "Execute", "Install", "Clear", "Enable", "Disable", "Initialize"),
    *("Start", "Stop", "Other"),
}
OBJECT_TYPES = {
    *("Cloud Resource", "Configuration Atom", "Policy Rule", "Event Log", "Scheduled Task", "Service"),
    *("Directory Service Object", "Other"),
}
ALIASES = {
    *("EventSchema", "Dvc", "EventUid", "User", "Src", "Dst", "IpAddr", "Application", "Value", "Rule"),
    "TimeGenerated",
}
"""Columns that the native parser or the transform adds: a row never holds them (ASIM audit event schema, "Alias")."""

TEXTS = st.sampled_from(
    [
        None,
        "",
        " ",
        "10.1.2.3",
        "10.1.2.3, 172.16.0.1",
        " ::1",
        "fe80::1%eth0",
        "unknown, 10.1.2.3",
        'a":null,"b":null}',
        '"},{',
        "\\",
        "\x00\n\u2028",
    ]
)
TYPES = st.sampled_from(
    [None, "", "USER", "Group", "PROJECT_ROLE", "PROJECT", "permission scheme", "SUPERUSER", "ORT", "WORKFLOW SCHEME"]
)  # fmt: skip
items = st.fixed_dictionaries(
    dict.fromkeys(("id", "name", "parentId", "parentName"), TEXTS) | {"typeName": TYPES}
)
changes = st.fixed_dictionaries(dict.fromkeys(("fieldName", "changedFrom", "changedTo"), TEXTS))
likely = st.fixed_dictionaries(
    {
        "organization": st.sampled_from(["acme.atlassian.net", "a b", 'q"', "é", "host:8443"]),
        "category": st.sampled_from([None, "", "user management", 'a "category"']),
        "summary": st.sampled_from([*ecs.TEN, "Audit log search performed", "User deactivated", "?", ""])
        | st.none(),
        "remoteAddress": TEXTS,
        "authorKey": TEXTS,
        "authorAccountId": TEXTS,
        "objectItem": st.none() | items,
        "associatedItems": st.none() | st.lists(items, max_size=3),
        "changedValues": st.none() | st.lists(changes, max_size=3),
    }
)


@st.composite
def events(draw):
    """An event of any values, most often with those that the format tells apart."""
    return draw(event_records) | (draw(likely) if draw(st.booleans()) else {})


def rows(listed):
    frame = decode([message(each) for each in listed], WRITER_SCHEMAS).frame
    return [json.loads(text) for text in asim_rows(frame)]


@given(st.lists(events(), min_size=1, max_size=8))
@settings(max_examples=80)
def test_columns_and_plain_python_agree(listed):
    """Quotes, backslashes, control characters, nulls, empty lists and times beyond any calendar included."""
    assert rows(listed) == [asim.row(each) for each in listed]


@given(st.lists(events(), min_size=1, max_size=8))
@settings(max_examples=40)
def test_a_row_keeps_the_schema(listed):
    """Mandatory columns are filled, no alias and no null is stored, and types are of the schema's lists."""
    for row in rows(listed):
        assert row.keys() >= MANDATORY
        assert all(row[name] != "" for name in MANDATORY)
        assert not row.keys() & ALIASES
        assert None not in row.values()
        assert (row["EventType"] in EVENT_TYPES, row["ObjectType"] in OBJECT_TYPES) == (True, True)
        assert ("ActorUsernameType" in row) == ("ActorUsername" in row)
        assert ("ValueType" in row) == bool(row.keys() & {"OldValue", "NewValue"})
        assert "ActorUserIdType" not in row  # the schema has no type for an account id of Atlassian


def test_no_events_are_no_rows():
    assert rows([]) == []


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ("User created", "Create"),
        ("User added to group", "Set"),
        ("User removed from group", "Set"),
        ("Global permission removed", "Delete"),
        ("User deactivated", "Disable"),
        ("User activated", "Enable"),
        ("Audit log search performed", "Read"),
        ("User's password changed", "Set"),
        ("Nutzer angelegt", "Other"),
        (None, "Other"),
    ],
)
def test_the_type_of_an_event(summary, expected):
    """The verb of the summary decides, as the reference maps verbs to ASIM."""
    assert rows([event(1, summary=summary)])[0]["EventType"] == expected


@pytest.mark.parametrize(
    ("type_name", "expected"),
    [
        ("USER", "Directory Service Object"),
        ("GROUP", "Directory Service Object"),
        ("REMOTE_DIRECTORY", "Directory Service Object"),
        ("PERMISSIONS", "Policy Rule"),
        ("SCHEME", "Policy Rule"),
        ("PROJECT_ROLE", "Policy Rule"),
        ("PROJECT", "Configuration Atom"),
        ("CUSTOM_FIELD", "Configuration Atom"),
        ("AUDIT", "Other"),
        ("SUPERUSERS", "Other"),
        (None, "Other"),
    ],
)
def test_the_type_of_an_object(type_name, expected):
    """The words of Jira's type decide; a part of a word does not."""
    item = dict.fromkeys(("id", "name", "parentId", "parentName")) | {"typeName": type_name}
    row = rows([event(1, objectItem=item)])[0]
    assert (row["ObjectType"], row.get("OriginalObjectType")) == (expected, type_name)


@pytest.mark.parametrize(
    ("fields", "operation", "about"),
    [
        ({"summary": "s", "objectItem": {"name": "n", "id": "i"}}, "s", "n"),
        ({"summary": "s", "objectItem": {"name": "", "id": "i"}}, "s", "i"),
        ({"summary": "s", "objectItem": None}, "s", "s"),
        ({"summary": "", "category": "c", "objectItem": {"name": "", "id": ""}}, "c", "c"),
        ({"summary": None, "category": None, "objectItem": None}, "Other", "Other"),
    ],
)
def test_mandatory_columns_have_a_value(fields, operation, about):
    """An empty text is a missing one for Kusto, so the next best value of the record is taken."""
    if fields["objectItem"] is not None:
        fields |= {"objectItem": dict.fromkeys(("typeName", "parentId", "parentName")) | fields["objectItem"]}
    (row,) = rows([event(1, **fields)])
    assert (row["Operation"], row["Object"]) == (operation, about)
