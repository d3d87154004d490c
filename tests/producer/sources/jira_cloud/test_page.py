"""A page from its bytes, by the fast parser and the exact one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.events import UnreadableRecord
from producer.sources.jira_cloud.mapping import (
    to_event,
)
from producer.sources.jira_cloud.page import Page, parse_page
from tests.support.jira_records import RECORDS, SAMPLE


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
