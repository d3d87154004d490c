"""Settings of topics that an operator breaks and mends while the producer runs."""

import pytest

from producer.service import ProducerServiceTiming
from relay.kafka.topic_admin import create_missing_topics
from relay.status.reader import read_statuses
from relay.telemetry.health import Health
from relay.timestamps import DAY_MS
from simulators.jira_cloud.world import JiraWorld
from tests.flow.test_producer import wait_until
from tests.support.producer_world import ProducerWorld, count_records
from tests.support.topics import alter_topic

MONTH = str(30 * DAY_MS)
BREAKS = [
    ("events", {"cleanup_policy": "compact"}, {"cleanup_policy": "delete", "retention_ms": MONTH}),
    ("events", {"retention_ms": str(DAY_MS)}, {"retention_ms": MONTH}),
    ("progress", {"cleanup_policy": "delete"}, {"cleanup_policy": "compact"}),
    (
        "progress",
        {"cleanup_policy": "compact", "max_message_bytes": "300"},
        {"cleanup_policy": "compact", "max_message_bytes": "5000000"},
    ),
]
"""Topic, its broken settings, its mended ones. The setting that differs is named."""


@pytest.mark.timeout(300)
async def test_each_broken_topic_closes_the_shards_until_it_is_mended(kafka, prefix, tmp_path):
    """Readiness and status name it; polling resumes without a restart, and the records of that time arrive once."""
    world = ProducerWorld(kafka, prefix, tmp_path)
    await create_missing_topics(world.connection)
    health, timing = Health(), ProducerServiceTiming(topic_check_seconds=0.3)

    async def reason():
        found = await read_statuses(world.connection, world.topics.status)
        status = found.get("producer/acme")
        return status.reason or "" if status is not None and status.state == "failing" else ""

    async with JiraWorld(seed=8) as jira:
        site = await jira.add_site("acme")
        await world.add_organization(site)
        async with world.running(health, timing):

            async def arrived():
                return not health.problems() and await world.count_events() == count_records(jira)

            for name, broken, mended in BREAKS:
                site.add_record()
                await wait_until(arrived)
                topic = getattr(world.topics, name)
                await alter_topic(world.connection, topic, **broken)
                setting = next(each for each in reversed(broken)).replace("_", ".")

                async def closed(named=f"{topic}: {setting} is "):
                    return named in " ".join(health.problems()) and named in await reason()

                await wait_until(closed)
                site.add_records(2)
                await alter_topic(world.connection, topic, **mended)
                await wait_until(arrived)
