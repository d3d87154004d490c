"""Sites whose host names DNS does not answer, beside others in one process."""

import asyncio
import socket
import threading
import time

import pytest
from pydantic import SecretStr

from management.organizations.editor import edit_organization
from relay.credentials.keyring import CredentialOwner
from relay.kafka.connection import Connection
from relay.kafka.topic_admin import create_missing_topics
from relay.name_resolution import ResolverTiming, bounded_lookups
from relay.organizations import Organization
from relay.status.reader import read_statuses
from relay.timestamps import now_ms
from simulators.jira_cloud.world import JiraWorld
from tests.flow.test_producer import wait_until
from tests.support.producer_world import ProducerWorld

SILENT = [f"silent-{number}" for number in range(6)]


@pytest.fixture
def silent_dns(monkeypatch):
    """Let look-ups of silent hosts hang until the end of the test; return their threads."""
    real, released = socket.getaddrinfo, threading.Event()

    def getaddrinfo(host, *rest, **options):
        if str(host).startswith("silent-"):
            released.wait(600)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield lambda: [each for each in threading.enumerate() if each.name.startswith("look-up of silent-")]
    released.set()


@pytest.fixture
async def world(kafka, prefix, tmp_path):
    found = ProducerWorld(kafka, prefix, tmp_path)
    by_name = f"localhost:{kafka.bootstrap.rpartition(':')[2]}"
    found.connection = Connection(found.settings.kafka.model_copy(update={"bootstrap": by_name}))
    await create_missing_topics(found.connection)
    return found


async def add_silent(world, name):
    url, now = f"https://{name}.atlassian.net", now_ms()
    sealed = world.keyring.seal(SecretStr("key"), CredentialOwner(name, url, "relay"))
    organization = Organization(name, url, "relay", now, now, 0, credential_ciphertext=sealed)
    await edit_organization(
        world.connection, name, lambda _: organization, action="added", author="test", now_ms=now
    )


async def delay_of_a_record(world, site):
    """Return how long a new record needs to the topic, in seconds."""
    record, started = site.add_record(), time.monotonic()

    async def arrived():
        return ("acme", record["id"]) in await world.count_events()

    await wait_until(arrived)
    return time.monotonic() - started


@pytest.mark.timeout(600)
async def test_six_silent_names_hold_up_neither_another_site_nor_kafka(world, silent_dns):
    """The other site keeps its pace, the six are named, and the next start opens all connections to Kafka by name."""
    with bounded_lookups(ResolverTiming(answer_seconds=3)):
        async with JiraWorld(seed=9) as jira:
            site = await jira.add_site("acme")
            await world.add_organization(site)
            for name in SILENT:
                await add_silent(world, name)

            async def failing():
                found = await read_statuses(world.connection, world.topics.status)
                return all(
                    f"producer/{name}" in found
                    and "unknown to DNS" in (found[f"producer/{name}"].reason or "")
                    for name in SILENT
                )

            delays = []
            for _ in range(2):
                async with world.running():
                    await wait_until(failing)
                    assert len(silent_dns()) == len(SILENT)
                    delays += [await delay_of_a_record(world, site) for _ in range(3)]
                    assert await asyncio.wait_for(asyncio.to_thread(int, "7"), 30) == 7

    assert max(delays) < 25, delays
