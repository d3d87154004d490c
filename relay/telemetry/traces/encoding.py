"""Spans as the body of an OTLP request, in protobuf: the same message as that of protobuf's own library.

Source: opentelemetry-proto 1.5 and later, trace/v1/trace.proto, common/v1/common.proto, collector/trace/v1/trace_service.proto.
"""

import struct
from collections.abc import Iterable, Mapping

from relay.protobuf import length_field, number_field, varint
from relay.telemetry.traces.context import TraceContext
from relay.telemetry.traces.span import AttributeValue, Span

SCOPE = "jira-audit-relay"
_STATUS_ERROR = number_field(3, 2)  # Status.code = 3, STATUS_CODE_ERROR = 2


def export_request(spans: Iterable[Span], resource: Mapping[str, AttributeValue]) -> bytes:
    """Return an ExportTraceServiceRequest."""
    scope = length_field(
        1, length_field(1, SCOPE.encode())
    )  # ScopeSpans.scope = 1, InstrumentationScope.name = 1
    in_scope = scope + b"".join(length_field(2, _span(each)) for each in spans)  # ScopeSpans.spans = 2
    of_resource = length_field(1, _attributes(1, resource)) + length_field(2, in_scope)
    return length_field(1, of_resource)


def rejected_spans(answer: bytes) -> int:
    """Return how many spans the answer of a 200 says were dropped: the partial success of OTLP, in protobuf."""
    # ExportTraceServiceResponse.partial_success = 1, rejected_spans = 1, the first field where there is one
    if answer[:1] != b"\x0a" or answer[2:3] != b"\x08":
        return 0
    found = 0
    for place, byte in enumerate(answer[3:13]):
        found |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            break
    return found


def _span(span: Span) -> bytes:
    failed = span.error is not None
    attributes = {**span.attributes, "error.type": span.error} if span.error is not None else span.attributes
    parts = [
        _ids(span.context),
        b"" if span.parent is None else length_field(4, span.parent.span_id),
        length_field(5, span.name.encode()),
        number_field(6, span.kind),
        varint(7 << 3 | 1) + struct.pack("<Q", span.start_ns),
        varint(8 << 3 | 1) + struct.pack("<Q", span.end_ns),
        _attributes(9, attributes),
        *(length_field(13, _ids(link)) for link in span.links),
        length_field(15, _STATUS_ERROR) if failed else b"",
    ]
    return b"".join(parts)


def _ids(context: TraceContext) -> bytes:
    return length_field(1, context.trace_id) + length_field(2, context.span_id)


def _attributes(number: int, attributes: Mapping[str, AttributeValue]) -> bytes:
    return b"".join(
        length_field(number, length_field(1, key.encode()) + length_field(2, _value(value)))
        for key, value in attributes.items()
    )


def _value(value: AttributeValue) -> bytes:
    match value:
        case str():
            return length_field(1, value.encode(errors="replace"))
        case bool():
            return number_field(2, value)
        case int():
            return number_field(3, value)
        case _:
            return varint(4 << 3 | 1) + struct.pack("<d", value)
