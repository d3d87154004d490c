"""Measure what traces cost: CPU time of a span, of its encoding, and of the headers of events in a consumer.

    .venv/bin/python benchmarks/traces.py

It needs no Kafka. With opentelemetry-sdk and opentelemetry-exporter-otlp-proto-common installed, it measures theirs in the same run.
"""

import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from consumer.delivery.traces import carried_contexts
from relay.kafka import have_headers, headers_of
from relay.kafka.records import FetchedRecords
from relay.replays.refill import replay_of
from relay.telemetry.traces.context import new_trace
from relay.telemetry.traces.encoding import export_request
from relay.telemetry.traces.span import Span, SpanKind
from relay.telemetry.traces.tracer import Tracer, open_span

SPANS = 20_000
RECORDS = 1_000
ROUNDS = 5
ATTRIBUTES = {"text": "x", "number": 1}


def measure(name: str, work: Callable[[], object], count: int) -> None:
    """Print the least CPU time of some rounds, in microseconds for each of `count` items."""
    least = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        least = min(least, time.process_time() - started)
    print(f"{name:44} {least / count * 1e6:7.2f} us")


def record_spans(tracer: Tracer) -> None:
    for _ in range(SPANS // 100):
        with tracer.trace("poll", {}):
            for _ in range(100):
                with open_span("GET", SpanKind.CLIENT, ATTRIBUTES, useful=True):
                    pass


def fetched(headers: list[tuple[str, bytes]]) -> FetchedRecords:
    """Return records of one batch, as a fetch has them."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 10**9)
    for number in range(RECORDS):
        builder.append(number, number, b"acme.atlassian.net", b"x" * 385, headers)
    parsed = list(DefaultRecordBatch(builder.build()))
    return FetchedRecords.of(parsed, TopicPartition("events", 0))


def main() -> None:
    spans: list[Span] = []
    record_spans(Tracer(spans.append))
    plain, traced = fetched([]), fetched([new_trace().header])
    measure("a span", lambda: record_spans(Tracer(lambda _: None)), SPANS)
    measure("a span, with traces off", lambda: record_spans(Tracer()), SPANS)
    measure("its encoding", lambda: export_request(spans, {}), len(spans))
    measure("an event without a header: the look at it", lambda: have_headers(plain), RECORDS)
    measure(
        "an event with a header: is it of a replay",
        lambda: [replay_of(each) for each in headers_of(traced)],
        RECORDS,
    )
    measure("an event with a header: its trace", lambda: carried_contexts(traced), RECORDS)
    if importlib.util.find_spec("opentelemetry.sdk") is not None:
        measure_library()


def measure_library() -> None:
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: PLC0415

    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("benchmark")

    def record() -> None:
        kept.clear()
        for _ in range(SPANS):
            with tracer.start_as_current_span("GET", attributes=ATTRIBUTES):
                pass

    measure("the library: a span", record, SPANS)
    measure(
        "the library: its encoding",
        lambda: encode_spans(kept.get_finished_spans()).SerializeToString(),
        SPANS,
    )


if __name__ == "__main__":
    main()
