"""From simulated Jira to the topics of a real Kafka."""

import asyncio
import contextlib
import time
from collections import Counter

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from management.organizations.editor import edit
from management.settings import Settings
from producer.config import Producer
from producer.service import produce
from relay.avro.codec import Internal
from relay.config.kafka import Kafka
from relay.config.schema_registry import SchemaRegistry
from relay.credentials.keyring import Keyring, Owner
from relay.credentials.resolver import Credentials
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import group_less, read_to_end, settled_spans
from relay.kafka.topic_admin import create
from relay.kafka.topics import Topics
from relay.organizations import Organization
from relay.status.reader import read_board
from relay.telemetry.health import Health
from simulators.jira_cloud import faults as jira_faults
from simulators.jira_cloud.world import JiraWorld


def now_ms():
    return time.time_ns() // 1_000_000


class Relay:
    """A producer on its own topics, and what stands on them."""

    def __init__(self, kafka, prefix, tmp_path, **producer):
        self.settings = Settings(
            kafka=Kafka(
                bootstrap=kafka.bootstrap,
                topic_prefix=prefix,
                replication_factor=1,
                shards=2,
                group_session_timeout_seconds=6,
            ),
            schema_registry=SchemaRegistry(cache_directory=tmp_path),
            producer=Producer(**({"interval_seconds": 1, "settle_seconds": 0.2} | producer)),
        )
        self.connection = Connection(self.settings.kafka)
        self.topics = Topics(prefix)
        self.keyring = Keyring([b"k" * 32])

    async def add(self, site, **fields):
        owner = Owner(site.name, site.url, site.user)
        now = now_ms()
        organization = Organization(
            name=site.name,
            url=site.url,
            user=site.user,
            added=now,
            modified=now,
            revision=0,
            credential_ciphertext=self.keyring.seal(SecretStr(site.token), owner),
            **fields,
        )
        await edit(self.connection, site.name, lambda _: organization, what="added", who="test", now_ms=now)

    @contextlib.asynccontextmanager
    async def running(self):
        stop = asyncio.Event()
        credentials = Credentials(self.keyring, None, {})
        task = asyncio.create_task(
            produce(
                self.settings.producer,
                self.settings.schema_registry,
                self.connection,
                credentials,
                stop,
                CollectorRegistry(),
                Health(),
            )
        )
        try:
            yield task
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)

    async def events(self, topic=None):
        codec = Internal("audit_event")
        found = []
        tps = [TopicPartition(topic or self.topics.events, number) for number in range(2)]
        async with group_less(self.connection) as reader:
            spans = await settled_spans(reader, tps)
            await read_to_end(
                reader, dict.fromkeys(tps, 0), {tp: spans[tp].committed_end for tp in tps}, found.append
            )
        return [codec.decode(record.value) for record in found]

    async def counts(self, topic=None):
        return Counter((event["organization"], event["id"]) for event in await self.events(topic))


def happened(jira):
    return Counter((name, record["id"]) for name, records in jira.truth().items() for record in records)


async def until(condition, seconds=30):
    """Look until the condition holds, or fail with what it last said."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.2)


@pytest.fixture
async def relay(kafka, prefix, tmp_path):
    found = Relay(kafka, prefix, tmp_path)
    await create(found.connection)
    return found


async def test_every_record_arrives_exactly_once(relay):
    """Records of several organizations, bursts and late ones among them, stand on the topic once each."""
    async with JiraWorld(seed=1) as jira, relay.running():
        sites = [await jira.add_site(name) for name in ("acme", "globex", "initech")]
        for site in sites:
            await relay.add(site)
        await until(lambda: _begun(relay, sites))
        for site in sites:
            site.create_project()
            site.happen_many(40)
            site.happen(visible_after=3)
        await until(lambda: _arrived(relay, jira))
        await asyncio.sleep(2.5)

        assert await relay.counts() == happened(jira)


async def _begun(relay, sites):
    board = await read_board(relay.connection, relay.topics.status)
    return all(
        f"producer/{site.name}" in board and board[f"producer/{site.name}"].last_poll for site in sites
    )


async def _arrived(relay, jira, topic=None):
    return sum((await relay.counts(topic)).values()) >= sum(happened(jira).values())


async def test_history_goes_to_its_own_topic(relay):
    """Records from before the organization was added are backfill, within the range asked for, once each."""
    async with JiraWorld(seed=2) as jira, relay.running():
        site = await jira.add_site("acme")
        now = now_ms()
        site.fill(300, now - 5 * 86_400_000, now - 60_000)
        site.happen(created=now - 40 * 86_400_000)
        wanted = list(site.truth())[:300]
        await relay.add(site, backfill_from=now - 10 * 86_400_000)

        async def arrived():
            return len(await relay.events(relay.topics.backfill)) >= 300

        await until(arrived)
        found = await relay.events(relay.topics.backfill)

        assert Counter(event["id"] for event in found) == Counter(record["id"] for record in wanted)
        assert {event["mode"] for event in found} == {"backfill"}
        assert await relay.events() == []


async def test_a_restart_goes_on_where_it_stopped(relay):
    """What happened while no producer ran is found by the next one, and nothing is published again."""
    async with JiraWorld(seed=3) as jira:
        site = await jira.add_site("acme")
        async with relay.running():
            await relay.add(site)
            await until(lambda: _begun(relay, [site]))
            site.happen_many(20)
            await until(lambda: _arrived(relay, jira))
        site.happen_many(30)
        async with relay.running():
            await until(lambda: _arrived(relay, jira))

        assert await relay.counts() == happened(jira)


@pytest.mark.parametrize(
    "fault",
    [
        jira_faults.rate_limited(2),
        jira_faults.unavailable(),
        jira_faults.html(),
        jira_faults.not_administrator(),
    ],
    ids=lambda fault: fault.name,
)
async def test_refusals_are_waited_out(relay, fault):
    """Jira's refusals are told on the status board and cost no record."""
    async with JiraWorld(seed=4) as jira, relay.running():
        site = await jira.add_site("acme")
        await relay.add(site)
        await until(lambda: _begun(relay, [site]))
        site.happen_many(5)
        site.fault(fault, times=1)
        await until(lambda: _arrived(relay, jira), 45)

        assert await relay.counts() == happened(jira)
        assert site.too_early() == []
        await until(lambda: _active_again(relay))


async def _active_again(relay):
    status = (await read_board(relay.connection, relay.topics.status))["producer/acme"]
    return [transition.state for transition in status.transitions][-1:] == ["active"]
