"""When the group of older events is joined and left."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from consumer.offsets.backup import OffsetBackup
from consumer.offsets.delivered import DeliveryProgress
from consumer.older_events import OlderEvents
from consumer.timing import OlderEventsTiming
from relay.kafka import TopicPartition
from relay.kafka.bounded_consumer import GroupCoverage
from tests.support.waiting import wait_until

PARTITIONS = [TopicPartition("events", number) for number in (0, 1)]
QUICK = OlderEventsTiming(check_seconds=0.01, timeout_seconds=1, release_seconds=1)


class Group:
    """What a group has committed in each partition; None: it has not begun it."""

    def __init__(self, *progress):
        self.committed = dict(zip(PARTITIONS, progress, strict=True))
        self.joined = self.left = 0

    async def group_coverage(self, _topic):
        return GroupCoverage(frozenset([0, 1]), frozenset([0, 1]))

    async def progress(self, partitions):
        return {each: self.committed[each] for each in partitions}

    async def run(self):
        self.joined += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.left += 1


def divided(offset, live_from=60):
    return DeliveryProgress(1, offset, None, (), live_from)


@asynccontextmanager
async def running(live, older, backup=None):
    async def read_backup():
        return OffsetBackup(backup or {}, 0)

    course = OlderEvents("soc", "events", live, (older, older), read_backup, QUICK)
    task = asyncio.create_task(course.run())
    try:
        yield course
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_partition_that_live_has_not_begun_holds_up_no_older_events_of_others():
    """One without a leader, say; the group is left only when that one has begun and is delivered too."""
    live, older = Group(divided(60), None), Group(divided(0), None)
    async with running(live, older) as course:
        await wait_until(lambda: older.joined == 1)
        older.committed[PARTITIONS[0]] = divided(60)
        await asyncio.sleep(0.1)
        assert (older.left, course.phase) == (0, "delivering")
        live.committed[PARTITIONS[1]] = divided(70)
        older.committed[PARTITIONS[1]] = divided(60)
        await wait_until(lambda: course.phase == "done")
        assert older.left == 1


@pytest.mark.parametrize("other", [None, DeliveryProgress(1, 5)])
async def test_nobody_joins_while_no_partition_is_known_to_have_older_events(other):
    """While one has not begun that is not known, and the look goes on; when all have begun it is done."""
    live, older = Group(DeliveryProgress(1, 5), other), Group(None, None)
    async with running(live, older) as course:
        if other is not None:
            await wait_until(lambda: course.phase == "done")
        await asyncio.sleep(0.1)
        assert (older.joined, course.phase) == (0, "looking" if other is None else "done")
