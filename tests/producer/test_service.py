"""The whole producer on a real Kafka: its start, its end, and the status it publishes."""

import asyncio
import os
import socket

import pytest
from prometheus_client import CollectorRegistry

from management.organizations.editor import edit_organization
from producer.service import run_producer
from relay.credentials.resolver import CredentialResolver
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics
from relay.status.reader import read_statuses
from relay.telemetry.health import Health
from relay.timestamps import now_ms
from simulators.jira_cloud.world import JiraWorld
from tests.flow.test_producer import wait_until
from tests.support.producer_world import ProducerWorld
from tests.support.topics import alter_topic


@pytest.fixture
async def relay(kafka, prefix, tmp_path):
    return ProducerWorld(kafka, prefix, tmp_path)


async def test_missing_topics_end_the_producer_with_the_command_that_creates_them(relay):
    """The producer ends with that message before it joins the group."""
    credentials = CredentialResolver(relay.keyring, None, {})

    with pytest.raises(RelayError, match="jira-relay topics create"):
        await run_producer(
            relay.settings.producer,
            relay.settings.schema_registry,
            relay.connection,
            credentials,
            asyncio.Event(),
            CollectorRegistry(),
            Health(),
        )


async def test_it_does_not_start_on_topics_that_lose_data(relay):
    """A compacted event topic ends the start, with the command that mends it."""
    await create_missing_topics(relay.connection)
    topic = Topics(relay.connection.kafka.topic_prefix).events
    await alter_topic(relay.connection, topic, cleanup_policy="compact")

    with pytest.raises(RelayError, match=rf"{topic}: cleanup.policy is compact.*kafka-configs.sh"):
        await run_producer(
            relay.settings.producer,
            relay.settings.schema_registry,
            relay.connection,
            CredentialResolver(relay.keyring, None, {}),
            asyncio.Event(),
            CollectorRegistry(),
            Health(),
        )


async def test_a_stop_ends_the_producer_at_once_while_kafka_hangs(relay):
    """The producer ends without an error before its start is complete."""
    credentials, stop = CredentialResolver(relay.keyring, None, {}), asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        bootstrap = f"127.0.0.1:{silent.getsockname()[1]}"
        hanging = Connection(relay.settings.kafka.model_copy(update={"bootstrap": bootstrap}))
        task = asyncio.create_task(
            run_producer(
                relay.settings.producer,
                relay.settings.schema_registry,
                hanging,
                credentials,
                stop,
                CollectorRegistry(),
                Health(),
            )
        )
        await asyncio.sleep(1)
        assert not task.done()
        stop.set()
        await asyncio.wait_for(task, 2)


async def test_the_producer_reports_readiness_and_removes_its_status(relay):
    """The producer is not ready before it owns shards; its end removes its own and deleted statuses, and ends the others' validity."""
    await create_missing_topics(relay.connection)
    stop, health = asyncio.Event(), Health()
    credentials = CredentialResolver(relay.keyring, None, {})
    async with JiraWorld(seed=6) as jira:
        await relay.add_organization(await jira.add_site("acme"))
        await relay.add_organization(await jira.add_site("globex"))
        running = run_producer(
            relay.settings.producer,
            relay.settings.schema_registry,
            relay.connection,
            credentials,
            stop,
            registry := CollectorRegistry(),
            health,
        )
        task = asyncio.create_task(running)
        await asyncio.sleep(0)
        assert "joining the group" in health.problems()[0]

        async def ready():
            return not health.problems()

        async def both_reported():
            return {"producer/acme", "producer/globex"} <= live_keys(await statuses(relay))

        async def gone():
            return "producer/acme" not in await statuses(relay)

        await wait_until(ready)
        await wait_until(both_reported)
        during = await statuses(relay)
        await edit_organization(
            relay.connection, "acme", lambda _: None, what="deleted", who="test", now_ms=now_ms()
        )
        await wait_until(gone)
        with_metrics = organizations_with_metrics(registry)
        stop.set()
        await asyncio.wait_for(task, 20)
        after = await statuses(relay)

    assert [key for key in during if key.startswith("produce/")] == [
        key for key in during if key.endswith(f"-{os.getpid()}")
    ]
    assert set(after) == {"producer/globex"}
    stopped = after["producer/globex"]
    assert during["producer/globex"].at < stopped.at == stopped.valid_until <= now_ms()
    assert (with_metrics, organizations_with_metrics(registry)) == ({"globex"}, set())


def organizations_with_metrics(registry):
    samples = [sample for family in registry.collect() for sample in family.samples]
    return {sample.labels["organization"] for sample in samples if "organization" in sample.labels}


async def statuses(relay):
    return await read_statuses(relay.connection, relay.topics.status)


def live_keys(found):
    return {key for key, status in found.items() if status.last_poll or not key.startswith("producer/")}
