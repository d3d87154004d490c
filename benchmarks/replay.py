"""Measure the latency of live events without and with a replay, and the speed of the replay, in one run.

    .venv/bin/python benchmarks/replay.py [--events 1000000] [--seconds 30]

The benchmark runs an embedded Kafka and a bare server (Linux). One consumer delivers a live event every tenth of a second; then it
does so while it replays the backlog of the topic into the history table. The latency is from the commit of an event to its arrival.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bounds import SHARDS, UID, IngestionStub, consumer_environment, publish_events, service
from columns import SCHEMA, event
from isal import igzip
from organizations import cpu_seconds

from embedded import EmbeddedKafka
from relay.avro.codec import Encoder, fingerprint
from relay.config.kafka import KafkaConfig
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import stable_bounds, standalone_consumer
from relay.kafka.producer import ProducerRecord
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.kafka.transactions import TransactionalProducer
from relay.replays.job import ReplayJob, ReplayProgress, ReplayRange, new_replay_id
from relay.replays.store import ReplayStore
from relay.timestamps import now_ms

FIRST_LIVE_ID = 1_000_000_000
TIMEOUT_SECONDS = 1_200.0


class TimingStub(IngestionStub):
    """Remembers when each live event arrived."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived: dict[bytes, float] = {}
        self.answering.set()

    async def _accept(self, body: bytes) -> bytes:
        answer = await super()._accept(body)
        text = igzip.decompress(body)
        if b"org-live" in text:
            self.arrived |= {uid: time.perf_counter() for uid in UID.findall(text) if b"org-live" in uid}
        return answer


class LiveEvents:
    """Publishes live events, and knows when each was committed."""

    def __init__(self, connection: Connection, publisher: TransactionalProducer) -> None:
        self._topic = Topics(connection.kafka.topic_prefix).events
        self._publisher = publisher
        self._encoder = Encoder(SCHEMA, fingerprint(SCHEMA))
        self._random = random.Random(2)
        self._number = FIRST_LIVE_ID

    async def publish(self) -> tuple[bytes, float]:
        self._number += 1
        own = {"organization": "org-live.atlassian.net", "collected": now_ms(), "id": self._number}
        record = {**event(self._number, self._random), **own}
        key = b"org-live.atlassian.net"
        await self._publisher.publish(
            [ProducerRecord(self._topic, 0, key, self._encoder.encode(record), own["collected"])]
        )
        return b"org-live.atlassian.net/%d" % self._number, time.perf_counter()


async def latencies(live: LiveEvents, stub: TimingStub, over: asyncio.Event) -> list[float]:
    """Publish until `over`; return the seconds from commit to arrival of each event."""
    committed: dict[bytes, float] = {}
    while not over.is_set():
        uid, at = await live.publish()
        committed[uid] = at
        await asyncio.sleep(0.1)
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while len(_found(committed, stub)) < len(committed):  # noqa: ASYNC110 - the stub has no signal
            await asyncio.sleep(0.1)
    return _found(committed, stub)


def _found(committed: dict[bytes, float], stub: TimingStub) -> list[float]:
    by_id = {uid.rpartition(b"/")[2]: at for uid, at in stub.arrived.items()}
    return [by_id[key] - at for uid, at in committed.items() if (key := uid.rpartition(b"/")[2]) in by_id]


def print_latencies(phase: str, found: list[float]) -> None:
    p99 = statistics.quantiles(found, n=100)[98]
    print(
        f"{phase}: {len(found)} live events, median {statistics.median(found):.2f} s, p99 {p99:.2f} s, most {max(found):.2f} s"
    )


async def start_replay(connection: Connection, store: ReplayStore) -> str:
    topic = Topics(connection.kafka.topic_prefix).events
    partitions = [TopicPartition(topic, number) for number in range(SHARDS)]
    async with standalone_consumer(connection) as consumer:
        bounds = await stable_bounds(consumer, partitions)
    ranges = [ReplayRange(topic, tp.partition, 0, bounds[tp].last_stable_offset) for tp in partitions]
    now = now_ms()
    job = ReplayJob(
        new_replay_id(now, random.getrandbits(16)),
        *("sentinel", "events", now, "benchmark", "running", now, "benchmark"),
        ranges=tuple(ranges),
    )
    await store.write_job(job)
    return job.id


async def wait_for_end(store: ReplayStore, replay_id: str, over: asyncio.Event) -> ReplayProgress:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while True:
            progress = (await store.read()).jobs[replay_id].progress
            if progress is not None and progress.ended:
                over.set()
                return progress
            await asyncio.sleep(0.5)


@asynccontextmanager
async def publisher_of(connection: Connection) -> AsyncIterator[TransactionalProducer]:
    publisher = await TransactionalProducer.open(connection, "live")
    try:
        yield publisher
    finally:
        await publisher.discard()


async def main(count: int, seconds: float) -> None:
    stub = TimingStub()
    with tempfile.TemporaryDirectory() as directory:
        async with EmbeddedKafka(Path(directory)) as kafka, stub.listening() as port:
            connection = Connection(
                KafkaConfig(bootstrap=kafka.bootstrap, replication_factor=1, shards=SHARDS)
            )
            await create_missing_topics(connection)
            published = await publish_events(connection, count)
            variables = consumer_environment(port, port) | {"RELAY_CONSUMER__START": "latest"}
            store = ReplayStore(connection, Topics(connection.kafka.topic_prefix).replays)
            async with (
                service("consume", kafka.bootstrap, variables) as pid,
                publisher_of(connection) as publisher,
            ):
                live, over = LiveEvents(connection, publisher), asyncio.Event()
                while not stub.arrived:  # the consumer joins its groups, and begins with what comes then
                    await live.publish()
                    await asyncio.sleep(0.5)
                asyncio.get_running_loop().call_later(seconds, over.set)
                print_latencies("without a replay", await latencies(live, stub, over))
                over.clear()
                began, cpu = time.perf_counter(), cpu_seconds(pid)
                replay_id = await start_replay(connection, store)
                with_replay, done = await asyncio.gather(
                    latencies(live, stub, over), wait_for_end(store, replay_id, over)
                )
                rate, used = done.sent / (time.perf_counter() - began), cpu_seconds(pid) - cpu
                print_latencies("with a replay", with_replay)
                print(
                    f"replay: {done.state}, {done.sent} of {published} events and more, {rate:.0f} a second,"
                    f" {used / done.sent * 1e6:.1f} µs CPU an event, live ones included"
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    asyncio.run(main(options.events, options.seconds))
