import json
from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st

from management.completeness.canonical import canonical_record, event_key
from management.completeness.verifier import canonical_text
from producer.sources.jira_cloud.mapping import restore_record, to_event

RECORD = {
    "id": 17,
    "summary": "User added to group",
    "created": "2026-11-23T09:30:00.125+0000",
    "objectItem": {"name": "admins", "typeName": "GROUP", "rank": 3},
    "changedValues": [{"fieldName": "a"}, {"fieldName": "b", "why": [1, None]}],
    "tenant": {"shard": "eu"},
}


def stored(record):
    """Return the event of a record as Kafka has it."""
    return to_event(record, "acme") | {"collected": 5, "mode": "late", "variant": None}


def test_the_canonical_form_is_the_record_that_the_source_serves():
    assert canonical_record(stored(RECORD)) == RECORD
    text = json.dumps(RECORD, sort_keys=True, separators=(",", ":"))
    assert event_key(stored(RECORD)).content == sha256(text.encode()).digest()


def test_what_the_relay_adds_changes_no_hash():
    moved = stored(RECORD) | {"organization": "new", "collected": 9, "mode": "live", "variant": "0" * 16}
    assert event_key(moved) == event_key(stored(RECORD))


def test_a_value_that_a_later_schema_names_changes_no_hash():
    event = stored(RECORD)
    named = event | {"tenant": {"shard": "eu"}}
    named["unmodeled"] = json.dumps({"objectItem": {"rank": 3}, "changedValues": [{}, {"why": [1, None]}]})
    assert event_key(named) == event_key(event)


@given(st.text(), st.text())
def test_any_change_of_a_text_changes_the_hash(one, other):
    first, second = (stored(RECORD | {"summary": each}) for each in (one, other))
    assert (event_key(first) == event_key(second)) == (one == other)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(codec=None))
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def without_nulls(value):
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


@settings(max_examples=50)
@given(
    st.fixed_dictionaries(
        {"id": st.just(17), "created": st.just("2026-11-23T09:30:00.125+0000")},
        optional=dict.fromkeys(("summary", "objectItem", "changedValues", "associatedItems", "new"), JSON),
    )
)
def test_any_record_is_its_own_canonical_form(record):
    """Any JSON that the source may send, without nulls; its text is ASCII."""
    event = stored(record)
    assert canonical_record(event) == without_nulls(restore_record(event))
    assert canonical_text(canonical_record(event)).isascii()
