"""Rows and records: the same events in each format, read back by other readers."""

import json

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings

from consumer.decoding.columns import decode
from consumer.destinations.kafka import rows
from consumer.destinations.kafka.config import TopicConfig
from tests.support import ecs, ocsf
from tests.support.messages import WRITER_SCHEMAS, event, event_lists, message

NOW = 1_800_000_000_000
ODD = 'a\tb\nc"\\\x00é'


def records(events, now=NOW, **fields):
    """Return the records of a body of these events."""
    config = TopicConfig(kind="kafka", topic="t", **fields)
    framing = rows.body_format(config)
    frame = decode([message(each) for each in events], WRITER_SCHEMAS).frame
    return rows.decode_records(framing.framed(rows.encode_rows(frame, config, framing)), now)


@given(event_lists)
@settings(deadline=None, max_examples=40)
def test_each_format_holds_the_same_events(events):
    """A record has the organization as key, the event in plain JSON as value, and its uid as header."""
    twins = {
        "native": lambda each: {"uid": ecs.uid(each)} | ecs.without_nulls(each),
        "ecs": ecs.document,
        "ocsf": ocsf.document,
    }
    for shape, twin in twins.items():
        found = records(events, format=shape)
        assert [key.decode() for key, *_ in found] == [each["organization"] for each in events]
        assert [json.loads(value) for _, value, *_ in found] == [twin(each) for each in events]
        assert [dict(headers) for *_, headers in found] == [
            {"relay.uid": ecs.uid(each).encode()} for each in events
        ]


@given(event_lists)
@settings(deadline=None, max_examples=40)
def test_the_time_of_a_record_is_that_of_its_event_from_1970_to_now(events):
    """A broker refuses a time in the future, and one before 1970 has no meaning."""
    assert [time for _, _, time, _ in records(events)] == [
        min(max(each["created"], 0), NOW) for each in events
    ]


@given(event_lists)
@settings(deadline=None, max_examples=40)
def test_cloudevents_reads_each_record(events):
    """The reference library reads the headers as a CloudEvent in binary content mode, and the event as its data."""
    for each, (key, value, _, headers) in zip(events, records(events, cloudevents=True), strict=True):
        named = dict(headers)
        assert named.pop("relay.uid") == ecs.uid(each).encode()
        read = from_binary(KafkaMessage(named, key, value), JSONFormat(), CloudEvent)
        assert read.get_id() == ecs.uid(each)
        assert read.get_type() == "com.atlassian.jira.audit.v1"
        assert read.get_source().startswith("https://")
        assert read.get_data() == json.loads(value)
        if "ce_time" in named:  # the library makes a time where there is none
            assert round(read.get_time().timestamp() * 1000) == each["created"]


def test_odd_texts_stay_within_their_record():
    """A tab, a line feed or a quote in a name divides no record."""
    (found, plain) = records([event(1, organization=ODD, summary=ODD), event(2)])
    key, value, _, headers = found
    assert (key, json.loads(value)["summary"]) == (ODD.encode(), ODD)
    assert headers == [("relay.uid", f"{ODD}/1".encode())]
    assert plain[3] == [("relay.uid", b"acme.atlassian.net/2")]


@pytest.mark.parametrize("shape", ["native", "ecs", "ocsf"])
def test_a_long_event_is_truncated_with_a_mark(shape):
    """The record keeps its uid, stays within the limit, and says what was cut."""
    ((_, value, _, headers), other) = records(
        [event(1, description="x" * 200_000), event(2)], format=shape, max_record_bytes=10_000
    )
    assert len(value) <= 10_000
    assert b"was cut by jira-relay" in value
    assert headers == [("relay.uid", b"acme.atlassian.net/1")]
    assert b"was cut" not in other[1]
