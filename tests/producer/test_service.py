"""The whole producer on a real Kafka: its start, its end, and the status it publishes."""

import asyncio
import os
import socket

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from prometheus_client import CollectorRegistry

from management.organizations.editor import edit_organization
from producer.service import ProducerServiceTiming, run_producer
from relay.credentials.resolver import CredentialResolver
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.kafka.producer import RecordWriter
from relay.kafka.topic_admin import create_missing_topics
from relay.status.model import take_over
from relay.status.reader import read_statuses
from relay.status.writer import StatusWriter
from relay.telemetry.health import Health
from relay.timestamps import DAY_MS, now_ms
from simulators.jira_cloud.world import JiraWorld
from tests.flow.test_producer import wait_until
from tests.support.producer_world import ProducerWorld
from tests.support.topics import alter_topic


@pytest.fixture
async def relay(kafka, prefix, tmp_path):
    return ProducerWorld(kafka, prefix, tmp_path)


async def leave_status(relay, key, at):
    """Write the status of a process that was killed at an instant (ms)."""
    async with RecordWriter(relay.connection) as writer:
        status_writer = StatusWriter(writer, relay.topics.status)
        status_writer.put(key, take_over("active", at).valid_for(60_000))
        await status_writer.flush()


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


async def test_shards_stay_closed_on_topics_that_lose_data_until_they_are_mended(relay):
    """At the start and while it runs: readiness and statuses name setting, value and command; it heals by itself."""
    await create_missing_topics(relay.connection)
    topic, retention = relay.topics.events, str(30 * DAY_MS)
    await alter_topic(relay.connection, topic, cleanup_policy="compact", retention_ms=retention)
    health, timing = Health(), ProducerServiceTiming(topic_check_seconds=0.3)
    async with JiraWorld(seed=7) as jira:
        site = await jira.add_site("acme")
        await relay.add_organization(site)
        async with relay.running(health, timing):

            async def closed():
                found = await statuses(relay)
                problems = " ".join(health.problems())
                return f"{topic}: cleanup.policy is compact" in problems and (
                    "producer/acme" in found and found["producer/acme"].state == "failing"
                )

            async def opened():
                found = await statuses(relay)
                return not health.problems() and found["producer/acme"].state == "active"

            await wait_until(closed)
            assert f"--entity-name {topic} --add-config cleanup.policy=delete" in health.problems()[0]
            assert "cleanup.policy is compact" in (await statuses(relay))["producer/acme"].reason
            await alter_topic(relay.connection, topic, cleanup_policy="delete", retention_ms=retention)
            await wait_until(opened)
            await alter_topic(relay.connection, relay.topics.progress, cleanup_policy="delete")

            async def closed_again():
                return f"{relay.topics.progress}: cleanup.policy is delete" in " ".join(health.problems())

            await wait_until(closed_again)
            await alter_topic(relay.connection, relay.topics.progress, cleanup_policy="compact")
            await wait_until(opened)


async def test_settings_that_may_not_be_read_are_unknown_and_close_nothing(relay, monkeypatch):
    """Without the right DescribeConfigs the producer polls, and its own status says what it does not know."""
    await create_missing_topics(relay.connection)
    describe = AIOKafkaAdminClient.describe_configs

    async def denied(self, resources):
        answers = await describe(self, resources)
        for answer in answers:
            answer.resources = [(29, "", *rest[2:4], []) for rest in answer.resources]
        return answers

    monkeypatch.setattr(AIOKafkaAdminClient, "describe_configs", denied)
    health = Health()
    async with relay.running(health):

        async def reported():
            own = [one for key, one in (await statuses(relay)).items() if key.startswith("produce/")]
            return not health.problems() and own and "is unknown. Grant DescribeConfigs" in own[0].reason

        await wait_until(reported)


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
        await asyncio.wait_for(task, 15)


async def test_the_producer_reports_readiness_and_removes_its_status(relay):
    """The producer is not ready before it owns shards; its end removes its own and deleted statuses, and ends the others' validity.
    A status that a killed process left two days ago is removed soon after the start.
    """
    await create_missing_topics(relay.connection)
    await leave_status(relay, "produce/killed-1", now_ms() - 2 * DAY_MS)
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
            ProducerServiceTiming(remove_stale_first_seconds=0.5),
        )
        task = asyncio.create_task(running)
        await asyncio.sleep(0)
        assert "joining the group" in health.problems()[0]

        async def ready():
            return not health.problems()

        async def both_reported():
            return {"producer/acme", "producer/globex"} <= live_keys(await statuses(relay))

        async def gone():
            return not {"producer/acme", "produce/killed-1"} & set(await statuses(relay))

        await wait_until(ready)
        await wait_until(both_reported)
        during = await statuses(relay)
        await edit_organization(
            relay.connection, "acme", lambda _: None, action="deleted", author="test", now_ms=now_ms()
        )
        await wait_until(gone)
        with_metrics = organizations_with_metrics(registry)
        stop.set()
        await asyncio.wait_for(task, 60)
        after = await statuses(relay)

    assert [key for key in during if key.startswith("produce/") and key != "produce/killed-1"] == [
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
