"""Measure the CPU time that filters, privacy rules and the bodies of other destinations cost an event, beside Sentinel's rows.

    .venv/bin/python benchmarks/formats.py [--runs 5]

Each step works on decoded events of some 400 bytes of Avro, on one core and without a network. The runs of all steps alternate,
and the ratio to Sentinel's rows is of the same run: compare ratios, since machines differ.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))

import polars as pl
from aiokafka.producer.message_accumulator import BatchBuilder
from columns import REF, SCHEMA, messages

from consumer.decoding.columns import decode
from consumer.decoding.event_schema import EVENT_COLUMNS
from consumer.destinations.elasticsearch import rows as elasticsearch
from consumer.destinations.elasticsearch.config import ElasticsearchConfig
from consumer.destinations.elasticsearch.config import Format as DocumentFormat
from consumer.destinations.http import rows as http
from consumer.destinations.http.config import EventFormat, Format, HttpConfig
from consumer.destinations.kafka import rows as kafka
from consumer.destinations.kafka.config import TopicConfig
from consumer.destinations.object_store import rows as objects
from consumer.destinations.object_store.layout import OCSF, PLAIN, ObjectFormat
from consumer.destinations.otlp import rows as otlp
from consumer.destinations.otlp.config import Encoding, OtlpConfig
from consumer.destinations.sentinel import rows as sentinel
from consumer.destinations.sentinel_asim import rows as asim
from consumer.destinations.splunk import rows as splunk
from consumer.formats.filter import compile_filter
from consumer.formats.privacy import Rule, compile_privacy

BATCHES = (500, 20_000)
WHERE = "category IN ('permissions', 'user management') AND 'USER' = ANY(associatedTypes) AND created > DATE '2025-01-01'"
HIDE: Mapping[str, Rule] = {
    "remoteAddress": "mask",
    "authorAccountId": "hash",
    "authorKey": "drop",
    "names": "hash",
}
BASE = "Sentinel row"
ZSTD = 4
"""The number of the codec in a record batch."""

Step = Callable[[pl.DataFrame], object]


def http_body(shape: Format, event_format: EventFormat = "native") -> Step:
    """Return the step from events to one body in this format, not compressed."""
    config = HttpConfig(kind="http", url="https://localhost/x", format=shape, max_body_bytes=10_000_000)  # type: ignore[arg-type]
    framing = http.body_format(config)
    return lambda events: http.encode_body(
        http.encode_rows(events, shape, framing, event_format), config, framing
    )


def splunk_rows(*, routed: bool) -> Step:
    """Return the step from events to rows in Splunk's envelope. `routed`: organizations have an index of their own."""
    routes = {f"org{number}.atlassian.net": f"jira_{number}" for number in range(100)} if routed else {}
    row = splunk.Envelope("jira-audit-relay", "jira:cloud:audit:log", "jira", routes).row()
    framing = splunk.body_format(5_000_000)
    return lambda events: splunk.encode_rows(events, row, framing)


def splunk_gzip(events: pl.DataFrame) -> object:
    """Write the rows, and compress them in one body."""
    framing = splunk.body_format(100_000_000)
    rows = splunk.encode_rows(
        events, splunk.Envelope("jira-audit-relay", "jira:cloud:audit:log", "jira").row(), framing
    )
    return splunk.encode_body(rows, framing)


def parquet_object(format_: ObjectFormat) -> Step:
    """Return the step all the way from events to an object of the destination object-store."""

    def step(events: pl.DataFrame) -> object:
        body = objects.encode_body(objects.encode_rows(events))
        return objects.encode_object(objects.read_body(body, range(events.height)), "events", 0, format_)

    return step


def bulk_body(shape: DocumentFormat) -> Step:
    """Return the step from events to one body of the bulk API with documents in this format, not compressed."""
    config = ElasticsearchConfig(
        kind="elasticsearch",
        endpoint="https://localhost",
        format=shape,
        compression="none",
        max_body_bytes=50_000_000,
    )
    framing = elasticsearch.body_format(config)
    return lambda events: elasticsearch.encode_body(
        elasticsearch.encode_rows(events, shape, None, framing), config, framing
    )


def otlp_body(encoding: Encoding) -> Step:
    """Return the step from events to one body of OTLP in this encoding, not compressed."""
    config = OtlpConfig(
        kind="otlp",
        endpoint="https://localhost",
        encoding=encoding,
        compression="none",
        max_body_bytes=10_000_000,
    )
    framing = otlp.body_format(config, "live")
    return lambda events: otlp.encode_body(
        otlp.encode_rows(events, config, "created", framing), config, "live", framing
    )


def kafka_batches(events: pl.DataFrame) -> object:
    """Go all the way from events to compressed record batches of the destination kafka, each of at most 900 kB."""
    config = TopicConfig(kind="kafka", topic="jira", max_record_bytes=10_000_000)
    framing = kafka.body_format(config)
    built = []
    body = framing.framed(kafka.encode_rows(events, config, framing))
    batch = BatchBuilder(900_000, ZSTD)
    for key, value, timestamp, headers in kafka.decode_records(body, 2_000_000_000_000):
        if batch.append(timestamp=timestamp, key=key, value=value, headers=headers) is None:
            built.append(batch._build())  # noqa: SLF001 - as the producer does
            batch = BatchBuilder(900_000, ZSTD)
            batch.append(timestamp=timestamp, key=key, value=value, headers=headers)
    return [*built, batch._build()]  # noqa: SLF001 - as above


def hide() -> Step:
    """Return the privacy rules without a text that they remember."""
    return compile_privacy(HIDE, "0123456789abcdef0123456789abcdef", EVENT_COLUMNS).hide


STEPS: Mapping[str, Callable[[], Step]] = {
    BASE: lambda: sentinel.encode_rows,
    "ASIM row": lambda: asim.encode_rows,
    "where": lambda: compile_filter(WHERE, EVENT_COLUMNS).mask,
    "hide": hide,
    "Splunk rows": lambda: splunk_rows(routed=False),
    "Splunk rows, 100 indexes": lambda: splunk_rows(routed=True),
    "Splunk rows and gzip": lambda: splunk_gzip,
    "HTTP body, ndjson": lambda: http_body("ndjson"),
    "HTTP body, json": lambda: http_body("json"),
    "HTTP body, ocsf": lambda: http_body("ndjson", "ocsf"),
    "HTTP body, CloudEvents": lambda: http_body("cloudevents"),
    "Kafka batches, zstd": lambda: kafka_batches,
    "OTLP body, protobuf": lambda: otlp_body("protobuf"),
    "OTLP body, json": lambda: otlp_body("json"),
    "Parquet object": lambda: parquet_object(PLAIN),
    "Parquet object, ocsf": lambda: parquet_object(OCSF),
    "bulk body, ecs": lambda: bulk_body("ecs"),
    "bulk body, native": lambda: bulk_body("native"),
    "bulk body, ocsf": lambda: bulk_body("ocsf"),
}
"""Each step, made anew for each run."""


def few_people(events: pl.DataFrame) -> pl.DataFrame:
    """Return the events as if 300 people had caused them: the sample of columns.py has another author in each event."""
    person = pl.int_range(pl.len()).mod(300).cast(pl.String)
    return events.with_columns(
        authorAccountId=pl.lit("5b10a2844c") + person, authorKey=pl.lit("ug:") + person
    )


def cpu_per_event(step: Step, batches: list[pl.DataFrame]) -> float:
    """Return the CPU time of an event, in µs."""
    begun = time.process_time()
    for batch in batches:
        step(batch)
    return (time.process_time() - begun) / sum(batch.height for batch in batches) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5, help="runs of every step")
    runs = parser.parse_args().runs
    events = decode(messages(20_000), {REF: SCHEMA}).frame
    print(
        f"CPU time of an event in µs, least of {runs} runs, and its ratio to the {BASE}, median of the runs."
    )
    for size in BATCHES:
        for people, frame in (("all differ", events), ("300 people", few_people(events))):
            batches = [frame[start : start + size] for start in range(0, frame.height, size)]
            for make in STEPS.values():
                make()(batches[0])
            times: dict[str, list[float]] = {name: [] for name in STEPS}
            for _ in range(runs):
                for name, make in STEPS.items():
                    times[name].append(cpu_per_event(make(), batches))
            for name, found in times.items():
                ratio = statistics.median(one / base for one, base in zip(found, times[BASE], strict=True))
                print(f"{size:>6} a batch, {people}  {name:<24}{min(found):8.2f}{ratio:8.2f}")


if __name__ == "__main__":
    main()
