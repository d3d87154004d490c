"""Measure the speed of a backfill from Jira into Kafka, beside a bare loop that only encodes and sends.

    .venv/bin/python benchmarks/backfill.py [--organizations 4] [--days 8] [--runs 3]

The benchmark runs an embedded Kafka and a bare server (Linux). The server plays several Jira sites with 8,000 records a day,
each on its own address of 127.0.0.0/8. First `jira-relay produce` reads all records in one process. Then another process
encodes the same events with fastavro and sends them with aiokafka, in transactions of one day. That loop does nothing else:
no HTTP, no JSON, no check for repeats. The first seconds of both, in which they start, do not count.
"""

import argparse
import asyncio
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent))

import fastavro
from aiokafka import AIOKafkaProducer
from bounds import service
from organizations import JiraStub, cpu_seconds, put_organizations

import schemas
from embedded import EmbeddedKafka
from management.settings import Settings
from producer.sources.jira_cloud.mapping import to_event
from relay import timestamps
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import standalone_consumer
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics

SHARDS = 16
DAY_MS = 86_400_000
RECORDS_PER_DAY = 8_000
GAP_MS = DAY_MS // RECORDS_PER_DAY


def record(at: int) -> dict[str, Any]:
    """Return the record of a millisecond. It has some 700 bytes, as most records of Jira have."""
    number = at // GAP_MS
    user = f"ug:0613fc34-{number * 2654435761 % 2**64:016x}"
    return {
        "id": number,
        "summary": "User added to group",
        "remoteAddress": f"10.0.{number % 250}.7",
        "authorKey": user,
        "authorAccountId": f"557058:{user}",
        "created": f"{timestamps.to_iso(at)[:-1]}+0000",
        "category": "group management",
        "eventSource": "",
        "objectItem": {
            "name": "site-admins",
            "typeName": "GROUP",
            "parentId": "1",
            "parentName": "Identity Platform",
        },
        "changedValues": [{"fieldName": "Email", "changedTo": f"{user[3:20]}@example.com"}],
        "associatedItems": [
            {"id": user, "name": user, "typeName": "USER", "parentId": "1", "parentName": "Identity Platform"}
        ],
    }


class HistoricalJiraStub(JiraStub):
    """A connection to one of the sites, which all have the same records; newest first, as Jira answers."""

    begin = 0
    end = 0
    pages: dict[bytes, bytes] = {}  # noqa: RUF012

    def page(self, site: bytes, target: bytes) -> bytes:  # noqa: ARG002
        if target not in self.pages:
            self.pages[target] = self._render(target.decode())
        return self.pages[target]

    def _render(self, target: str) -> bytes:
        parameters = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        first, last = self.begin, self.end - 1
        if "from" in parameters:
            first, last = max(first, _parse_ms(parameters["from"])), min(last, _parse_ms(parameters["to"]))
        offset, limit = int(parameters["offset"]), int(parameters["limit"])
        newest = last // GAP_MS - offset
        oldest = max(-(-first // GAP_MS), newest - limit + 1)
        total = max(0, last // GAP_MS + 1 - -(-first // GAP_MS))
        records = [record(number * GAP_MS) for number in range(newest, oldest - 1, -1)]
        return json.dumps({"offset": offset, "limit": limit, "total": total, "records": records}).encode()


def _parse_ms(text: str) -> int:
    found = timestamps.parse_iso(text)
    if found is None:
        raise ValueError(text)
    return found.ms


async def read_end_offsets(connection: Connection) -> int:
    """Return the sum of the log end offsets of the history topic; markers of transactions count."""
    topic = Topics(connection.kafka.topic_prefix).backfill
    partitions = [TopicPartition(topic, number) for number in range(SHARDS)]
    async with standalone_consumer(connection) as consumer:
        return sum((await consumer.end_offsets(partitions)).values())


async def measure_producer(connection: Connection, expected: int) -> tuple[float, float]:
    """Return events per second and per CPU second of one producer, from a tenth of the events to all of them."""
    variables = {"RELAY_KEY_BENCHMARK": "a key", "RELAY_PRODUCER__INTERVAL_SECONDS": "60"}
    async with service("produce", connection.bootstrap, variables) as pid:
        before = None
        while (count := await read_end_offsets(connection)) < expected:
            now = (count, time.monotonic(), cpu_seconds(pid))
            if before is None and count >= expected / 10:
                before = now
            await asyncio.sleep(0.2)
        first, began, spent = before or (0, 0.0, 0.0)
        return (
            (count - first) / (time.monotonic() - began),
            (count - first) / (cpu_seconds(pid) - spent),
        )


async def run_bare_loop(bootstrap: str, organizations: int, days: int) -> None:
    """Encode and send events, and print events per second and per CPU second."""
    topic = Topics(Settings().kafka.topic_prefix).backfill
    schema = fastavro.parse_schema(schemas.load("audit_event"))
    events = [
        cast("dict[str, Any]", to_event(record(number * GAP_MS), "org.atlassian.net"))
        | {"collected": 1, "mode": "backfill"}
        for number in range(RECORDS_PER_DAY)
    ]
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, transactional_id="bare", compression_type="lz4", linger_ms=5
    )
    await producer.start()
    began, spent = time.monotonic(), time.process_time()
    for number in range(organizations * days):
        async with producer.transaction():
            for event in events:
                out = io.BytesIO()
                fastavro.schemaless_writer(out, schema, event)
                await producer.send(topic, out.getvalue(), b"org.atlassian.net", partition=number % SHARDS)
    count = organizations * days * RECORDS_PER_DAY
    print(count / (time.monotonic() - began), count / (time.process_time() - spent))
    await producer.stop()


async def measure_bare_loop(connection: Connection, organizations: int, days: int) -> tuple[float, float]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--bare", connection.bootstrap),
        *("--organizations", str(organizations), "--days", str(days)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    wall, cpu = map(float, output.split())
    return wall, cpu


async def run(organizations: int, days: int) -> dict[str, float]:
    server = await asyncio.get_running_loop().create_server(HistoricalJiraStub, "0.0.0.0", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    today = time.time_ns() // 1_000_000 // DAY_MS * DAY_MS
    HistoricalJiraStub.begin, HistoricalJiraStub.end = today - days * DAY_MS, today
    with tempfile.TemporaryDirectory() as directory:
        async with EmbeddedKafka(Path(directory), heap="1g", flush_each_write=False) as kafka:
            settings = {"bootstrap": kafka.bootstrap, "replication_factor": 1, "shards": SHARDS}
            connection = Connection(Settings(kafka=settings).kafka)
            await create_missing_topics(connection)
            await put_organizations(connection, organizations, port, backfill_from=HistoricalJiraStub.begin)
            relay = await measure_producer(connection, organizations * days * RECORDS_PER_DAY)
            bare = await measure_bare_loop(connection, organizations, days)
    server.close()
    return {
        "relay, a second": relay[0],
        "relay, a CPU second": relay[1],
        "bare loop, a second": bare[0],
        "bare loop, a CPU second": bare[1],
    }


def summarize(results: list[dict[str, float]]) -> Iterator[str]:
    """Yield a line for each figure: its least, median and most."""
    for name in results[0]:
        values = [each[name] for each in results]
        yield f"{name}: {min(values):,.0f}, {statistics.median(values):,.0f}, {max(values):,.0f} events"
    ratios = [each["bare loop, a CPU second"] / each["relay, a CPU second"] for each in results]
    yield (
        f"CPU time of the relay / bare loop: {min(ratios):.2f}, {statistics.median(ratios):.2f},"
        f" {max(ratios):.2f}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--organizations", type=int, default=4, help="organizations to backfill")
    parser.add_argument("--days", type=int, default=8, help="days of records of each organization")
    parser.add_argument("--runs", type=int, default=3, help="runs of both programs")
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bare:
        asyncio.run(run_bare_loop(given.bare, given.organizations, given.days))
    else:
        found = []
        for _ in range(given.runs):
            found.append(asyncio.run(run(given.organizations, given.days)))
            print(found[-1], flush=True)
        print(*summarize(found), sep="\n")
