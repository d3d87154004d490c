"""The Splunk add-on: its fields are those of the relay's events, and the CIM data model Change gets what it needs."""

import configparser
import csv
import re
from fnmatch import fnmatchcase
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.decoding.columns import decode
from consumer.destinations.splunk import rows
from consumer.destinations.splunk.config import SplunkConfig
from consumer.formats.replay_mark import REPLAY_MODE
from consumer.formats.verbs import verb_of
from tests.support.messages import WRITER_SCHEMAS, event, message

ADD_ON = Path(__file__).parents[2] / "deploy/splunk/TA-jira-audit-relay"
SOURCETYPE = SplunkConfig.model_fields["sourcetype"].default
CIM_ACTIONS = {
    "acl_modified",
    "cleared",
    "created",
    "deleted",
    "modified",
    "read",
    "stopped",
    "updated",
    "unknown",
}
"""Source: Splunk Common Information Model 6.1, Change, values of All_Changes.action; unknown where a source does not say."""
CIM_FIELDS = {
    *(
        "action",
        "change_type",
        "dest",
        "dvc",
        "object",
        "object_attrs",
        "object_category",
        "object_id",
        "src",
        "status",
    ),
    *("src_user", "user", "vendor_product"),
}
"""Fields of All_Changes and Account_Management that an audit record of Jira can fill."""


def stanzas(name):
    """Return the stanzas of a configuration file; a line that ends in a backslash goes on."""
    text = (ADD_ON / "default" / name).read_text("utf-8").replace("\\\n", " ")
    parser = configparser.RawConfigParser(delimiters=("=",), strict=True)
    parser.optionxform = str
    parser.read_string(text)
    return {stanza: dict(parser[stanza]) for stanza in parser.sections()}


PROPS = stanzas("props.conf")[SOURCETYPE]


def full_event():
    """Return the JSON object of an event that has every field."""
    item = {"id": "1", "name": "Zoe", "typeName": "USER", "parentId": "2", "parentName": "x"}
    change = {"fieldName": "email", "changedFrom": "a", "changedTo": "b"}
    texts = (
        "category",
        "description",
        "eventSource",
        "remoteAddress",
        "authorKey",
        "authorAccountId",
        "unmodeled",
        "variant",
    )
    full = event(**dict.fromkeys(texts, "x"), objectItem=item, changedValues=[change], associatedItems=[item])
    frame = decode([message(full)], dict(WRITER_SCHEMAS.items())).frame
    envelope = rows.Envelope("jira-audit-relay", SOURCETYPE)
    (row,) = rows.encode_rows(frame, envelope.row(), rows.body_format(1_000_000))
    return orjson.loads(row)


def extracted(value, name=""):
    """Return the names that KV_MODE = json gives the fields of an object: `a.b`, and `a{}.b` within a list."""
    match value:
        case dict():
            return {
                each
                for key, inner in value.items()
                for each in extracted(inner, f"{name}.{key}" if name else key)
            }
        case list():
            return {each for inner in value for each in extracted(inner, f"{name}{{}}")}
        case _:
            return {name}


def aliases():
    """Return (source, new name) of each alias."""
    for name, text in PROPS.items():
        if name.startswith("FIELDALIAS-"):
            for source, new in re.findall(r'("[^"]+"|\S+) AS (\S+)', text):
                yield source.strip('"'), new


def used_fields(expression):
    """Return the fields that an eval expression reads: bare words that are no function, and names in single quotes."""
    quoted = set(re.findall(r"'([^']+)'", expression))
    bare = re.sub(r"\"(?:[^\"\\]|\\.)*\"|'[^']+'", " ", expression)
    words = {word for word, call in re.findall(r"\b([A-Za-z_]\w*)(\s*\()?", bare) if not call}
    return quoted | words - {"AND", "OR", "NOT"}


def test_every_field_that_the_add_on_reads_is_in_an_event():
    """A renamed column of the relay would leave fields of Change empty without a word."""
    known = extracted(full_event()["event"])
    assert {source for source, _ in aliases()} <= known
    for name, expression in PROPS.items():
        if name.startswith("EVAL-"):
            assert used_fields(expression) <= known, name


def test_the_add_on_gives_every_field_of_change():
    made = {new for _, new in aliases()} | {
        name.removeprefix("EVAL-") for name in PROPS if name.startswith("EVAL-")
    }
    assert made | {"action"} >= CIM_FIELDS


def test_no_field_of_an_event_is_overwritten():
    """An alias onto a name of the record would hide Jira's own value from searches."""
    made = [new for _, new in aliases()] + [
        name.removeprefix("EVAL-") for name in PROPS if name.startswith("EVAL-")
    ]
    assert len(made) == len(set(made))
    assert not set(made) & extracted(full_event()["event"])


def test_events_are_not_cut_and_their_uid_is_an_indexed_field():
    assert PROPS["TRUNCATE"] == "0"
    assert PROPS["KV_MODE"] == "json"
    assert full_event()["fields"].keys() == stanzas("fields.conf").keys() == {rows.UID_FIELD}
    assert stanzas("fields.conf")[rows.UID_FIELD] == {"INDEXED": "true"}


def lookup(key):
    """Return the first row of the lookup that fits, as Splunk does with match_type WILDCARD."""
    with (ADD_ON / "lookups/jira_audit_changes.csv").open(newline="", encoding="utf-8") as file:
        return next(row for row in csv.DictReader(file) if fnmatchcase(key, row["jira_change"]))


def change_of(summary, category="x"):
    """Work out EVAL-jira_change, whose one replacement Python's expressions read as Splunk's do."""
    found = re.fullmatch(
        r'if\(category == "permissions", "permissions:", ""\) \. replace\(lower\(summary\), "(.+)", "(.+)"\)',
        PROPS["EVAL-jira_change"],
    )
    prefix = "permissions:" if category == "permissions" else ""
    return lookup(prefix + re.sub(found[1], found[2], summary.lower()))


@pytest.mark.parametrize(
    ("summary", "category", "verb", "action"),
    [
        ("User created", "user management", "create", "created"),
        ("User updated", "user management", "change", "modified"),
        ("User deleted", "user management", "delete", "deleted"),
        ("User added to group", "group management", "link", "updated"),
        ("User removed from group", "group management", "unlink", "updated"),
        ("Group created", "group management", "create", "created"),
        ("Global permission added", "permissions", "create", "created"),
        ("Global permission removed", "permissions", "delete", "deleted"),
        ("Permission scheme added to project", "permissions", "link", "acl_modified"),
        ("Permission scheme removed from project", "permissions", "unlink", "acl_modified"),
        ("Project role associated with user", "permissions", "link", "acl_modified"),
        ("Customer invited notification changed", "notifications", "change", "modified"),
        ("Project roles changed", "projects", "change", "modified"),
        ("Workflow copied", "workflows", "create", "created"),
        ("Workflow scheme added to project", "workflows", "link", "updated"),
        ("Two-factor turned on", "x", "enable", "modified"),
        ("User deactivated", "x", "disable", "modified"),
        ("Issue search performed", "x", "read", "read"),
        ("Role unassigned", "x", "unlink", "updated"),
        ("Added fields to the screen were renamed", "x", "change", "modified"),
        ("Something odd", "x", "other", "unknown"),
        ("", "x", "other", "unknown"),
    ],
)
def test_the_verb_that_comes_last_decides(summary, category, verb, action):
    found = change_of(summary, category)
    assert (found["jira_verb"], found["action"]) == (verb, action)


WORDS = (
    *(
        "User",
        "group",
        "scheme",
        "permission",
        "to",
        "with",
        "from",
        "on",
        "added",
        "copied",
        "removed",
        "assigned",
        "unassigned",
    ),
    *(
        "created",
        "deleted",
        "revoked",
        "enabled",
        "turned",
        "off",
        "search",
        "performed",
        "exported",
        "changed",
        "moved",
        "archived",
    ),
)


@given(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join))
@settings(deadline=None, max_examples=300)
def test_the_verb_is_the_one_of_the_relays_own_formats(summary):
    """An analyst sees one verb for a record in Splunk and in a destination that the relay writes ECS for."""
    assert change_of(summary)["jira_verb"] == verb_of(summary)


def test_each_row_of_the_lookup_gives_an_action_of_the_model():
    with (ADD_ON / "lookups/jira_audit_changes.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert {row["action"] for row in table} <= CIM_ACTIONS
    assert table[-1]["jira_change"] == "*"
    assert len({row["jira_change"] for row in table}) == len(table)
    (transform,) = stanzas("transforms.conf").values()
    assert transform["match_type"] == "WILDCARD(jira_change)"
    assert (ADD_ON / "lookups" / transform["filename"]).is_file()
    assert PROPS["LOOKUP-jira_action"].split()[0] in stanzas("transforms.conf")


def test_new_events_are_changes_and_history_is_none():
    """The tags are of event types that exist, which name the source type of the settings and leave backfill and replays out."""
    types, tags = stanzas("eventtypes.conf"), stanzas("tags.conf")
    assert tags == {
        "eventtype=jira_audit_change": {"change": "enabled"},
        "eventtype=jira_audit_account": {"account": "enabled"},
    }
    assert {name.removeprefix("eventtype=") for name in tags} == types.keys()
    for stanza in types.values():
        assert f'sourcetype="{SOURCETYPE}" (mode=live OR mode=late)' in stanza["search"]
        assert set(re.findall(r"mode=(\w+)", stanza["search"])).isdisjoint({"backfill", REPLAY_MODE})
