"""Producers and Kafka are killed, frozen and cut off under load; each record is in Kafka once, in order."""

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import sys
from operator import itemgetter
from types import SimpleNamespace

import pytest

from embedded import EmbeddedKafka, ports
from embedded.properties import HOST
from relay.kafka.topic_admin import create_missing_topics
from relay.status.reader import read_statuses
from simulators.jira_cloud.world import JiraWorld
from tests.flow.test_producer import wait_until
from tests.support import producer_process
from tests.support.kafka_proxy import END_TXN, KafkaProxy, ProxyMode
from tests.support.producer_world import ProducerWorld, count_records

SITE_NAMES = ("acme", "globex", "initech", "umbrella")
SESSION_SECONDS = 6


class ProducerFaultsWorld:
    """A Kafka behind a proxy, simulated Jira, and producers as processes."""

    def __init__(self, kafka, proxy, jira, producer_world, directory):
        self.kafka = kafka
        self.proxy = proxy
        self.jira = jira
        self.producer_world = producer_world
        self.directory = directory
        self.processes = []
        self.late = set()

    async def kill_kafka(self, pause=0.0):
        self.kafka.kill()
        await self.kafka.wait_for_exit()
        await asyncio.sleep(pause)
        await self.kafka.start()

    async def run_at_transaction_end(self, action, pause=0.0):
        """Call `action` as soon as Kafka has the next request to end a transaction."""
        assert await self.proxy.run_at_request(END_TXN, action, "after", pause, timeout_seconds=60)

    async def start_producer(self):
        given = {
            "settings": self.producer_world.settings.model_dump(mode="json", exclude_none=True),
            "key": (b"k" * 32).hex(),
        }
        with (self.directory / f"producer-{len(self.processes)}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", producer_process.__name__),
                stdin=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        process.stdin.write(json.dumps(given).encode())
        process.stdin.close()
        self.processes.append(process)
        return process

    async def kill_producers(self):
        for process in self.processes:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def generate_traffic(self, rate, seed):
        """Create records singly, in bursts and late, until cancelled."""
        rng = random.Random(seed)
        while True:
            await asyncio.sleep(rng.expovariate(rate))
            site = self.jira.sites[rng.choice(SITE_NAMES)]
            match rng.randrange(40):
                case 0:
                    site.add_records(rng.randrange(2, 60))
                case 1:
                    late = site.add_record(visible_after=rng.uniform(1, 5))
                    self.late.add((site.name, late["id"]))
                case _:
                    site.add_record()

    @contextlib.asynccontextmanager
    async def running_traffic(self, rate=25, seed=0):
        task = asyncio.create_task(self.generate_traffic(rate, seed))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def add_sites(self, **fields):
        for name in SITE_NAMES:
            await self.producer_world.add_organization(await self.jira.add_site(name), **fields)

    async def check_events(self, seconds=120):
        """Wait until every record has arrived, and check that none is missing, repeated or out of order."""

        async def arrived():
            return (await self.producer_world.count_events()).keys() >= count_records(self.jira).keys()

        await wait_until(arrived, seconds)
        await asyncio.sleep(2)
        found, expected = await self.producer_world.count_events(), count_records(self.jira)
        assert found - expected == {}, "repeated"
        assert expected - found == {}, "lost"
        for name, events in itertools.groupby(
            sorted(await self.producer_world.read_events(), key=itemgetter("organization")),
            itemgetter("organization"),
        ):
            seen = [(one["created"], one["id"]) for one in events if (name, one["id"]) not in self.late]
            assert seen == sorted(seen), "out of order"
        return len(found)


def kafka_with_wire(directory, outside, inside):
    """Return a Kafka with a second listener on port `inside`, which it advertises as port `outside`."""
    port, controller = ports.pick_free_port(), ports.pick_free_port()
    listeners = f"PLAINTEXT://{HOST}:{port},WIRE://{HOST}:"
    return EmbeddedKafka(
        directory,
        port,
        heap="384m",
        flush_each_write=False,
        extra_properties={
            "listeners": f"{listeners}{inside},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": f"{listeners}{outside}",
            "controller.quorum.bootstrap.servers": f"{HOST}:{controller}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,WIRE:PLAINTEXT",
        },
    )


@pytest.fixture
async def faults_world(tmp_path, prefix):
    outside, inside = ports.pick_free_port(), ports.pick_free_port()
    kafka = kafka_with_wire(tmp_path / "kafka", outside, inside)
    async with kafka, JiraWorld(seed=5) as jira, KafkaProxy(outside, inside) as proxy:
        wire = SimpleNamespace(bootstrap=f"{HOST}:{outside}")
        producer_world = ProducerWorld(
            wire, prefix, tmp_path / "schemas", interval_seconds=1, settle_seconds=0.3
        )
        await create_missing_topics(producer_world.connection)
        world = ProducerFaultsWorld(kafka, proxy, jira, producer_world, tmp_path)
        try:
            yield world
        finally:
            await world.kill_producers()


async def test_faults_of_kafka_cost_no_record(faults_world):
    """Kills, silence and lost answers at the ends of transactions lose and repeat no record.

    The last kill comes between the answer to a commit and its markers, without further traffic: readers see the
    committed records all the same.
    """
    await faults_world.add_sites()
    async with faults_world.producer_world.running():
        async with faults_world.running_traffic(rate=40, seed=1):
            await asyncio.sleep(2)
            await faults_world.kill_kafka()
            await faults_world.run_at_transaction_end(
                lambda: faults_world.proxy.set_mode(ProxyMode.DROP_RESPONSES), pause=0.01
            )
            await asyncio.sleep(1)
            faults_world.proxy.set_mode(ProxyMode.BLACK_HOLE)
            await asyncio.sleep(2)
            faults_world.proxy.set_mode(ProxyMode.OPEN)
            await faults_world.run_at_transaction_end(faults_world.proxy.reset_connections, pause=0.01)
        await faults_world.check_events()
        for site in faults_world.jira.sites.values():
            site.add_records(3)
        await faults_world.run_at_transaction_end(faults_world.kafka.kill)
        await faults_world.kafka.wait_for_exit()
        await faults_world.kafka.start()
        assert await faults_world.check_events() > 100


async def test_producers_replace_one_another(faults_world):
    """A producer frozen beyond its session, a killed one and an added one lose and repeat no record."""
    await faults_world.add_sites()
    async with faults_world.running_traffic(rate=25, seed=4):
        first, second = await faults_world.start_producer(), await faults_world.start_producer()
        await wait_until(lambda: has_polled(faults_world))
        os.kill(first.pid, signal.SIGSTOP)
        await asyncio.sleep(1)
        second.kill()
        third = await faults_world.start_producer()
        await asyncio.sleep(SESSION_SECONDS)
        os.kill(first.pid, signal.SIGCONT)
        await asyncio.sleep(2)
        first.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(first.wait(), 60) == 0
    await faults_world.check_events()
    third.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(third.wait(), 60) == 0


async def has_polled(faults_world):
    statuses = await read_statuses(
        faults_world.producer_world.connection, faults_world.producer_world.topics.status
    )
    return all(
        f"producer/{name}" in statuses and statuses[f"producer/{name}"].last_poll for name in SITE_NAMES
    )
