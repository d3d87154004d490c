import asyncio

import pytest

from relay.telemetry.traces.span import SpanKind
from relay.telemetry.traces.tracer import MAX_SPANS, NOT_TRACED, Tracer, open_span


def publish(tracer, *, events=True):
    """Poll a window with one request; publish its events, if there are any."""
    with tracer.trace("poll", {"jira_relay.organization": "acme"}):
        with open_span("GET", SpanKind.CLIENT, {}) as request:
            pass
        if events:
            with open_span("send", SpanKind.PRODUCER, {}, useful=True):
                pass
    return request


def test_a_window_with_events_is_one_trace():
    """Request and transaction are below the poll, in one trace."""
    spans = []
    publish(Tracer(spans.append))
    request, send, poll = spans

    assert [each.name for each in spans] == ["GET", "send", "poll"]
    assert len({each.context.trace_id for each in spans}) == 1
    assert request.parent == send.parent == poll.context
    assert poll.parent is None
    assert poll.start_ns <= request.start_ns <= request.end_ns <= poll.end_ns


def test_a_window_without_news_is_not_exported():
    spans = []
    assert publish(Tracer(spans.append), events=False) is not None
    assert spans == []


def test_a_window_that_fails_is_exported_with_the_kind_of_the_failure():
    """The text of an error may quote an answer, so that it is left out; a cancelled window is no failure."""
    spans = []
    tracer = Tracer(spans.append)
    with (
        pytest.raises(ValueError, match="secret"),
        tracer.trace("poll", {}),
        open_span("GET", SpanKind.CLIENT, {}),
    ):
        raise ValueError("secret")
    assert [(each.name, each.error) for each in spans] == [("GET", "ValueError"), ("poll", "ValueError")]
    with pytest.raises(asyncio.CancelledError), tracer.trace("poll", {}):
        raise asyncio.CancelledError
    assert len(spans) == 2


def test_only_the_wanted_part_is_recorded():
    """Of ten polls with a ratio of 0.3, those are recorded whose draw is below it; without an export none is."""
    spans = []
    draws = iter(number / 10 for number in range(10))
    tracer = Tracer(spans.append, 0.3, draw=lambda: next(draws))
    for _ in range(10):
        publish(tracer)
    assert [each.name for each in spans].count("poll") == 3
    assert publish(NOT_TRACED) is None


def test_a_trace_is_bounded_and_says_what_it_left_out():
    spans, left_out = [], []
    tracer = Tracer(spans.append, on_left_out=left_out.append)
    with tracer.trace("poll", {}):
        for _ in range(MAX_SPANS + 5):
            with open_span("GET", SpanKind.CLIENT, {}, useful=True):
                pass
    assert len(spans) == MAX_SPANS + 1
    assert left_out == [5]
    with open_span("GET", SpanKind.CLIENT, {}) as outside:
        assert outside is None
