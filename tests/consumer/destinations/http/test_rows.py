"""Rows and bodies: the same events in each format, read back by other readers."""

import gzip
import json

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings

from consumer.decoding.columns import decode
from consumer.destinations.http import rows
from consumer.destinations.http.config import HttpConfig
from tests.support import ocsf
from tests.support.messages import WRITER_SCHEMAS, event, event_lists, message


def config(**fields):
    return HttpConfig(kind="http", url="https://collector.example.com/x", **fields)


def body(settings_, events):
    framing = rows.body_format(settings_)
    frame = decode([message(each) for each in events], WRITER_SCHEMAS).frame
    encoded = rows.encode_rows(frame, settings_.format, framing, settings_.event_format)
    return rows.encode_body(encoded, settings_, framing)


def native(each):
    """The native format in plain Python: fields without values are left out."""
    return {"uid": uid_of(each)} | {
        name: _without_nulls(value) for name, value in each.items() if value is not None
    }


def uid_of(each):
    """The key of an event: two records that share an id have different variants."""
    variant = each["variant"]
    return f"{each['organization']}/{each['id']}{'' if variant is None else f'/{variant}'}"


def _without_nulls(value):
    match value:
        case dict():
            return {name: inner for name, inner in value.items() if inner is not None}
        case list():
            return [_without_nulls(inner) for inner in value]
    return value


@given(event_lists)
@settings(deadline=None, max_examples=40)
def test_each_format_holds_the_same_events(events):
    """Arrays, lines and CloudEvents are read back by Python's json as the events that went in."""
    expected = [native(each) for each in events]
    assert json.loads(body(config(), events)) == expected
    lines = body(config(format="ndjson"), events)
    assert lines.endswith(b"\n")
    assert [json.loads(line) for line in lines[:-1].split(b"\n")] == expected
    assert json.loads(body(config(format="single"), events[:1])) == expected[0]
    batch = json.loads(body(config(format="cloudevents"), events))
    assert [each["data"] for each in batch] == expected
    assert json.loads(body(config(event_format="ocsf"), events)) == [ocsf.document(each) for each in events]
    assert json.loads(gzip.decompress(body(config(compression="gzip"), events))) == expected


@given(event_lists)
@settings(deadline=None, max_examples=40)
def test_a_library_reads_the_cloudevents(events):
    """The library `cloudevents` accepts each one, with the attributes of the page."""
    batch = json.loads(body(config(format="cloudevents"), events))
    for each, source in zip(batch, events, strict=True):
        read = JSONFormat().read(CloudEvent, json.dumps(each))
        assert read.get_id() == uid_of(source)
        assert read.get_type() == "com.atlassian.jira.audit.v1"
        assert read.get_source().startswith("https://")
        assert read.get_source().isascii()
        subject = read.get_subject()
        assert subject is None or not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in subject)


def test_the_attributes_of_a_cloudevent():
    (each,) = json.loads(
        body(
            config(format="cloudevents"),
            [event(7, created=1_767_225_600_123, category="user\tmanagement")],
        )
    )
    assert each | {"data": {}} == {
        "specversion": "1.0",
        "id": "acme.atlassian.net/7",
        "source": "https://acme.atlassian.net",
        "type": "com.atlassian.jira.audit.v1",
        "time": "2026-01-01T00:00:00.123Z",
        "subject": "user management",
        "datacontenttype": "application/json",
        "data": {},
    }


@pytest.mark.parametrize(("category", "created"), [(None, 2**62), ("", -(2**62))])
def test_an_attribute_without_a_value_is_left_out(category, created):
    """A subject must not be empty, and RFC 3339 has no year beyond 9999."""
    (each,) = json.loads(body(config(format="cloudevents"), [event(7, created=created, category=category)]))
    assert each.keys() == {"specversion", "id", "source", "type", "datacontenttype", "data"}


@pytest.mark.parametrize("shape", ["json", "ndjson", "single", "cloudevents"])
def test_a_long_event_is_truncated_with_a_mark(shape):
    """It fits into a body of its own, and its key is whole."""
    long = event(7, description="ü" * 100_000, category="c" * 9_000, unmodeled="y" * 50_000)
    settings_ = config(format=shape, max_body_bytes=20_000)
    content = body(settings_, [long])
    assert len(content) <= 20_000
    row = json.loads(content)
    row = row[0] if isinstance(row, list) else row
    data = row["data"] if shape == "cloudevents" else row
    assert data["uid"] == "acme.atlassian.net/7"
    assert "description was cut by jira-relay: 200000 bytes" in data["description"]


def test_a_long_ocsf_event_fits_into_its_body():
    """It keeps its key and its class, and each long text has a mark."""
    long = event(1, summary=30_000 * "x", description=30_000 * "ä", changedValues=None)
    (found,) = json.loads(
        body(config(event_format="ocsf", max_body_bytes=10_000), [long | {"variant": None}])
    )
    assert (found["class_uid"], found["metadata"]["uid"]) == (3004, "acme.atlassian.net/1")
    assert found["unmapped"]["description"].endswith("was cut by jira-relay: 60000 bytes]")


def test_cloudevents_have_native_events():
    with pytest.raises(ValueError, match="use the format json or ndjson"):
        config(format="cloudevents", event_format="ocsf")
