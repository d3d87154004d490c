"""Rows and bodies: the same events, read back by Python's json, beside a twin in plain Python."""

import gzip
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.decoding.columns import decode
from consumer.destinations.splunk import rows
from simulators.splunk.events import check_event, parse_events
from tests.support import ocsf
from tests.support.messages import WRITER_SCHEMAS, event, event_lists, message

FRAMING = rows.body_format(1_000_000)
LAST_MS = 253_402_300_799_999


def encoded(events, framing=FRAMING, **envelope):
    frame = decode([message(each) for each in events], dict(WRITER_SCHEMAS.items())).frame
    found = rows.Envelope(**{"source": "relay", "sourcetype": "jira:audit"} | envelope)
    return rows.encode_rows(frame, found.row(), framing, found.format)


def twin(each, index, routes):
    """The object of an event in plain Python: fields without values are left out."""
    variant = each["variant"]
    uid = f"{each['organization']}/{each['id']}{'' if variant is None else f'/{variant}'}"
    found = {"host": each["organization"], "source": "relay", "sourcetype": "jira:audit"}
    if 0 <= each["created"] <= LAST_MS:
        found["time"] = Decimal(each["created"]) / 1000
    if (name := routes.get(each["organization"], index)) is not None:
        found["index"] = name
    event = {"uid": uid} | {name: _without_nulls(value) for name, value in each.items() if value is not None}
    return found | {"fields": {"event_uid": uid}, "event": event}


def _without_nulls(value):
    match value:
        case dict():
            return {name: inner for name, inner in value.items() if inner is not None}
        case list():
            return [_without_nulls(inner) for inner in value]
    return value


@given(event_lists, st.none() | st.just("jira"), st.booleans())
@settings(deadline=None, max_examples=60)
def test_a_row_is_the_event_in_its_envelope(events, index, routed):
    """Times, nulls, quotes and routes are those of the twin, and the collector takes each event."""
    routes = {events[0]["organization"]: "jira_one"} if routed else {}
    found = [json.loads(row, parse_float=Decimal) for row in encoded(events, index=index, routes=routes)]
    assert found == [twin(each, index, routes) for each in events]
    for each in parse_events(b"\n".join(encoded(events, index=index, routes=routes))):
        check_event(each)


@given(event_lists)
@settings(deadline=None, max_examples=30)
def test_an_event_may_be_one_of_ocsf(events):
    """The envelope stays as it is."""
    found = [json.loads(row, parse_float=Decimal) for row in encoded(events, format="ocsf")]
    assert found == [twin(each, None, {}) | {"event": ocsf.document(each)} for each in events]


@given(st.lists(st.integers(0, LAST_MS), min_size=1, max_size=50))
@settings(deadline=None, max_examples=60)
def test_a_time_has_its_milliseconds_and_no_more(times):
    """created / 1000 ends in .1230001 for some: two events of one millisecond would not be equal in Splunk."""
    made = [
        json.loads(row, parse_float=Decimal)["time"]
        for row in encoded([event(1, created=each) for each in times])
    ]
    assert made == [Decimal(each) / 1000 for each in times]
    assert all(len(str(each).partition(".")[2]) <= 3 for each in made)


@pytest.mark.parametrize("created", [-1, LAST_MS + 1])
def test_a_time_that_the_collector_refuses_is_left_out(created):
    """The event has the time of its arrival then, and Jira's own in its text."""
    (row,) = encoded([event(1, created=created)])
    assert "time" not in json.loads(row)
    assert json.loads(row)["event"]["created"] == created


def test_nothing_of_an_event_becomes_an_index_or_a_source():
    """Texts that look like an envelope stay texts."""
    hostile = '","index":"main","source":"x'
    texts = ("summary", "category", "description", "eventSource", "authorKey", "variant", "unmodeled")
    (row,) = encoded([event(1, organization=hostile, **dict.fromkeys(texts, hostile))], index="jira")
    found = json.loads(row)
    assert (found["index"], found["source"], found["host"]) == ("jira", "relay", hostile)
    assert found["event"]["summary"] == hostile


def test_a_long_value_is_cut_with_a_mark_and_keeps_its_envelope():
    """A value above 64 KB, and an event above the body, keep time, host, index and uid."""
    long, longer = (
        event(1, description="ü" * 50_000),
        event(2, description="x" * 60_000, unmodeled="y" * 60_000),
    )
    small = rows.body_format(50_000)
    for framing, most in ((FRAMING, 70_000), (small, 50_000)):
        for source, row in zip((long, longer), encoded([long, longer], framing, index="jira"), strict=True):
            found = json.loads(row)
            assert len(row) <= framing.max_row_bytes
            assert len(found["event"]["description"].encode()) <= most
            assert found["fields"] == {"event_uid": f"acme.atlassian.net/{source['id']}"}
            assert {"time", "host", "index"} <= found.keys()
    assert json.loads(next(iter(encoded([long]))))["event"]["description"].endswith(
        "… [description was cut by jira-relay: 100000 bytes]"
    )


def test_a_body_is_compressed_and_equal_on_every_try():
    many = encoded([event(number) for number in range(20)])
    body = rows.encode_body(many, FRAMING)
    assert body == rows.encode_body(many, FRAMING)
    assert gzip.decompress(body) == b"\n".join(many)
    assert len(list(parse_events(gzip.decompress(body)))) == 20


def test_a_row_has_room_for_its_envelope():
    """An event that just fits into a body by itself does not fit with its envelope."""
    small = rows.body_format(50_000)
    for size in range(49_000, 50_100, 100):
        (row,) = encoded([event(1, description="x" * size)], small, index="jira")
        assert len(row) <= small.max_row_bytes
        assert json.loads(row)["index"] == "jira"
