"""The producer of a refill is killed, as a process, at its steps: each event of the window is there once for the replay."""

import asyncio
import os
import signal
from collections import Counter

import pytest

from relay.avro.codec import InternalCodec
from relay.kafka import TopicPartition
from relay.kafka.log_reader import read_to_end, stable_bounds, standalone_consumer
from relay.kafka.topic_admin import create_missing_topics
from relay.replays.refill import RefillProgress, replay_of
from relay.replays.store import ReplayStore
from relay.timestamps import DAY_MS, now_ms
from simulators.jira_cloud.world import JiraWorld
from tests.support.deaths import REFILL_STEPS
from tests.support.producer_program import ProducerProgram
from tests.support.producer_world import ProducerWorld
from tests.support.replays import replay_job

STEPS = list(REFILL_STEPS) if os.environ.get("RELAY_ALL_TAKEOVERS") else list(REFILL_STEPS)[:1]
"""Each death has a session of a group to wait out."""


@pytest.mark.timeout(600)
async def test_a_producer_may_be_killed_at_each_step_of_a_refill(kafka, prefix, tmp_path):
    """The next one goes on behind the last commit; no event is repeated, and the report counts each once."""
    world = ProducerWorld(kafka, prefix, tmp_path, interval_seconds=1, settle_seconds=0.2)
    await create_missing_topics(world.connection)
    store, programs = ReplayStore(world.connection, world.topics.replays), []
    async with JiraWorld(seed=6) as jira:
        site = await jira.add_site("acme")
        now = now_ms()
        wanted = [
            site.add_record(created=now - days * DAY_MS + n)["id"] for days in (9, 7, 5, 1) for n in range(5)
        ]
        await world.add_organization(site)
        job = replay_job(
            content="refill",
            by="created",
            from_ms=now - 10 * DAY_MS,
            to_ms=now,
            organizations=("acme",),
            requested_at=now,
        )
        await store.write_job(job)
        try:
            for step in STEPS:
                programs.append(await ProducerProgram.start(world, tmp_path, die_at=step))
                assert await programs[-1].ended(240) == -signal.SIGKILL, step
            programs.append(await ProducerProgram.start(world, tmp_path))
            report = await end_of(store, job.id)
            await programs[-1].stop()
        finally:
            for program in programs:
                await program.kill()
        assert await refilled(world, job.id) == Counter(wanted)
        assert (report.state, report.reason, report.events) == ("done", None, len(wanted))
        assert not await world.read_events()


async def end_of(store, replay_id):
    async with asyncio.timeout(120):
        while True:
            value = (await store.read()).jobs[replay_id].producers.get("acme")
            if value is not None and (report := RefillProgress.from_value(value)).ended:
                return report
            await asyncio.sleep(0.2)


async def refilled(world, replay_id):
    """Return how often each record is on the topic of backfill for a replay."""
    found = []
    tps = [TopicPartition(world.topics.backfill, number) for number in range(2)]
    async with standalone_consumer(world.connection) as reader:
        bounds = await stable_bounds(reader, tps)
        ends = {tp: each.last_stable_offset for tp, each in bounds.items()}
        await read_to_end(reader, dict.fromkeys(tps, 0), ends, found.append)
    codec = InternalCodec("audit_event")
    assert {replay_of(each.headers) for each in found} == {replay_id}
    return Counter(codec.decode(each.value)["id"] for each in found)
