"""Before a replay begins, an archive tells which offsets and times it holds."""

import pytest

from consumer.replay.archive_objects import ArchiveError
from consumer.replay.archive_plan import ArchiveSpan
from relay.kafka import TopicPartition
from tests.support.archives import PARTITION, archive, archive_over, flows_over, lake, some, write
from tests.support.metered_store import MeteredStore
from tests.support.object_stores import NOON, opened

DAY_MS = 86_400_000
OTHER = TopicPartition("jira-audit.events", 4)
NEVER = TopicPartition("jira-audit.backfill", 0)
ROUTES = {"acme.atlassian.net": "organization=acme"}
DAYS = range(0, 40, 2)


def collected_at(offset):
    """Event 1000 · day + number was collected on its day, a second a number after noon."""
    day, number = divmod(offset, 1000)
    return NOON + day * DAY_MS + number * 1000


def events(offsets):
    return {offset: some([offset], collected=collected_at(offset))[offset] for offset in offsets}


@pytest.fixture
async def plan():
    """Three objects on every second day, each of whose third events has a prefix; older events; one event elsewhere."""
    store = MeteredStore()
    flows = flows_over(store, by_organization=ROUTES)
    await write(flows["history"], events(range(5, 10)))
    for day in DAYS:
        for first in range(1000 * day + 100, 1000 * day + 130, 10):
            offsets = range(first, first + 10)
            await write(flows["live"], events(offset for offset in offsets if offset % 3))
            routed = events(offset for offset in offsets if not offset % 3)
            await write(flows["live"], routed, route="organization=acme")
    await write(flows["live"], events([7]), OTHER)
    return archive_over(store).plan


async def test_the_first_and_last_event_of_each_partition_are_found(plan):
    """Over all folders and days; a partition without events is left out."""
    last = 1000 * DAYS[-1] + 129
    assert await plan.spans([PARTITION, OTHER, NEVER]) == {
        PARTITION: ArchiveSpan(5, last, collected_at(5)),
        OTHER: ArchiveSpan(7, 7, collected_at(7)),
    }


@pytest.mark.parametrize(
    ("at", "offset"),
    [(0, 5), (7, 7), (10, 100), (101, 101), (4117, 4117), (4130, 6100), (5000, 6100), (38129, 38129)],
)
async def test_a_time_is_found_as_in_kafka(plan, at, offset):
    """The first event that was collected at the time or later, in whichever folder it is."""
    assert await plan.offset_at(PARTITION, collected_at(at)) == offset


async def test_a_time_after_the_last_event_has_no_offset(plan):
    assert await plan.offset_at(PARTITION, collected_at(38_130)) is None
    assert await plan.offset_at(NEVER, 0) is None


async def test_an_object_that_cannot_serve_is_named_before_the_replay_begins(tmp_path):
    async with opened(f"file://{tmp_path}", where="id > 3") as flows:
        await write(flows["live"], events([4, 5]))
    async with archive(lake(f"file://{tmp_path}")) as reader:
        with pytest.raises(ArchiveError, match="only events that meet the condition 'id > 3'"):
            await reader.plan.spans([PARTITION])
