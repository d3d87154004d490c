"""The messages of the simulated backend: what the library of OpenTelemetry writes is read, and the reverse."""

import json

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from simulators.otlp import json_messages, protobuf
from simulators.otlp.protobuf import BadMessageError


def request():
    """Two records of one resource, one of them without a body."""
    written = ExportLogsServiceRequest()
    resource_logs = written.resource_logs.add()
    named = resource_logs.resource.attributes.add()
    named.key, named.value.string_value = "service.name", "x" * 200
    for number in (1, 2):
        record = resource_logs.scope_logs.add().log_records.add()
        record.time_unix_nano, record.observed_time_unix_nano = number, 2**63 - 1
        record.severity_number, record.event_name = 9, "jira.audit"
        attribute = record.attributes.add()
        attribute.key, attribute.value.string_value = "log.record.uid", f"ß/{number}"
    record.body.string_value = ""
    return written


def test_both_encodings_of_a_request_are_read_alike():
    written = request()
    found = protobuf.read_request(written.SerializeToString())
    document = json_format.MessageToDict(written)
    for scope_logs in document["resourceLogs"][0]["scopeLogs"]:
        for record in scope_logs["logRecords"]:
            record["severityNumber"] = 9
    assert json_messages.read_request(json.dumps(document).encode()) == found
    assert [record["body"] for record in found] == [None, ""]
    assert [record["timeUnixNano"] for record in found] == [1, 2]
    assert [record["attributes"] for record in found] == [
        {"log.record.uid": f"ß/{number}"} for number in (1, 2)
    ]
    assert {record["resource"]["service.name"] for record in found} == {"x" * 200}


@pytest.mark.parametrize("end", range(1, 40))
def test_a_request_that_breaks_off_is_no_message(end):
    """A strict backend refuses a body that was cut."""
    content = request().SerializeToString()[:-end]
    with pytest.raises(BadMessageError):
        protobuf.read_request(content)


@pytest.mark.parametrize(
    "content", [b"[]", b"{", b'{"resourceLogs": 3}', b'{"resourceLogs": [{"resource": {}}]}']
)
def test_json_of_another_form_is_no_message(content):
    with pytest.raises(BadMessageError):
        json_messages.read_request(content)


@pytest.mark.parametrize(("rejected", "message"), [(0, ""), (0, "warning"), (1, "bad"), (300, "ß" * 100)])
def test_the_library_reads_an_answer(rejected, message):
    answer = ExportLogsServiceResponse()
    answer.ParseFromString(protobuf.partial_success(rejected, message))
    in_json = json_format.Parse(json_messages.partial_success(rejected, message), ExportLogsServiceResponse())
    for each in (answer, in_json):
        assert each.partial_success.rejected_log_records == rejected
        assert each.partial_success.error_message == message
