import pytest

from relay.telemetry.traces.context import HEADER, TraceContext, context_in, new_trace, parse_traceparent

CONTEXT = TraceContext(bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736"), bytes.fromhex("00f067aa0ba902b7"))
VALUE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_context_is_written_and_read_as_w3c_does():
    """The example of W3C Trace Context, in both directions."""
    assert CONTEXT.header == (HEADER, VALUE)
    assert parse_traceparent(VALUE) == CONTEXT
    assert context_in([("relay.replay", b"x"), CONTEXT.header]) == CONTEXT
    assert context_in([("relay.replay", b"x")]) is None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        VALUE[:-1],
        VALUE + b"-x",
        VALUE.upper(),
        VALUE[:-2] + b"00",
        b"ff" + VALUE[2:],
        b"00-" + b"0" * 32 + VALUE[35:],
        VALUE[:36] + b"0" * 16 + b"-01",
        b"\xff" * 55,
    ],
)
def test_what_names_no_recorded_trace_is_none(value):
    """A header of another form, of zeros, or of a trace that nobody records continues nothing."""
    assert parse_traceparent(value) is None


def test_ids_are_new_and_never_zero():
    traces = [new_trace() for _ in range(100)]

    assert len({each.trace_id for each in traces}) == len({each.span_id for each in traces}) == 100
    assert traces[0].child().trace_id == traces[0].trace_id
    assert traces[0].child().span_id != traces[0].span_id
