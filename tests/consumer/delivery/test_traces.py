"""What the delivery of a body records of the traces of its events."""

import dataclasses

import pytest
from prometheus_client import CollectorRegistry

from consumer.delivery.batch import Rows
from consumer.delivery.traces import MAX_LINKS
from consumer.destinations.outcome import Partial, Retry, Sent
from consumer.metrics import ConsumerMetrics
from relay.telemetry.traces.context import new_trace
from relay.telemetry.traces.span import SpanKind
from relay.telemetry.traces.tracer import Tracer
from tests.support.delivery import FakeDestination, sender_fixture

FIRST, SECOND = new_trace(), new_trace()


async def deliver(answer, *, headers=((FIRST.header,), (FIRST.header,), (SECOND.header,), ()), **flow):
    """Deliver one body of rows with these headers; return the spans."""
    spans = []
    async with sender_fixture(FakeDestination(answer)) as fixture:
        metrics = ConsumerMetrics(CollectorRegistry(), tracer=Tracer(spans.append))
        pipeline = metrics.for_pipeline("sentinel", "replay" if "replay" in flow else "live")
        fixture.flow = dataclasses.replace(fixture.flow, metrics=pipeline, **flow)
        fixture.sender = fixture.new_sender()
        rows = fixture.rows(len(headers))
        records = [
            dataclasses.replace(each, headers=one)
            for each, one in zip(rows.tracked.records, headers, strict=True)
        ]
        fixture.sender.start(Rows(rows.encoded, dataclasses.replace(rows.tracked, records=records)))
        assert await fixture.sender.wait_until_finished(60)
    return spans


def by_name(spans, name):
    return [each for each in spans if each.name == name]


async def test_each_poll_of_a_body_learns_of_its_acceptance():
    """The body has a trace of its own with a span for each request; two polls get a span each, with a link back."""
    answers = iter([Retry("busy", 503), Sent()])
    spans = await deliver(lambda _rows: next(answers))
    (body,) = by_name(spans, "deliver sentinel")
    requests, accepted = by_name(spans, "request"), by_name(spans, "accept sentinel")

    assert body.links == (FIRST, SECOND)
    assert body.attributes["jira_relay.attempts"] == 2
    assert [(each.error, each.kind, each.parent) for each in requests] == [
        ("503", SpanKind.CLIENT, body.context),
        (None, SpanKind.CLIENT, body.context),
    ]
    assert [each.parent for each in accepted] == [FIRST, SECOND]
    assert [each.attributes["messaging.batch.message_count"] for each in accepted] == [2, 1]
    assert [each.attributes["jira_relay.offset.last"] for each in accepted] == [1, 2]
    assert {each.links for each in accepted} == {(body.context,)}
    assert "busy" not in str(spans)


async def test_a_row_that_is_refused_ends_as_a_dead_letter_in_its_trace():
    """One poll has the acceptance of its other event, and the dead letter with its category."""
    spans = await deliver(lambda rows: Partial({0: "bad value"}, status=200) if b"0" in rows[0] else Sent())
    (letter,) = by_name(spans, "dead-letter sentinel")

    assert (letter.parent, letter.error) == (FIRST, "rejected")
    assert [
        each.attributes["messaging.batch.message_count"] for each in by_name(spans, "accept sentinel")
    ] == [1, 1]
    assert "bad value" not in str(spans)


async def test_a_replay_adds_nothing_to_the_old_traces():
    """The polls ended long ago: the body of a replay names them by links alone, also where it is refused in part."""
    spans = await deliver(
        lambda rows: Partial({0: "bad value"}, status=200) if b"0" in rows[0] else Sent(), replay="r-1"
    )

    assert [each.name for each in spans] == ["request", "deliver sentinel"]
    assert spans[-1].links == (FIRST, SECOND)
    assert spans[-1].attributes["jira_relay.replay"] == "r-1"


@pytest.mark.parametrize(
    "headers",
    [
        ((), ()),
        ((("relay.replay", b"x"),), ()),
        ((("traceparent", None),), (("relay.replay", None), ("traceparent", b"\xff" * 1_000))),
    ],
)
async def test_a_body_without_traced_events_records_nothing(headers):
    """Also where a header has no value, as Kafka allows, or is none of the relay's: it never fails the delivery."""
    assert await deliver(lambda _rows: Sent(), headers=headers) == []


async def test_a_body_has_a_bounded_number_of_links_and_tells_every_poll():
    """A body may carry the events of more polls than a span may have links: each of them learns of the acceptance."""
    polls = [new_trace() for _ in range(MAX_LINKS + 7)]
    spans = await deliver(lambda _rows: Sent(), headers=[(poll.header,) for poll in polls])

    assert by_name(spans, "deliver sentinel")[0].links == tuple(polls[:MAX_LINKS])
    assert [each.parent for each in by_name(spans, "accept sentinel")] == polls
