"""Records and events: nothing of a record is lost on the way."""

import json

import fastavro
import pytest
from hypothesis import given, settings

import schemas
from producer.events import TEXT_FIELDS, UnreadableRecord
from producer.sources.jira_cloud.mapping import (
    CHANGE_FIELDS,
    ITEM_FIELDS,
    restore_record,
    to_event,
)
from relay import timestamps
from tests.support.jira_records import RECORDS, SAMPLE, without_nulls


def rebuilt(event):
    """Rebuild a record from schema and `unmodeled`: the unmodeled value wins, and objects are merged."""

    def merge(held, rest):
        if isinstance(held, list):
            return (
                [merge(one, left) for one, left in zip(held, rest, strict=True)]
                if rest
                else [merge(one, {}) for one in held]
            )
        if isinstance(held, dict) and isinstance(rest, dict):
            return {name: one for name, one in held.items() if one is not None} | rest
        return rest

    rest = json.loads(event["unmodeled"] or "{}")
    names = {*TEXT_FIELDS, "objectItem", "changedValues", "associatedItems"}
    record = {
        name: merge(event[name], rest.get(name, {})) if isinstance(event[name], dict | list) else event[name]
        for name in names
        if event[name] is not None and not (isinstance(event[name], str) and name in rest)
    }
    return {"id": event["id"], "created": timestamps.to_iso(event["created"])} | rest | record


@given(RECORDS)
@settings(max_examples=200)
def test_event_and_unmodeled_give_back_the_whole_record(record):
    """Any record can be rebuilt from its event, and the event fits the schema."""
    event = to_event(record, "acme")
    expected = without_nulls(record)
    as_sent = event["unmodeled"] and "created" in json.loads(event["unmodeled"])
    assert rebuilt(event) == expected
    assert restore_record(event) == expected | (
        {} if as_sent else {"created": expected["created"].replace("Z", "+0000")}
    )
    schema = schemas.load("audit_event")
    assert fastavro.validate(event | {"collected": 0, "mode": "live"}, schema, strict=True)


def test_the_field_names_are_the_schemas():
    """Reading fills every field of the schema except the three that publishing adds."""
    fields = {field["name"]: field["type"] for field in schemas.load("audit_event")["fields"]}
    assert {"collected", "mode", "variant", *to_event(SAMPLE, "acme")} == set(fields)
    assert tuple(field["name"] for field in fields["objectItem"][1]["fields"]) == ITEM_FIELDS
    assert tuple(field["name"] for field in fields["changedValues"][1]["items"]["fields"]) == CHANGE_FIELDS


def test_an_ordinary_record_has_nothing_unmodeled():
    """The fields hold a record of Jira's specification whole, in Jira's order."""
    assert to_event(SAMPLE, "acme") == {
        **{name: SAMPLE[name] for name in TEXT_FIELDS},
        "organization": "acme",
        "id": 1203,
        "created": 1643014085645,
        "objectItem": SAMPLE["objectItem"],
        "changedValues": [
            {"fieldName": "Key", "changedFrom": None, "changedTo": ""},
            {"fieldName": "Name", "changedFrom": "null", "changedTo": None},
        ],
        "associatedItems": [
            dict.fromkeys(ITEM_FIELDS) | {"name": "b"},
            dict.fromkeys(ITEM_FIELDS) | {"name": "a"},
        ],
        "unmodeled": None,
    }


def test_unmodeled_values_have_the_shape_of_the_record():
    """A list with an unmodeled value has an entry for each element, {} for a complete one."""
    record = SAMPLE | {
        "summary": 7,
        "new": {"a": [2**70]},
        "objectItem": SAMPLE["objectItem"] | {"avatar": "x"},
        "associatedItems": [{"name": "b"}, {"name": "a", "typeName": ["USER"]}, None],
    }
    assert json.loads(to_event(record, "acme")["unmodeled"]) == {
        "summary": 7,
        "new": {"a": [2**70]},
        "objectItem": {"avatar": "x"},
        "associatedItems": [{}, {"typeName": ["USER"]}, None],
    }


def test_a_lone_surrogate_is_replaced_in_the_field_and_kept_as_ascii():
    """The field is valid Unicode, and the original is JSON that any reader parses."""
    event = to_event(SAMPLE | {"summary": "a\ud800é"}, "acme")
    assert event["summary"] == "a\ufffdé"
    assert event["unmodeled"] == '{"summary":"a\\ud800\\u00e9"}'


@pytest.mark.parametrize(
    ("text", "ms", "exact"),
    [
        ("2022-01-24T08:48:05.645+0000", 1643014085645, True),
        ("2022-01-24T08:48:05.645Z", 1643014085645, True),
        ("2022-01-24T08:48:05.645+00:00", 1643014085645, True),
        ("2022-01-24T08:48:05.645000-0000", 1643014085645, True),
        ("2022-01-24T08:48:05Z", 1643014085000, True),
        ("2022-01-24T08:48Z", 1643014080000, True),
        ("2022-01-24T10:48:05.645+02:00", 1643014085645, False),
        ("2022-01-24T03:18:05.645-0530", 1643014085645, False),
        ("2022-01-24T10:48:05.645+02", 1643014085645, False),
        ("2022-01-24T08:48:05.645999Z", 1643014085645, False),
        ("2022-01-24T08:48:05.645000001Z", 1643014085645, False),
        ("2022-01-24T08:48:05.645", 1643014085645, False),
        ("1969-12-31T23:59:59.9999Z", -1, False),
        ("0001-01-01T00:00:00.000+0000", -62_135_596_800_000, True),
        ("9999-12-31T23:59:59.999+0000", 253_402_300_799_999, True),
    ],
)
def test_created_is_read_in_each_form(text, ms, exact):
    """The instant becomes UTC; its text is kept when it is more exact than a millisecond."""
    event = to_event({"id": 1, "created": text}, "acme")
    assert event["created"] == ms
    assert event["unmodeled"] == (None if exact else json.dumps({"created": text}, separators=(",", ":")))


def test_created_is_read_as_epoch_milliseconds():
    """An integer is in milliseconds unless seconds are more likely."""
    assert to_event({"id": 1, "created": 1643014085645}, "acme")["created"] == 1643014085645
    assert isinstance(to_event({"id": 1, "created": 1643014085}, "acme"), UnreadableRecord)


@pytest.mark.parametrize(
    "record",
    [
        None,
        [],
        "text",
        {"created": "2022-01-24T08:48:05.645+0000"},
        {"id": 1},
        *(
            {"id": bad, "created": SAMPLE["created"]}
            for bad in (True, -1, 2**63, 1.0, "", "-1", "1e3", "٣", " 1", None)
        ),
        *(
            {"id": 1, "created": bad}
            for bad in (
                "",
                "yesterday",
                "0000-01-01T00:00:00Z",
                "9999-12-31T23:59:59-0100",
                "0001-01-01T00:00:00+0100",
                "2022-02-30T00:00:00Z",
                "10000-01-01T00:00:00Z",
                True,
                1.5,
                2**70,
                None,
            )
        ),
    ],
)
def test_a_record_without_readable_id_or_created_is_kept_as_json(record):
    """The unreadable record holds its JSON and the reason."""
    unreadable = to_event(record, "acme")
    assert isinstance(unreadable, UnreadableRecord)
    assert json.loads(unreadable.raw) == record
    assert "id" in unreadable.reason or "created" in unreadable.reason or "object" in unreadable.reason


def test_an_id_of_digits_in_quotes_is_an_id():
    """The unmodeled part keeps the quotes."""
    event = to_event({"id": "9223372036854775807", "created": SAMPLE["created"]}, "acme")
    assert event["id"] == 2**63 - 1
    assert json.loads(event["unmodeled"]) == {"id": "9223372036854775807"}
