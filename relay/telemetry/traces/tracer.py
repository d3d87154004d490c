"""Record traces: one that this process begins, and spans that continue those of another process."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from relay.telemetry.traces.context import TraceContext, new_trace
from relay.telemetry.traces.span import AttributeValue, OpenSpan, Span, SpanKind

MAX_SPANS = 512
"""The most spans that a trace keeps until its end; a window of a backfill may have thousands of requests."""


class Trace:
    """A trace that this process begins. Its spans are kept until its end: only then it is known whether it is of use."""

    def __init__(self, root: OpenSpan) -> None:
        self.root = root
        self.spans: list[Span] = []
        self.left_out = 0
        """Spans that were too many."""
        self.useful = False
        """Whether it has something to tell; else none of its spans is exported."""

    def add(self, span: Span) -> None:
        """Add a span that has ended."""
        if len(self.spans) < MAX_SPANS:
            self.spans.append(span)
        else:
            self.left_out += 1


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""The trace of the running task; None: it is not recorded."""


class Tracer:
    """Begins traces, and takes spans that have ended. Without `export` it records nothing."""

    def __init__(
        self,
        export: Callable[[Span], None] | None = None,
        ratio: float = 1.0,
        on_left_out: Callable[[int], None] = lambda _: None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`ratio`: the part of the traces that are recorded, from 0 to 1. `on_left_out`: takes the number of spans that a trace left out."""
        self._export = export
        self._ratio = ratio
        self._on_left_out = on_left_out
        self._draw = draw

    @property
    def enabled(self) -> bool:
        """Whether spans are recorded at all."""
        return self._export is not None

    def export(self, span: Span) -> None:
        """Take a span that has ended."""
        if self._export is not None:
            self._export(span)

    def step(
        self,
        parent: TraceContext | None,
        name: str,
        attributes: Mapping[str, AttributeValue],
        error: str | None,
    ) -> None:
        """Record a step that takes no time, in the trace that another process began. `parent` None: there is none."""
        if parent is not None:
            span = OpenSpan(name, SpanKind.CONSUMER, parent.child(), parent, dict(attributes), error=error)
            self.export(span.end())

    @contextmanager
    def trace(self, name: str, attributes: Mapping[str, AttributeValue]) -> Iterator[None]:
        """Begin a trace, which `open_span` finds in this task until the block ends, and whose root is the block.

        It is exported at the end of the block if a span said that it is useful, or the block failed.
        """
        if self._export is None or self._draw() >= self._ratio:
            yield
            return
        trace = Trace(OpenSpan(name, SpanKind.INTERNAL, new_trace(), attributes=dict(attributes)))
        token = _current.set(trace)
        try:
            with _failure_noted(trace.root):
                yield
        except Exception:
            trace.useful = True
            raise
        finally:
            _current.reset(token)
            if trace.useful:
                for span in (*trace.spans, trace.root.end()):
                    self._export(span)
                self._on_left_out(trace.left_out)


NOT_TRACED = Tracer()


@contextmanager
def open_span(
    name: str, kind: SpanKind, attributes: Mapping[str, AttributeValue], *, useful: bool = False
) -> Iterator[OpenSpan | None]:
    """Record the block as a span below the root of the task's trace. None: there is no trace, or it is not recorded.

    `useful`: the trace is worth an export, as one that has published events. An exception is noted by its name, and goes on.
    """
    trace = _current.get()
    if trace is None:
        yield None
        return
    root = trace.root.context
    span = OpenSpan(name, kind, root.child(), root, dict(attributes))
    trace.useful |= useful
    try:
        with _failure_noted(span):
            yield span
    finally:
        trace.add(span.end())


@contextmanager
def _failure_noted(span: OpenSpan) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        span.error = span.error or failure_name(error)
        raise


def failure_name(error: BaseException) -> str:
    """Return the kind of an error, never its text: the member `kind` of those that have one, else the name of its class."""
    return str(getattr(error, "kind", type(error).__name__))
