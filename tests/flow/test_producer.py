"""The producer from simulated Jira to the topics of a real Kafka."""

import asyncio
from collections import Counter

import pytest

from relay.kafka.topic_admin import create_missing_topics
from relay.status.reader import read_statuses
from relay.timestamps import now_ms
from simulators.jira_cloud import faults as jira_faults
from simulators.jira_cloud.world import JiraWorld
from tests.support.producer_world import ProducerWorld, count_records


async def wait_until(condition, seconds=90):
    """Wait until an asynchronous condition is true. Raises TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.2)


@pytest.fixture
async def producer_world(kafka, prefix, tmp_path):
    world = ProducerWorld(kafka, prefix, tmp_path)
    await create_missing_topics(world.connection)
    return world


async def test_every_record_arrives_exactly_once(producer_world):
    """Each record of several organizations is on the topic once, also in bursts and with late ones."""
    async with JiraWorld(seed=1) as jira, producer_world.running():
        sites = [await jira.add_site(name) for name in ("acme", "globex", "initech")]
        for site in sites:
            await producer_world.add_organization(site)
        await wait_until(lambda: _has_polled(producer_world, sites))
        for site in sites:
            site.create_project()
            site.add_records(40)
            site.add_record(visible_after=3)
        await wait_until(lambda: _has_arrived(producer_world, jira))
        await asyncio.sleep(2.5)

        assert await producer_world.count_events() == count_records(jira)


async def _has_polled(producer_world, sites):
    statuses = await read_statuses(producer_world.connection, producer_world.topics.status)
    return all(
        f"producer/{site.name}" in statuses and statuses[f"producer/{site.name}"].last_poll for site in sites
    )


async def _has_arrived(producer_world, jira, topic=None):
    return sum((await producer_world.count_events(topic)).values()) >= sum(count_records(jira).values())


async def test_history_goes_to_its_own_topic(producer_world):
    """Each record before the organization was added and within the backfill is once on the topic of history."""
    async with JiraWorld(seed=2) as jira, producer_world.running():
        site = await jira.add_site("acme")
        now = now_ms()
        site.add_history(300, now - 5 * 86_400_000, now - 60_000)
        site.add_record(created=now - 40 * 86_400_000)
        wanted = list(site.all_records())[:300]
        await producer_world.add_organization(site, backfill_from=now - 10 * 86_400_000)

        async def arrived():
            return len(await producer_world.read_events(producer_world.topics.backfill)) >= 300

        await wait_until(arrived)
        found = await producer_world.read_events(producer_world.topics.backfill)

        assert Counter(event["id"] for event in found) == Counter(record["id"] for record in wanted)
        assert {event["mode"] for event in found} == {"backfill"}
        assert await producer_world.read_events() == []


async def test_a_restart_continues_at_the_checkpoint(producer_world):
    """A new producer finds the records created while none ran, and publishes no record again."""
    async with JiraWorld(seed=3) as jira:
        site = await jira.add_site("acme")
        async with producer_world.running():
            await producer_world.add_organization(site)
            await wait_until(lambda: _has_polled(producer_world, [site]))
            site.add_records(20)
            await wait_until(lambda: _has_arrived(producer_world, jira))
        site.add_records(30)
        async with producer_world.running():
            await wait_until(lambda: _has_arrived(producer_world, jira))

        assert await producer_world.count_events() == count_records(jira)


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
async def test_a_refusal_of_jira_costs_no_record(producer_world, fault):
    """The producer retries after a refusal, not too early, and becomes active again."""
    async with JiraWorld(seed=4) as jira, producer_world.running():
        site = await jira.add_site("acme")
        await producer_world.add_organization(site)
        await wait_until(lambda: _has_polled(producer_world, [site]))
        site.add_records(5)
        site.fault(fault, times=1)
        await wait_until(lambda: _has_arrived(producer_world, jira))

        assert await producer_world.count_events() == count_records(jira)
        assert site.premature_requests() == []
        await wait_until(lambda: _is_active_again(producer_world))


async def _is_active_again(producer_world):
    status = (await read_statuses(producer_world.connection, producer_world.topics.status))["producer/acme"]
    return [transition.state for transition in status.transitions][-1:] == ["active"]
