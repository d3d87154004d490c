from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from relay.telemetry.traces.context import new_trace
from relay.telemetry.traces.encoding import export_request, rejected_spans
from relay.telemetry.traces.span import Span, SpanKind
from simulators.otlp.spans import read_spans

RESOURCE = {"service.name": "jira-audit-relay", "process.pid": 7}


def spans():
    """A root without anything, and a child with everything."""
    root, other = new_trace(), new_trace()
    attributes = {
        "text": "ß" * 200,
        "yes": True,
        "no": False,
        "number": 2**40,
        "part": 0.25,
        "lone": "\ud800",
    }
    return [
        Span("poll", SpanKind.INTERNAL, root, None, 2**60, 2**60 + 1),
        Span("GET", SpanKind.CLIENT, root.child(), root, 1, 2, attributes, (other, root), "rate-limited"),
    ]


def test_the_library_of_opentelemetry_reads_the_same_spans():
    """Protobuf's own library parses the request without unknown fields, and writes the same content again."""
    written = export_request(spans(), RESOURCE)
    parsed = ExportTraceServiceRequest.FromString(written)
    root, child = parsed.resource_spans[0].scope_spans[0].spans

    assert {each.key for each in parsed.resource_spans[0].resource.attributes} == {*RESOURCE}
    assert len(parsed.SerializeToString()) == len(written)
    assert (root.name, root.kind, root.parent_span_id, root.end_time_unix_nano) == ("poll", 1, b"", 2**60 + 1)
    values = {each.key: each.value for each in child.attributes}
    assert values["text"].string_value == "ß" * 200
    assert values["yes"].bool_value is True
    assert values["no"].WhichOneof("value") == "bool_value"
    assert values["number"].int_value == 2**40
    assert values["part"].double_value == 0.25
    assert values["lone"].string_value == "?"
    assert values["error.type"].string_value == "rate-limited"
    assert child.status.code == 2
    assert child.parent_span_id == root.span_id
    assert [each.trace_id for each in child.links][1] == root.trace_id
    assert [each["name"] for each in read_spans(written)] == ["poll", "GET"]


def test_the_number_of_rejected_spans_is_read():
    answer = ExportTraceServiceResponse()
    assert rejected_spans(answer.SerializeToString()) == 0
    answer.partial_success.error_message = "a warning"
    assert rejected_spans(answer.SerializeToString()) == 0
    for count in (1, 127, 300, 70_000):
        answer.partial_success.rejected_spans = count
        assert rejected_spans(answer.SerializeToString()) == count
