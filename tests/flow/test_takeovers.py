"""The owner of a shard is killed at each step of a round, and another process takes over: each record is in Kafka once."""

import asyncio
import os
import signal

import pytest

from relay.kafka.topic_admin import create_missing_topics
from relay.status.reader import read_statuses
from relay.timestamps import now_ms
from simulators.jira_cloud.world import JiraWorld
from tests.flow.test_producer import wait_until
from tests.support.deaths import ALWAYS, STEPS
from tests.support.producer_program import ProducerProgram
from tests.support.producer_world import ProducerWorld, count_records

ALL = bool(os.environ.get("RELAY_ALL_TAKEOVERS"))
"""Each step has a session of a group to wait out, and halving a range the retries of a source: minutes in all."""


@pytest.mark.timeout(900)
async def test_a_death_at_each_step_of_a_round_costs_and_repeats_no_record(kafka, prefix, tmp_path):
    """Each process dies at another step while records arrive; the next one publishes what is missing, and nothing again."""
    world = ProducerWorld(kafka, prefix, tmp_path, interval_seconds=1, settle_seconds=0.2)
    await create_missing_topics(world.connection)
    programs: list[ProducerProgram] = []
    async with JiraWorld(seed=6) as jira:
        site = await jira.add_site("acme")
        site.quirks.page_cap = 7  # so that a window has several pages
        await world.add_organization(site)
        try:
            programs.append(await ProducerProgram.start(world, tmp_path))
            await wait_until(lambda: _polled(world))
            await programs[0].stop()
            for step in STEPS if ALL else ALWAYS:
                if step == "while a range is halved":
                    failing = site.add_records(9, created=now_ms())[4]
                    site.quirks.failing_records.add(failing["id"])
                site.add_records(20)
                programs.append(await ProducerProgram.start(world, tmp_path, die_at=step))
                assert await programs[-1].ended(240) == -signal.SIGKILL, step
                site.quirks.failing_records.clear()
            site.add_records(5)
            programs.append(await ProducerProgram.start(world, tmp_path))
            await wait_until(lambda: _arrived(world, jira), 120)
            await asyncio.sleep(2)
            assert await world.count_events() == count_records(jira)
        finally:
            for program in programs:
                await program.kill()


async def _polled(world):
    status = (await read_statuses(world.connection, world.topics.status)).get("producer/acme")
    return status is not None and status.last_poll is not None


async def _arrived(world, jira):
    return (await world.count_events()).keys() >= count_records(jira).keys()
