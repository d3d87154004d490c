"""Measure the start of a producer with many organizations and seven days of ledgers, and the memory of an organization.

    .venv/bin/python benchmarks/start.py [--organizations 10000] [--events-a-day 100]

The benchmark runs an embedded Kafka, writes the organizations and their progress to its topics, and starts `jira-relay produce`
twice: without organizations, for the memory to compare with, and with them. A bare server plays all sites (Linux). The process is
ready when `/readyz` says so: each shard is loaded, and its pollers are started.
"""

import argparse
import asyncio
import socket
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from urllib.error import URLError

sys.path.insert(0, str(Path(__file__).parent.parent))

from bounds import sample_until, service, take_sample
from organizations import SHARDS, JiraStub, cpu_seconds, put_organizations
from progress import DAYS, put_progress

from embedded import EmbeddedKafka
from management.settings import Settings
from relay.kafka.connection import Connection
from relay.kafka.topic_admin import create_missing_topics

READY_SECONDS = 300.0


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


async def start(kafka: EmbeddedKafka, prefix: str, count: int) -> float:
    """Start a producer, print its times, and return its memory in MB once each organization was polled."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {
        "RELAY_KEY_BENCHMARK": "a key",
        "RELAY_KAFKA__TOPIC_PREFIX": prefix,
        "RELAY_TELEMETRY__LISTEN": f"127.0.0.1:{port}",
    }
    JiraStub.rounds.clear()
    began = time.monotonic()
    async with service("produce", kafka.bootstrap, variables) as pid:
        while not await asyncio.to_thread(is_ready, port):
            if time.monotonic() - began > READY_SECONDS:
                raise TimeoutError("the producer is not ready")
            await asyncio.sleep(0.1)
        ready, spent = time.monotonic() - began, cpu_seconds(pid)
        await sample_until(pid, lambda past: len(JiraStub.rounds) >= count or ready + past > READY_SECONDS)
        polled = time.monotonic() - began
        await asyncio.sleep(5)
        memory = take_sample(pid).memory
        print(
            f"{count} organizations: ready after {ready:.1f} s ({spent:.1f} s of CPU),"
            f" {len(JiraStub.rounds)} polled after {polled:.1f} s, {memory:.0f} MB"
        )
        return memory


async def main(count: int, events_a_day: int) -> None:
    server = await asyncio.get_running_loop().create_server(JiraStub, "0.0.0.0", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        async with EmbeddedKafka(Path(directory), heap="512m", flush_each_write=False) as kafka:
            memory = []
            for prefix, organizations in (("none", 0), ("many", count)):
                settings = {"bootstrap": kafka.bootstrap, "replication_factor": 1, "shards": SHARDS}
                connection = Connection(Settings(kafka={**settings, "topic_prefix": prefix}).kafka)
                await create_missing_topics(connection)
                if organizations:
                    await put_organizations(connection, organizations, port)
                    size = await put_progress(connection, organizations, port, events_a_day)
                    print(
                        f"{DAYS} days of {events_a_day} events: {size / 1e6:.0f} MB of progress", flush=True
                    )
                memory.append(await start(kafka, prefix, organizations))
            print(f"An organization takes {1024 * (memory[1] - memory[0]) / count:.0f} kB of memory.")
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--organizations", type=int, default=10_000, help="organizations to start with")
    parser.add_argument("--events-a-day", type=int, default=100, help="events of each organization and day")
    given = parser.parse_args()
    asyncio.run(main(given.organizations, given.events_a_day))
