"""The Elastic Common Schema: the columns agree with plain Python on any event, and with Elastic's integration on its own."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.decoding.columns import decode
from consumer.formats.verbs import verb_of
from tests.support import ecs
from tests.support.ecs_documents import ecs_documents
from tests.support.messages import WRITER_SCHEMAS, event, event_records, message

SUMMARIES = [
    *ecs.TEN,
    "User's password changed",
    "Group renamed",
    "Workflow copied to project",
    "Audit log search performed",
    "?",
]
CATEGORIES = [None, "user management", "group management", "permissions", "workflows"]
TEXTS = st.sampled_from(
    [
        None,
        "",
        "USER",
        "GROUP",
        "10.1.2.3",
        "::1",
        "fe80::1%eth0",
        'a":null,"b":null}',
        '","typeName":"',
        "\\",
        "\x00\n\u2028",
    ]
)
items = st.fixed_dictionaries(dict.fromkeys(("id", "name", "typeName", "parentId", "parentName"), TEXTS))
likely = st.fixed_dictionaries(
    {
        "category": st.sampled_from(CATEGORIES),
        "summary": st.sampled_from(SUMMARIES) | st.none(),
        "remoteAddress": TEXTS,
        "authorKey": TEXTS,
        "authorAccountId": TEXTS,
        "objectItem": st.none() | items,
        "associatedItems": st.none() | st.lists(items, max_size=3),
    }
)  # fmt: skip


@st.composite
def events(draw):
    """An event of any values, most often with those that the format tells apart."""
    found = draw(event_records)
    if draw(st.booleans()):
        found |= draw(likely)
    if draw(st.booleans()) and found["associatedItems"]:
        found["objectItem"] = draw(st.sampled_from(found["associatedItems"]))
    return found


def documents(listed):
    frame = decode([message(each) for each in listed], WRITER_SCHEMAS).frame
    return [json.loads(text) for text in ecs_documents(frame)]


@given(st.lists(events(), min_size=1, max_size=8))
@settings(max_examples=80)
def test_columns_and_plain_python_agree(listed):
    """Quotes, backslashes, control characters, nulls, empty lists and times beyond any calendar included."""
    assert documents(listed) == [ecs.document(each) for each in listed]


@pytest.mark.parametrize("summary", ecs.TEN)
def test_the_summaries_of_elastics_integration(summary):
    """Its categories and types, whatever Jira's category is."""
    for category in CATEGORIES:
        (found,) = documents([event(1, summary=summary, category=category)])
        assert (found["event"]["category"], found["event"]["type"]) == ecs.TEN[summary]


USER = {"id": "ug:1", "name": "ug:1", "typeName": "USER", "parentId": "10000", "parentName": "IDP Directory"}
GROUP = {"id": None, "name": "staff", "typeName": "GROUP", "parentId": "10000", "parentName": "IDP Directory"}


@pytest.mark.parametrize(
    ("fields", "user", "group"),
    [
        ({"summary": "User created", "category": "user management", "objectItem": USER, "associatedItems": [USER]}, {"target": {"id": "ug:1", "name": "ug:1"}}, None),
        ({"summary": "User added to group", "category": "group management", "objectItem": GROUP, "associatedItems": [USER]}, {"target": {"id": "ug:1", "name": "ug:1", "group": {"name": "staff"}}}, None),
        ({"summary": "Group created", "category": "group management", "objectItem": GROUP}, None, {"name": "staff"}),
        ({"summary": "User updated", "category": "user management", "objectItem": USER}, None, None),
        ({"summary": "User's password changed", "category": "user management", "objectItem": USER}, {"target": {"id": "ug:1", "name": "ug:1"}}, None),
        ({"summary": "Group renamed", "category": "group management", "objectItem": GROUP}, None, {"name": "staff"}),
        ({"summary": "User created", "category": "projects", "objectItem": USER}, None, None),
    ],
)  # fmt: skip
def test_the_target_of_a_record(fields, user, group):
    """The first four as Elastic's integration has them, the others as its rules would have them."""
    (found,) = documents([event(1, **fields)])
    assert (found.get("user"), found.get("group")) == (user, group)


def test_objects_and_changes_have_elastics_names():
    """The object comes last, and once; a field name is both key and i18nKey."""
    changes = [{"fieldName": "Email", "changedFrom": None, "changedTo": "a@example.com"}]
    fields = {"objectItem": GROUP, "associatedItems": [USER], "changedValues": changes}
    first, second = documents([event(1, **fields), event(2, **fields | {"associatedItems": [GROUP, USER]})])
    audit = first["jira"]["audit"]
    assert [each["type"] for each in audit["affected_objects"]] == ["USER", "GROUP"]
    assert [each["type"] for each in second["jira"]["audit"]["affected_objects"]] == ["GROUP", "USER"]
    assert audit["changed_values"] == [{"key": "Email", "i18nKey": "Email", "to": "a@example.com"}]


@pytest.mark.parametrize(
    ("summary", "verb"),
    [
        ("Customer invited notification changed", "change"),
        ("Workflow scheme added to project", "link"),
        ("Permission scheme removed from project", "unlink"),
        ("Project role deleted", "delete"),
        ("User deactivated", "disable"),
        ("Global permission added", "create"),
        ("Audit log search performed", "read"),
        ("Feature turned off", "disable"),
        ("User unassigned from role", "unlink"),
        ("Nutzer angelegt", "other"),
        ("User created by relea\u017fed or ass\u0131gned", "create"),
        ("User created, ARCH\u0130VED", "create"),
        ("", "other"),
    ],
)
def test_the_verb_of_a_summary(summary, verb):
    """The word that comes last decides, and the longer before the shorter."""
    assert verb_of(summary) == ecs.verb(summary) == verb


@given(
    st.lists(st.sampled_from([*ecs.WORDS, "to", "from", "with", "Project", "un"]), max_size=6).map(" ".join)
)
def test_any_summary_has_one_verb(summary):
    assert verb_of(summary) == ecs.verb(summary)
