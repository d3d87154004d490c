import json
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas
from producer.events import UnreadableRecord
from producer.sources.jira_cloud.mapping import (
    CHANGE_FIELDS,
    ITEM_FIELDS,
    TEXT_FIELDS,
    restore_record,
    to_event,
)
from producer.sources.jira_cloud.page import Page, parse_page
from relay import timestamps
from tests.support.jira_records import without_nulls

SAMPLE = {
    "id": 1203,
    "summary": "Workflow updated",
    "remoteAddress": "203.0.113.7",
    "authorKey": "ug:0613",
    "authorAccountId": "5e72",
    "created": "2022-01-24T08:48:05.645+0000",
    "category": "workflows",
    "eventSource": "",
    "description": "why",
    "objectItem": {
        "id": "Flow A",
        "name": "Flow A",
        "typeName": "WORKFLOW",
        "parentId": "1",
        "parentName": "p",
    },
    "changedValues": [{"fieldName": "Key", "changedTo": ""}, {"fieldName": "Name", "changedFrom": "null"}],
    "associatedItems": [{"name": "b"}, {"name": "a"}],
}

MAYBE_SURROGATE = st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | MAYBE_SURROGATE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MAYBE_SURROGATE, inner, max_size=3),
    max_leaves=6,
)


def members(names: tuple[str, ...]) -> Any:
    return st.dictionaries(st.sampled_from([*names, "mode", "unmodeled"]), MAYBE_SURROGATE | JSON, max_size=6)


RECORDS = st.fixed_dictionaries(
    {
        "id": st.integers(0, 2**63 - 1) | st.integers(0, 2**63 - 1).map(str),
        "created": st.integers(-62_135_596_800_000, 253_402_300_799_999).flatmap(
            lambda ms: st.sampled_from([timestamps.to_iso(ms), timestamps.to_iso(ms)[:-1] + "123+0000"])
        ),
    },
    optional={
        **dict.fromkeys(TEXT_FIELDS, MAYBE_SURROGATE | JSON),
        "objectItem": members(ITEM_FIELDS) | JSON,
        "changedValues": st.lists(members(CHANGE_FIELDS) | JSON, max_size=3) | JSON,
        "associatedItems": st.lists(members(ITEM_FIELDS) | JSON, max_size=3) | JSON,
        "organization": JSON,
        "collected": JSON,
        "\ud800": JSON,
    },
)


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
    """Reading fills every field of the schema except the two that publishing adds."""
    fields = {field["name"]: field["type"] for field in schemas.load("audit_event")["fields"]}
    assert {"collected", "mode", *to_event(SAMPLE, "acme")} == set(fields)
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


@given(st.lists(RECORDS, max_size=4))
def test_a_page_gives_back_every_record(records):
    """Both parsers read a page without loss."""
    text = json.dumps({"offset": 0, "limit": 1000, "total": 7, "records": records})
    page = parse_page(text.encode())
    assert isinstance(page, Page)
    assert list(page.records) == records
    assert page.total == 7


@pytest.mark.parametrize("big", [1, 2**70], ids=["quickly", "exactly"])
def test_a_fraction_is_rounded_to_64_bits(big):
    """Both parsers round further digits and keep the record readable."""
    page = parse_page(b'{"records":[{"id":1,"x":0.10000000000000000000001},{"id":2,"y":%d}]}' % big)

    assert page.records[0] == {"id": 1, "x": 0.1}


def test_the_two_parsers_agree():
    """A hostile record changes no reading of its neighbours."""
    alone = parse_page(json.dumps({"records": [SAMPLE]}).encode())
    beside = parse_page(json.dumps({"records": [SAMPLE, {"id": 2**70}, "\ud800"]}).encode())
    assert beside.records == (*alone.records, {"id": 2**70}, "\ud800")


def test_integers_stay_integers_of_any_size():
    """An integer above 64 bits is not rounded to a fraction."""
    (record,) = parse_page(
        b'{"records":[{"id":1,"created":"2022-01-24T08:48Z","n":12345678901234567890123}]}'
    ).records
    assert repr(record["n"]) == "12345678901234567890123"
    assert to_event(record, "acme")["unmodeled"] == '{"n":12345678901234567890123}'


def test_only_the_records_of_the_envelope_are_its_records():
    """A nested member of the same name and a byte order mark change nothing."""
    body = '\ufeff{"x":{"records":[1,2]},"y":["records"],"z":"records","records":[{"records":[3]},12345678901234567890]}'
    assert parse_page(body.encode()).records == ({"records": [3]}, 12345678901234567890)


def nested(levels):
    return '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize(
    "text",
    [
        '{"id":1,"id":2,"created":"2022-01-24T08:48:05.645Z"}',
        '{"id":1,"created":"2022-01-24T08:48:05.645Z","x":{"b":1,"b":1}}',
        '{"id":1,"id":2,"summary":"\\u003a\\u003A"}',
        '{"id" :1,"id":2}',
        '{"id":1,"x":1e400}',
        f'{{"id":{"9" * 5000}}}',
        nested(253),
        nested(5000),
    ],
)
def test_a_record_above_pythons_limits_is_unreadable_alone(text):
    """Repeated names, huge numbers and deep nesting cost one record, whose text is kept."""
    page = parse_page(f'{{"total":3, "records" : [ {json.dumps(SAMPLE)} , {text}\n, {{"id":3}} ] }}'.encode())
    first, bad, last = page.records
    assert (first, last, page.total) == (SAMPLE, {"id": 3}, 3)
    assert isinstance(bad, UnreadableRecord)
    assert bad.raw == text.encode()
    assert to_event(bad, "acme") is bad


def test_both_parsers_have_the_same_depth_limit():
    """The deepest record of one parser is the deepest of the other."""
    for extra in ("", ',{"id":18446744073709551616}'):
        good, bad = (parse_page(f'{{"records":[{nested(levels)}{extra}]}}'.encode()) for levels in (252, 253))
        assert isinstance(good.records[0], dict)
        assert isinstance(bad.records[0], UnreadableRecord)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "empty"),
        (b"  ", "empty"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b'{"records":[{"id":1},', "cut off"),
        (b'{"records":[{"id":1}', "cut off"),
        (b'{"records":[{"id":1}]', "cut off"),
        (b'{"records":[{"id":1},]}', "broken"),
        (b'{"records":[{"id":1} {"id":2}]}', "broken"),
        (b'{"records":[{"id":NaN}]}', "broken"),
        (b'{"records":[{"id":1}]} x', "broken"),
        (b'{"records":["\xff"]}', "UTF-8"),
        (b'{"records":[],"records":[]}', "twice"),
        (b'{"errorMessages":["no"],"errors":{}}', "not a page"),
        (b'{"records":{"id":1}}', "not a page"),
        (b'{"records":null}', "not a page"),
        (b'{"x":{"records":[1]}}', "not a page"),
        (b"[]", "not a page"),
        (b"null", "not a page"),
        (b'"records"', "not a page"),
        (b"[" * 100_000, "broken"),
    ],
)
def test_an_invalid_page_gives_the_reason(body, word):
    """An answer without a whole page of records is refused."""
    assert word in parse_page(body).reason


@given(RECORDS, st.data())
def test_a_truncated_page_is_never_a_page(record, data):
    """No prefix of a page is a page."""
    body = json.dumps({"records": [record, record]}).encode()
    cut = data.draw(st.integers(0, len(body) - 1))
    assert not isinstance(parse_page(body[:cut]), Page)


@pytest.mark.parametrize("end", [b"", b"\\"])
def test_a_truncated_long_value_is_read_in_linear_time(end):
    """The parser reads a megabyte of escaped quotes once, not again from each quote."""
    assert "cut off" in parse_page(b'{"records":[{"id":1,"summary":"' + b'\\"' * 500_000 + end).reason


def test_an_empty_page_is_a_page():
    """A page without records is valid."""
    for body in (b'{"records":[]}', b'{"records":[ ],"n":123456789012345678901}'):
        assert parse_page(body).records == ()
