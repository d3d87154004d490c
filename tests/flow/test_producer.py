"""From simulated Jira to the topics of a real Kafka."""

import asyncio
from collections import Counter

import pytest

from relay.kafka.topic_admin import create_missing_topics
from relay.status.reader import read_statuses
from relay.timestamps import now_ms
from simulators.jira_cloud import faults as jira_faults
from simulators.jira_cloud.world import JiraWorld
from tests.support.producer_world import Relay, happened


async def until(condition, seconds=30):
    """Look until the condition holds, or fail with what it last said."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.2)


@pytest.fixture
async def relay(kafka, prefix, tmp_path):
    found = Relay(kafka, prefix, tmp_path)
    await create_missing_topics(found.connection)
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
    board = await read_statuses(relay.connection, relay.topics.status)
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
    status = (await read_statuses(relay.connection, relay.topics.status))["producer/acme"]
    return [transition.state for transition in status.transitions][-1:] == ["active"]
