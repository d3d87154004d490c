"""Rows and bodies of OTLP: the framing, the resource, and how a long event is truncated."""

import gzip
import json

import pytest
from hypothesis import given, settings

from consumer.destinations.otlp import rows
from consumer.destinations.otlp.config import OtlpConfig
from tests.support.messages import event, event_lists
from tests.support.otlp import comparable, frame_of, judged, judged_json, records_of, twin

JUDGES = {"protobuf": judged, "json": judged_json}
encodings = pytest.mark.parametrize("encoding", JUDGES)


def config_of(**settings):
    return OtlpConfig(**({"kind": "otlp", "endpoint": "https://localhost", "compression": "none"} | settings))


def request_of(events, flow="live", **settings):
    """The body of these events, as the judge reads it, and its bytes."""
    config = config_of(**settings)
    framing = rows.body_format(config, flow)
    encoded = rows.encode_rows(frame_of(events), config, config.time, framing)
    assert encoded.longest <= framing.max_row_bytes
    body = rows.encode_body(encoded, config, flow, framing)
    assert 0 <= framing.size(encoded) - len(body) <= 16
    return JUDGES[config.encoding](body), body


def attributes_of(event, **settings):
    (record,) = records_of(request_of([event], **settings)[0])
    return record["attributes"]


@encodings
@given(events=event_lists)
@settings(max_examples=60, deadline=None)
def test_a_body_holds_each_event_in_order(encoding, events):
    """The library reads the framing too, and writes the same bytes of protobuf."""
    request, _ = request_of(events, encoding=encoding)
    assert [comparable(each) for each in records_of(request)] == [twin(each) for each in events]


@encodings
@pytest.mark.parametrize("flow", ["live", "history"])
def test_a_body_has_one_resource_that_names_the_flow(encoding, flow):
    """Events of the flow history may have any mode, so a backend tells the flows apart by the resource."""
    request, _ = request_of([event(1), event(2)], flow, encoding=encoding, service_name="jira")
    (resource_logs,) = request.resource_logs
    attributes = {each.key: each.value.string_value for each in resource_logs.resource.attributes}
    assert attributes == {"service.name": "jira", "jira.audit.flow": flow}
    assert len(resource_logs.scope_logs) == 1


@encodings
def test_bodies_are_compressed_unless_the_setting_says_otherwise(encoding):
    _, plain = request_of([event(1)], encoding=encoding)
    config = config_of(encoding=encoding, compression="gzip")
    framing = rows.body_format(config, "live")
    encoded = rows.encode_rows(frame_of([event(1)]), config, "created", framing)
    assert gzip.decompress(rows.encode_body(encoded, config, "live", framing)) == plain


@encodings
def test_a_long_value_is_truncated_with_a_mark(encoding):
    """Backends truncate silently; the mark has the name and the size."""
    attributes = attributes_of(event(1, description="ß" * 20_000, summary="s" * 999), encoding=encoding)
    assert attributes["jira.audit.description"].endswith(
        "… [jira.audit.description was cut by jira-relay: 40000 bytes]"
    )
    assert len(attributes["jira.audit.description"].encode()) <= 32_000


@encodings
def test_a_record_of_many_values_that_fit_is_not_truncated(encoding):
    """Only values that are too long are cut, and a record that has no room."""
    long = event(1, description="d" * 1_999, unmodeled="u" * 2_000, summary="s" * 2_000)
    assert attributes_of(long, encoding=encoding, max_value_bytes=2_000) == twin(long)["attributes"]
    cut = attributes_of({**long, "unmodeled": "u" * 2_001}, encoding=encoding, max_value_bytes=2_000)
    assert cut["jira.audit.unmodeled"].endswith("[jira.audit.unmodeled was cut by jira-relay: 2001 bytes]")
    assert cut["jira.audit.description"] == "d" * 1_999


@encodings
def test_a_long_summary_is_truncated_as_the_body(encoding):
    (record,) = records_of(request_of([event(1, summary="s" * 40_000)], encoding=encoding)[0])
    assert record["body"].endswith("… [body was cut by jira-relay: 40000 bytes]")


@encodings
def test_a_long_list_stays_json_and_says_how_many_items_are_left(encoding):
    values = [
        {"fieldName": f"f{number}", "changedFrom": "a" * 50, "changedTo": "b"} for number in range(2_000)
    ]
    attributes = attributes_of(event(1, changedValues=values), encoding=encoding)
    found = json.loads(attributes["jira.audit.changed_values"])
    assert found[0] == values[0]
    assert found[-1] == {
        "fieldName": f"[jira.audit.changed_values was cut by jira-relay: {len(found) - 1} of 2000 items]"
    }


@encodings
def test_an_event_without_room_keeps_its_identity(encoding):
    """Every value is long, and each needs escapes in JSON: the record fits all the same, and its neighbours are whole."""
    text, item = (
        "\x01" * 200_000,
        {"id": "\x01" * 200_000, "name": "\x01" * 200_000, "typeName": "\x01" * 9_000},
    )
    names = (
        "summary",
        "category",
        "description",
        "eventSource",
        "remoteAddress",
        "authorKey",
        "authorAccountId",
        "unmodeled",
    )
    long = event(2, **dict.fromkeys(names, text), objectItem=item, associatedItems=[item] * 9)
    neighbours = [event(1), event(3)]
    request, body = request_of(
        [neighbours[0], long, neighbours[1]], encoding=encoding, max_body_bytes=100_000
    )
    first, cut, last = records_of(request)
    assert [first, last] == [twin(each) for each in neighbours]
    assert cut["attributes"]["log.record.uid"] == "acme.atlassian.net/2"
    assert cut["attributes"]["jira.audit.unmodeled"].endswith("was cut by jira-relay: 200000 bytes]")
    assert len(body) < 200_000


@encodings
def test_the_key_of_an_event_is_never_truncated(encoding):
    """Whatever the length of a name, an event without its key could not be found."""
    long = event(2, organization="o" * 40_000, description="d" * 40_000)
    attributes = attributes_of(long, encoding=encoding)
    assert attributes["log.record.uid"] == f"{long['organization']}/2"
    assert attributes["jira.organization"] == long["organization"]
    assert attributes["jira.audit.description"] != long["description"]
