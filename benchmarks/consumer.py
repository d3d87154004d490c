"""Measure the CPU time of the whole consumer, from a real Kafka to a destination, beside a record-by-record consumer.

    .venv/bin/python benchmarks/consumer.py [--events 400000] [--runs 3]

The benchmark runs an embedded Kafka and a bare server (Linux). `jira-relay consume` delivers the backlog of a topic, then
another process delivers the same backlog; the two alternate in one run. The other process is careful: it uses
confluent-kafka, fastavro, orjson and gzip of isal, has two bodies in flight on a connection each, and commits accepted
offsets in order. CPU seconds are of the process, from a tenth of the events on, so that its start does not count.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import fastavro
import orjson
from bounds import SHARDS, IngestionStub, consumer_environment, publish_events, sample_until, service
from columns import SCHEMA, ByteReader, build_row
from confluent_kafka import Consumer, TopicPartition
from isal import igzip
from organizations import cpu_seconds

from consumer.destinations.azure_ingestion.body import MAX_BODY_BYTES
from embedded import EmbeddedKafka
from management.settings import Settings
from relay.avro.codec import parsed_schema
from relay.kafka.connection import Connection
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics

FRAME_BYTES = 10
"""Bytes before the body of a single-object message: two of the marker, eight of the fingerprint."""
MAX_IN_FLIGHT = 2
TIMEOUT_SECONDS = 300.0
NO_CONTENT = 204

_thread_local = threading.local()
"""Each thread has a connection."""


def run_record_by_record(bootstrap: str, topic: str, port: int) -> None:
    """Deliver the topic until the process is killed."""
    schema, read, dumps = parsed_schema(SCHEMA), fastavro.schemaless_reader, orjson.dumps
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "by-record",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    posts: list[tuple[Future[None], dict[int, int]]] = []
    rows: list[bytes] = []
    raw, positions = 2, {}
    with ThreadPoolExecutor(MAX_IN_FLIGHT) as pool:
        while True:
            for message in consumer.consume(500, timeout=0.2):
                row = dumps(build_row(read(ByteReader(message.value()[FRAME_BYTES:]), schema)))
                if raw + len(row) + 1 > MAX_BODY_BYTES:
                    posts.append((pool.submit(_post, port, rows), positions))
                    rows, raw, positions = [], 2, {}
                    if len(posts) > MAX_IN_FLIGHT:
                        post, accepted = posts.pop(0)
                        post.result()
                        offsets = [TopicPartition(topic, *each) for each in accepted.items()]
                        consumer.commit(offsets=offsets, asynchronous=True)
                rows.append(row)
                raw += len(row) + 1
                positions[message.partition()] = message.offset() + 1


def _post(port: int, rows: Sequence[bytes]) -> None:
    if not hasattr(_thread_local, "connection"):
        _thread_local.connection = HTTPConnection("127.0.0.1", port, timeout=30)
    body = igzip.compress(b"[" + b",".join(rows) + b"]", 1)
    _thread_local.connection.request("POST", "/", body, {"Content-Encoding": "gzip"})
    response = _thread_local.connection.getresponse()
    response.read()
    if response.status != NO_CONTENT:
        raise RuntimeError(response.status)


@asynccontextmanager
async def record_by_record_process(bootstrap: str, topic: str, port: int) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--bootstrap", bootstrap, "--topic", topic, "--port", str(port))
    )
    try:
        yield process.pid
    finally:
        process.kill()
        await process.wait()


async def measure(pid: int, sink: IngestionStub, count: int) -> float:
    """Return events per CPU second of a process. Raises TimeoutError when the events do not arrive."""
    await sample_until(pid, lambda past: len(sink.accepted_uids) > count / 10 or past > TIMEOUT_SECONDS)
    first, spent = len(sink.accepted_uids), cpu_seconds(pid)
    # The record-by-record program keeps its last body until it is full, so it never delivers all.
    await sample_until(pid, lambda past: len(sink.accepted_uids) > count * 0.98 or past > TIMEOUT_SECONDS)
    if len(sink.accepted_uids) < count * 0.98:
        raise TimeoutError(f"{len(sink.accepted_uids)} of {count} events arrived")
    return (len(sink.accepted_uids) - first) / (cpu_seconds(pid) - spent)


async def main(count: int, runs: int) -> None:
    by_columns, by_record = [], []
    identity = IngestionStub()
    with tempfile.TemporaryDirectory() as directory:
        async with (
            EmbeddedKafka(Path(directory), heap="768m", flush_each_write=False) as kafka,
            identity.listening() as identity_port,
        ):
            for run in range(runs):
                prefix = f"run-{run}"
                settings = {
                    "bootstrap": kafka.bootstrap,
                    "replication_factor": 1,
                    "shards": SHARDS,
                    "topic_prefix": prefix,
                }
                connection = Connection(Settings(kafka=settings).kafka)
                await create_missing_topics(connection)
                loaded = await publish_events(connection, count)
                for name, figures in (("relay", by_columns), ("by record", by_record)):
                    sink = IngestionStub()
                    sink.answering.set()
                    async with sink.listening() as port:
                        variables = consumer_environment(port, identity_port) | {
                            "RELAY_KAFKA__TOPIC_PREFIX": prefix
                        }
                        process = (
                            service("consume", kafka.bootstrap, variables)
                            if name == "relay"
                            else record_by_record_process(kafka.bootstrap, Topics(prefix).events, port)
                        )
                        async with process as pid:
                            began = time.monotonic()
                            figures.append(await measure(pid, sink, loaded))
                            print(
                                f"{name}: {figures[-1]:,.0f} events per CPU second, {time.monotonic() - began:.0f} s"
                            )
    print_figures("relay", by_columns)
    print_figures("by record", by_record)
    ratios = [one / other for one, other in zip(by_columns, by_record, strict=True)]
    print(f"ratio: {min(ratios):.2f}, {statistics.median(ratios):.2f}, {max(ratios):.2f}")


def print_figures(name: str, figures: Sequence[float]) -> None:
    print(
        f"{name}: {min(figures):,.0f}, {statistics.median(figures):,.0f}, {max(figures):,.0f} events per CPU second"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", type=int, default=400_000, help="events in the backlog")
    parser.add_argument("--runs", type=int, default=3, help="runs of both programs")
    parser.add_argument("--bootstrap", help=argparse.SUPPRESS)
    parser.add_argument("--topic", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bootstrap:
        run_record_by_record(given.bootstrap, given.topic, given.port)
    else:
        asyncio.run(main(given.events, given.runs))
