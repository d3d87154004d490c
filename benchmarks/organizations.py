"""Measure memory, CPU time and late rounds of a producer that polls many quiet organizations.

    .venv/bin/python benchmarks/organizations.py [--organizations 10000] [--interval 60] [--seconds 300]

The organizations were polled for a week before: first contact, with its questions for each site's id and clock, is another
measurement (start.py). The benchmark runs an embedded Kafka and a bare server, which plays a Jira site on each address of 127.0.0.0/8 (Linux). The
lateness of a round is the time since the round before it, less the interval. The first third of the time, in which the
rounds begin, does not count.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from email.utils import formatdate
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).parent.parent))

from bounds import print_samples, sample_until, service
from progress import cloud_id, put_progress

from embedded import EmbeddedKafka
from management.settings import Settings
from relay.kafka.connection import Connection
from relay.kafka.producer import ProducerRecord
from relay.kafka.publish_errors import PublishError
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics, partition_of
from relay.kafka.transactions import TransactionalProducer
from relay.organizations import Organization, OrganizationCodec

SHARDS = 16
OPEN_ATTEMPTS = 10
EVENTS_A_DAY = 10
"""In the ledgers of the week before; nothing happens meanwhile."""
RECORD = {"id": 1, "created": "2026-01-01T00:00:00.000+0000", "summary": "User created", "category": "users"}


class JiraStub(asyncio.Protocol):
    """A connection to one of the sites. `rounds` has the times of the window requests to each site."""

    rounds: dict[bytes, list[float]] = defaultdict(list)  # noqa: RUF012

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        *requests, self._buffer = (self._buffer + data).split(b"\r\n\r\n")
        for request in requests:
            self._transport.write(self._answer(request))

    def _answer(self, request: bytes) -> bytes:
        host = re.search(rb"(?i)\r\nhost: (\S+)", request)
        site = host[1] if host else b""
        target = request.split(b" ", 2)[1]
        if target.startswith(b"/_edge/tenant_info"):
            body = json.dumps({"cloudId": cloud_id(site.decode())}).encode()
        else:
            body = self.page(site, target)
        head = f"HTTP/1.1 200 OK\r\nDate: {formatdate(usegmt=True)}\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def page(self, site: bytes, target: bytes) -> bytes:
        page: dict[str, object] = {"offset": 0, "limit": 1000, "total": 1, "records": []}
        if b"from=" in target:
            self.rounds[site].append(time.monotonic())
        else:
            page["records"] = [RECORD]
        return json.dumps(page).encode()


async def _open_publisher(connection: Connection) -> TransactionalProducer:
    """Open a producer. On a busy machine a new Kafka may have no coordinator of transactions for a minute."""
    for _ in range(OPEN_ATTEMPTS - 1):
        with contextlib.suppress(PublishError):
            return await TransactionalProducer.open(connection, "put")
    return await TransactionalProducer.open(connection, "put")


async def put_organizations(
    connection: Connection, count: int, port: int, backfill_from: int | None = None
) -> None:
    """Write organizations to their topic, as `organizations add` does."""
    topic, codec = Topics(connection.kafka.topic_prefix).organizations, OrganizationCodec()
    now_ms = time.time_ns() // 1_000_000
    publisher = await _open_publisher(connection)
    for start in range(0, count, 500):
        records = []
        for number in range(start, min(start + 500, count)):
            name = f"127.1.{number // 250}.{number % 250 + 1}:{port}"
            one = Organization(
                *(name, f"http://{name}", "audit@example.com", now_ms, now_ms, 1),
                credential_reference="env:RELAY_KEY_BENCHMARK",
                backfill_from=backfill_from,
            )
            value = codec.encode(one)
            records.append(ProducerRecord(topic, partition_of(name, SHARDS), name.encode(), value))
        await publisher.publish(records)
    await publisher.discard()


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, in seconds of user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def print_lateness(interval: int, since: float) -> None:
    """Print how late the rounds were that began after `since` (monotonic seconds)."""
    late = [
        max(0.0, after - before - interval)
        for times in JiraStub.rounds.values()
        for before, after in itertools.pairwise(times)
        if before > since
    ]
    hundredths = statistics.quantiles(late, n=100)
    print(
        f"{len(late)} rounds of {len(JiraStub.rounds)} organizations were late by {hundredths[49]:.2f} s (median),"
        f" {hundredths[98]:.2f} s (99 %), {max(late):.2f} s (most)."
    )


async def main(count: int, interval: int, seconds: float) -> None:
    server = await asyncio.get_running_loop().create_server(JiraStub, "0.0.0.0", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        async with EmbeddedKafka(Path(directory), heap="512m", flush_each_write=False) as kafka:
            settings = {"bootstrap": kafka.bootstrap, "replication_factor": 1, "shards": SHARDS}
            connection = Connection(Settings(kafka=settings).kafka)
            await create_missing_topics(connection)
            await put_organizations(connection, count, port)
            await put_progress(connection, count, port, EVENTS_A_DAY)
            variables = {"RELAY_KEY_BENCHMARK": "a key", "RELAY_PRODUCER__INTERVAL_SECONDS": str(interval)}
            async with service("produce", kafka.bootstrap, variables) as pid:
                began = time.monotonic()
                await sample_until(pid, lambda past: past > seconds / 3)
                spent = cpu_seconds(pid)
                samples = await sample_until(pid, lambda past: past > seconds * 2 / 3)
                spent = cpu_seconds(pid) - spent
                print_samples(f"{count} organizations", samples)
                print(f"The producer used {100 * spent / (seconds * 2 / 3):.0f} % of a core.")
                print_lateness(interval, began + seconds / 3)
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--organizations", type=int, default=10_000, help="organizations to poll")
    parser.add_argument(
        "--interval", type=int, default=60, help="seconds between two rounds of an organization"
    )
    parser.add_argument("--seconds", type=float, default=300.0, help="seconds of the measurement")
    given = parser.parse_args()
    asyncio.run(main(given.organizations, given.interval, given.seconds))
