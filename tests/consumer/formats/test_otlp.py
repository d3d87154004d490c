"""The format otlp: protobuf and JSON, each equal to a plain twin and to the library of OpenTelemetry."""

import itertools

import pytest
from hypothesis import given, settings

from consumer.formats import otlp_json, otlp_protobuf
from consumer.formats.otlp import log_columns
from tests.support.messages import event, event_lists
from tests.support.otlp import comparable, frame_of, judged, judged_json, records_of, twin

RESOURCE = {"service.name": "jira-audit-relay"}
TIMES = ("created", "collected")

FULL = event(
    7,
    summary='Grüße, "x" \\ \x01 \u2028',
    category="permissions",
    description="",
    eventSource="",
    remoteAddress="203.0.113.9",
    authorKey="ada",
    authorAccountId="5b10",
    objectItem={"id": "1", "name": None, "typeName": "USER", "parentId": None, "parentName": "🎈"},
    changedValues=[{"fieldName": 'a"name":null', "changedFrom": None, "changedTo": "b"}],
    associatedItems=[],
    unmodeled='{"x":1}',
    variant="v",
)


def protobuf_body(events, time):
    records = otlp_protobuf.log_records(log_columns(frame_of(events), time))
    return otlp_protobuf.request_head(RESOURCE, sum(map(len, records))) + b"".join(records)


def json_body(events, time):
    records = otlp_json.log_records(log_columns(frame_of(events), time))
    return b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[' + b",".join(records) + b"]}]}]}"


@given(event_lists)
@settings(max_examples=150, deadline=None)
def test_protobuf_is_that_of_the_library_byte_for_byte(events):
    """The library reads each record as the twin has it, and writes the same bytes again."""
    for time in TIMES:
        found = records_of(judged(protobuf_body(events, time)))
        assert [comparable(each) for each in found] == [twin(each, time) for each in events]


@given(event_lists)
@settings(max_examples=150, deadline=None)
def test_json_is_that_of_the_library(events):
    """The library reads each record as the twin has it, and knows every member."""
    for time in TIMES:
        found = records_of(judged_json(json_body(events, time)))
        assert [comparable(each) for each in found] == [twin(each, time) for each in events]


@pytest.mark.parametrize("body", [protobuf_body, json_body])
def test_attributes_have_one_order_and_nulls_are_left_out(body):
    """Both encodings write the attributes in the order of the page."""
    request = (judged if body is protobuf_body else judged_json)(body([FULL, event(8)], "created"))
    (full, bare) = request.resource_logs[0].scope_logs[0].log_records
    keys = list(twin(FULL)["attributes"])
    assert [each.key for each in full.attributes] == keys
    assert [each.key for each in bare.attributes] == [
        key for key in keys if key in twin(event(8))["attributes"]
    ]


@pytest.mark.parametrize("body", [protobuf_body, json_body])
@pytest.mark.parametrize("created", [-1, 0, 1, 9_223_372_036_854, 9_223_372_036_855, -62_135_596_800_001])
def test_a_time_beyond_the_field_is_the_nearest_and_the_true_one_is_an_attribute(body, created):
    """Nothing of a time is lost, though the field holds 1970 to 2262 only."""
    events = [event(1, created=created)]
    for time in TIMES:
        (record,) = records_of((judged if body is protobuf_body else judged_json)(body(events, time)))
        assert record == twin(events[0], time)


def test_values_of_every_length_have_the_right_sizes():
    """The sizes before a value have one to five bytes, and are remembered for short values only."""
    for length in (0, 1, 2, 60, 100, 127, 128, 129, 200, 2_047, 2_048, 16_300, 16_384, 2_097_152):
        events = [event(1, description="x" * length, summary="y" * length)]
        (record,) = records_of(judged(protobuf_body(events, "created")))
        assert (len(record["body"]), len(record["attributes"]["jira.audit.description"])) == (length, length)


def test_a_summary_that_is_missing_makes_no_body():
    for body, judge in ((protobuf_body, judged), (json_body, judged_json)):
        (record,) = records_of(judge(body([event(1, summary=None)], "created")))
        assert record["body"] is None
        assert record["attributes"]["jira.audit.verb"] == "other"


def test_varints_are_those_of_protobuf():
    """Seven bits a byte, the lowest first; the last byte has no mark."""
    assert [otlp_protobuf.varint(each) for each in (0, 1, 127, 128, 300)] == [
        b"\0",
        b"\1",
        b"\x7f",
        b"\x80\1",
        b"\xac\2",
    ]


def test_a_frame_without_events_makes_no_record():
    columns = log_columns(frame_of([event(1)])[:0], "created")
    assert otlp_protobuf.log_records(columns) == otlp_json.log_records(columns) == []
    assert judged(otlp_protobuf.request_head(RESOURCE, 0)).resource_logs[0].scope_logs[0].log_records == []


def test_columns_that_are_empty_in_one_frame_change_no_record_of_another():
    """A column without values is skipped as a whole; each record depends on its event alone."""
    events = [FULL, event(8), event(9, variant="w")]
    for module in (otlp_protobuf, otlp_json):
        together = list(module.log_records(log_columns(frame_of(events), "created")))
        alone = [module.log_records(log_columns(frame_of([each]), "created")) for each in events]
        assert together == list(itertools.chain(*alone))
