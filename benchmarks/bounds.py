"""Measure memory, open files and threads of a consumer with a long backlog while its destination is away.

    .venv/bin/python benchmarks/bounds.py [--events 1000000] [--seconds 120]

The benchmark runs an embedded Kafka. The destination first refuses connections, then takes requests without an answer, then
works, and every event of the backlog must arrive. The samples come from /proc, so the benchmark needs Linux.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from columns import SCHEMA, event
from isal import igzip

from embedded import EmbeddedKafka
from management.settings import Settings
from relay.avro.codec import Encoder, fingerprint
from relay.kafka.connection import Connection
from relay.kafka.producer import ProducerRecord
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.kafka.transactions import TransactionalProducer

SHARDS = 6
EVENTS_PER_TRANSACTION = 1_000
SAMPLE_SECONDS = 0.5
UID = re.compile(rb'"EventUid":"([^"]+)"')


@dataclass(frozen=True, slots=True)
class Sample:
    memory: float
    """Resident memory, in MB."""
    files: int
    threads: int


def take_sample(pid: int) -> Sample:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    files = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208
    return Sample(int(status["VmRSS"].split()[0]) / 1024, files, int(status["Threads"]))


class IngestionStub:
    """A bare ingestion endpoint and identity endpoint. It answers calls once `answering` is set."""

    def __init__(self) -> None:
        self.row_count = 0
        self.accepted_uids: set[bytes] = set()
        self.answering = asyncio.Event()

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=2_000_000)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = re.search(rb"content-length: (\d+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                writer.write(_TOKEN if head.startswith(b"get") else await self._accept(body))
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    async def _accept(self, body: bytes) -> bytes:
        await self.answering.wait()
        found = UID.findall(igzip.decompress(body))
        self.row_count += len(found)
        self.accepted_uids.update(found)
        return b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"


def _token() -> bytes:
    token = {"access_token": "t", "expires_on": str(int(time.time()) + 86_400), "token_type": "Bearer"}
    text = json.dumps({**token, "resource": "https://monitor.azure.com"}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(text) + text


_TOKEN = _token()


async def publish_events(connection: Connection, count: int) -> int:
    """Publish at least `count` events, evenly on all partitions. Return their number."""
    topic, rng, numbers = Topics(connection.kafka.topic_prefix).events, random.Random(1), itertools.count()
    encoder, now = Encoder(SCHEMA, fingerprint(SCHEMA)), time.time_ns() // 1_000_000
    some = [event(number, rng) for number in range(EVENTS_PER_TRANSACTION)]
    publishers = [await TransactionalProducer.open(connection, f"load.{shard}") for shard in range(SHARDS)]
    loaded = 0
    while loaded < count:
        for shard, publisher in enumerate(publishers):
            own = {"organization": f"org{shard}.atlassian.net", "collected": now}
            events = [{**each, **own, "id": next(numbers)} for each in some]
            key = own["organization"].encode()
            await publisher.publish(
                [ProducerRecord(topic, shard, key, encoder.encode(each), now) for each in events]
            )
            loaded += len(events)
    for publisher in publishers:
        await publisher.discard()
    return loaded


@asynccontextmanager
async def service(
    command: str | tuple[str, ...], bootstrap: str, variables: Mapping[str, str]
) -> AsyncIterator[int]:
    """Run `jira-relay COMMAND` as a process; yield its process id. `command`: one word, or several."""
    words = (command,) if isinstance(command, str) else command
    common = {"RELAY_KAFKA__BOOTSTRAP": bootstrap, "RELAY_TELEMETRY__LISTEN": "127.0.0.1:0"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", *words),
        env={**os.environ, **common, **variables},
        cwd=Path(__file__).parent.parent,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


def consumer_environment(port: int, identity: int) -> dict[str, str]:
    """Return the settings of a consumer whose destination and identity listen on these ports."""
    return {
        "IDENTITY_ENDPOINT": f"http://127.0.0.1:{identity}/token",
        "IDENTITY_HEADER": "header",
        "RELAY_CONSUMER__PROCESSES": "1",
        "RELAY_CONSUMER__START": "earliest",
        "RELAY_DESTINATIONS__SENTINEL__ENDPOINT": f"http://127.0.0.1:{port}",
        "RELAY_DESTINATIONS__SENTINEL__RULE_ID": f"dcr-{'0' * 32}",
        "RELAY_DESTINATIONS__SENTINEL__CREDENTIAL": "managed-identity",
    }


async def sample_until(pid: int, over: Callable[[float], bool]) -> list[Sample]:
    """Take a sample every half second until `over` is true of the seconds that have passed."""
    samples, began = [], time.monotonic()
    while not over(time.monotonic() - began):
        samples.append(take_sample(pid))
        await asyncio.sleep(SAMPLE_SECONDS)
    return samples


def print_samples(phase: str, samples: Sequence[Sample]) -> None:
    """Print the first and the last third of the samples, so that growth is visible."""
    third = max(1, len(samples) // 3)
    for part, selected in (("first third", samples[:third]), ("last third", samples[-third:])):
        memory = [each.memory for each in selected]
        files, threads = [each.files for each in selected], [each.threads for each in selected]
        print(
            f"{phase:22} {part:12} memory {min(memory):4.0f} {statistics.median(memory):4.0f} {max(memory):4.0f} MB,"
            f" files {min(files)} to {max(files)}, threads {min(threads)} to {max(threads)}"
        )


async def main(count: int, seconds: float) -> None:
    sink, identity = IngestionStub(), IngestionStub()
    with tempfile.TemporaryDirectory() as directory:
        async with (
            EmbeddedKafka(Path(directory), heap="768m", flush_each_write=False) as kafka,
            identity.listening() as identity_port,
        ):
            settings = {"bootstrap": kafka.bootstrap, "replication_factor": 1, "shards": SHARDS}
            connection = Connection(Settings(kafka=settings).kafka)
            await create_missing_topics(connection)
            loaded = await publish_events(connection, count)
            print(f"{loaded} events are in Kafka. Figures: least, median and most of the samples in a third.")
            async with sink.listening() as port:
                pass
            async with service("consume", kafka.bootstrap, consumer_environment(port, identity_port)) as pid:
                await asyncio.sleep(10)  # the start does not count
                print_samples("refuses connections", await sample_until(pid, lambda past: past > seconds / 2))
                async with sink.listening(port):
                    print_samples("never answers", await sample_until(pid, lambda past: past > seconds / 2))
                    sink.answering.set()
                    began = time.monotonic()
                    print_samples(
                        "works",
                        await sample_until(pid, lambda past: len(sink.accepted_uids) >= loaded or past > 600),
                    )
                    print(
                        f"{len(sink.accepted_uids)} of {loaded} events arrived in {time.monotonic() - began:.0f} s,"
                        f" with {sink.row_count - len(sink.accepted_uids)} repeats."
                    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="events in the backlog")
    parser.add_argument(
        "--seconds", type=float, default=120.0, help="seconds without the destination, half in each way"
    )
    given = parser.parse_args()
    asyncio.run(main(given.events, given.seconds))
