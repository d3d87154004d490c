"""A span: one step of an event's way, with its begin and its end."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from relay.telemetry.traces.context import TraceContext

AttributeValue = str | bool | int | float


class SpanKind(IntEnum):
    """The kinds of OpenTelemetry, with their numbers."""

    INTERNAL = 1
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


@dataclass(frozen=True, slots=True)
class Span:
    """A span that has ended. Instants are ns since 1970 UTC; whole numbers among the attributes are not negative."""

    name: str
    kind: SpanKind
    context: TraceContext
    parent: TraceContext | None
    start_ns: int
    end_ns: int
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    links: tuple[TraceContext, ...] = ()
    error: str | None = None
    """The kind of the failure, such as a status or the name of an exception, never its text. None: it succeeded."""


@dataclass(slots=True)
class OpenSpan:
    """A span that goes on. Its attributes and its error may be set until it ends."""

    name: str
    kind: SpanKind
    context: TraceContext
    parent: TraceContext | None = None
    attributes: dict[str, AttributeValue] = field(default_factory=dict)
    links: tuple[TraceContext, ...] = ()
    error: str | None = None
    start_ns: int = field(default_factory=time.time_ns)

    def end(self) -> Span:
        """Return the span, which ends now. A clock that went back makes it end when it began."""
        return Span(
            self.name,
            self.kind,
            self.context,
            self.parent,
            self.start_ns,
            max(self.start_ns, time.time_ns()),
            self.attributes,
            self.links,
            self.error,
        )
