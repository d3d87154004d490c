"""OCSF class 3004: the columns agree with plain Python on any event, and with the schema at tag 1.3.0."""

import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.decoding.columns import decode
from consumer.formats.addresses import ip_addresses
from consumer.formats.ocsf import ocsf_columns, ocsf_row, with_ocsf_columns
from tests.consumer.formats.test_ecs import TEXTS, events
from tests.support import ocsf
from tests.support.ecs import is_ip
from tests.support.messages import WRITER_SCHEMAS, event, message


def frame(listed):
    return decode([message(each) for each in listed], WRITER_SCHEMAS).frame


def documents(*listed):
    return [json.loads(text) for text in with_ocsf_columns(frame(listed)).select(ocsf_row()).to_series()]


@given(st.lists(events(), min_size=1, max_size=8))
@settings(max_examples=60)
def test_columns_agree_with_plain_python_and_the_schema(listed):
    """As JSON without nulls, and as columns with them; quotes, control characters and empty lists included."""
    found = documents(*listed)
    assert found == [ocsf.document(each) for each in listed]
    assert [ocsf.faults(each) for each in found] == [[]] * len(listed)
    assert ocsf_columns(frame(listed)).to_dicts() == [ocsf.attributes(each) for each in listed]


@pytest.mark.parametrize(
    "path",
    ["time", "metadata.version", "metadata.product.vendor_name", "entity", "entity.name", "actor.app_name"],
)
def test_the_check_of_the_schema_can_fail(path):
    (found,) = documents(event(1))
    holder, _, name = path.rpartition(".")
    del ocsf.at(found, holder)[name]
    assert ocsf.faults(found) == [path if path in ocsf.REQUIRED else holder]


def test_the_check_of_the_schema_knows_names_and_captions():
    (found,) = documents(event(1))
    assert ocsf.faults({**found, "api": {}, "type_uid": 1, "activity_name": "Make"}) == [
        ".api",
        "activity_id",
        "type_uid",
    ]


@pytest.mark.parametrize(
    ("summary", "activity"),
    [
        ("User created", (1, "Create")),
        ("User added to group", (3, "Update")),
        ("User deactivated", (9, "Disable")),
        ("Feature enabled", (8, "Enable")),
        ("Audit log search performed", (2, "Read")),
        ("Project deleted", (4, "Delete")),
        ("Nutzer angelegt", (99, "Nutzer angelegt")),
        (None, (99, "Other")),
    ],
)
def test_the_activity_follows_from_the_verb(summary, activity):
    """The source names an activity that the schema has no identifier for."""
    (found,) = documents(event(1, summary=summary))
    assert (found["activity_id"], found["activity_name"], found["type_uid"]) == (
        *activity,
        300_400 + activity[0],
    )


GROUP = {"id": None, "name": "staff", "typeName": "GROUP", "parentId": "10000", "parentName": "IDP Directory"}


@pytest.mark.parametrize(
    ("fields", "entity"),
    [
        ({"objectItem": GROUP}, {"name": "staff", "type": "Group", "type_id": 3, "group": {"name": "staff"}}),
        (
            {"objectItem": GROUP | {"typeName": "PROJECT"}},
            {"name": "staff", "type": "PROJECT", "type_id": 99},
        ),
        ({"objectItem": dict.fromkeys(GROUP) | {"id": "7"}}, {"uid": "7"}),
        ({"objectItem": dict.fromkeys(GROUP), "category": "permissions"}, {"name": "permissions"}),
        (
            {"objectItem": dict.fromkeys(GROUP) | {"typeName": "USER"}, "category": "user management"},
            {"name": "user management", "type": "User", "type_id": 2},
        ),
        ({"category": "permissions"}, {"name": "permissions"}),
        ({}, {"name": "Jira"}),
    ],
)
def test_the_entity_always_has_a_name_or_an_identifier(fields, entity):
    assert documents(event(1, **fields))[0]["entity"] == entity


@given(st.lists(TEXTS | st.ip_addresses().map(str) | st.text(max_size=5), max_size=6))
def test_only_addresses_are_found_among_texts(texts):
    expected = [text if is_ip(text) else None for text in texts]
    assert ip_addresses(pl.Series(texts, dtype=pl.String)).to_list() == expected
