"""The traces of bodies in delivery.

A body has a trace of its own, with a span for each request. It carries the events of many polls, so its links name the spans that
have sent them to Kafka; and each acceptance is a span in the traces of those polls, with a link back.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice

from consumer.delivery.batch import Rows
from consumer.destinations.outcome import Dropped, Outcome, Paused, Reject, Retry, Split
from consumer.metrics import PipelineMetrics
from relay.kafka import Record, headers_of, offsets_of
from relay.telemetry.traces.context import HEADER, TraceContext, new_trace, parse_traceparent
from relay.telemetry.traces.span import AttributeValue, OpenSpan, SpanKind
from relay.telemetry.traces.tracer import Tracer

MAX_CONTEXTS = 128
"""The most polls that a body tells of; one of history may carry the events of more."""


@dataclass(slots=True)
class CarriedEvents:
    """The events of one transaction among the records of a body."""

    first_offset: int
    last_offset: int
    count: int = 1


@dataclass(slots=True)
class BodyTrace:
    """The trace of one body until the destination has judged it."""

    tracer: Tracer
    root: OpenSpan
    names: Mapping[str, AttributeValue]
    """Destination and flow, for each span."""
    replay: bool
    """Whether its events may have been delivered before: the traces of their polls have ended then, and get no new span."""
    attempts: int = field(default=0)

    def request(self, start_ns: int, outcome: Outcome, wire_bytes: int) -> None:
        """Record a request that has ended. `start_ns`: its begin, in ns since 1970 UTC."""
        self.attempts += 1
        kind = type(outcome).__name__.lower()
        status = getattr(outcome, "status", None)
        span = self._child("request", SpanKind.CLIENT, self.root.context, start_ns)
        span.attributes |= {
            "jira_relay.attempt": self.attempts,
            "jira_relay.outcome": kind,
            "jira_relay.body.bytes": wire_bytes,
        }
        if status is not None:
            span.attributes["http.response.status_code"] = status
        if isinstance(outcome, Retry | Paused | Split | Reject | Dropped):
            span.error = str(status or kind)
        self.tracer.export(span.end())

    def accepted(self, records: Sequence[Record]) -> None:
        """Record that the destination has accepted the rows of these records, in the trace of each poll."""
        if self.replay:
            return
        for context, events in carried_contexts(records).items():
            name = f"accept {self.names['jira_relay.destination']}"
            span = self._child(name, SpanKind.CONSUMER, context, self.root.start_ns)
            span.links = (self.root.context,)
            span.attributes |= {
                "messaging.batch.message_count": events.count,
                "jira_relay.offset.first": events.first_offset,
                "jira_relay.offset.last": events.last_offset,
                "jira_relay.attempts": self.attempts,
            }
            self.tracer.export(span.end())

    def _child(self, name: str, kind: SpanKind, parent: TraceContext, start_ns: int) -> OpenSpan:
        return OpenSpan(name, kind, parent.child(), parent, dict(self.names), start_ns=start_ns)

    def close(self) -> None:
        """End the trace."""
        self.root.attributes["jira_relay.attempts"] = self.attempts
        self.tracer.export(self.root.end())


@contextmanager
def traced_body(metrics: PipelineMetrics, rows: Rows, replay: str | None) -> Iterator[BodyTrace | None]:
    """Record the block as the delivery of a body. None: no poll that it carries is traced.

    `replay`: the id of the job whose events they are; None: they come from a consumer group.
    """
    carried = carried_contexts(rows.tracked.records) if metrics.tracer.enabled else {}
    if not carried:
        yield None
        return
    names: dict[str, AttributeValue] = {f"jira_relay.{key}": value for key, value in metrics.names.items()}
    if replay is not None:
        names["jira_relay.replay"] = replay
    root = OpenSpan(
        f"deliver {names['jira_relay.destination']}",
        SpanKind.CONSUMER,
        new_trace(),
        attributes={
            **names,
            "messaging.system": "kafka",
            "messaging.operation.name": "deliver",
            "messaging.operation.type": "process",
            "messaging.destination.name": rows.tracked.sequences[0].partition.topic,
            "messaging.batch.message_count": len(rows),
        },
        links=tuple(carried),
    )
    trace = BodyTrace(metrics.tracer, root, names, replay is not None)
    try:
        yield trace
    finally:
        trace.close()


def carried_contexts(records: Sequence[Record]) -> dict[TraceContext, CarriedEvents]:
    """Return the spans that have sent these records, at most 128 of them, each with its records."""
    found: dict[bytes, CarriedEvents] = {}
    for headers, offset in zip(headers_of(records), offsets_of(records), strict=True):
        for name, value in headers:
            if name == HEADER:
                events = found.get(value)
                if events is None:
                    found[value] = CarriedEvents(offset, offset)
                else:
                    events.last_offset = offset
                    events.count += 1
    contexts = ((parse_traceparent(value), events) for value, events in islice(found.items(), MAX_CONTEXTS))
    return {context: events for context, events in contexts if context is not None}
