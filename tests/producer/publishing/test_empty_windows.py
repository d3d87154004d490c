"""Checkpoints over empty windows: many organizations in one transaction, and each of them by itself where it matters."""

import asyncio
from dataclasses import replace

import pytest

from producer.publishing.progress_values import ProgressTooLargeError
from producer.publishing.publisher import ShardClosedError
from producer.publishing.transaction import PendingRecords
from producer.sources.jira_cloud.mapping import restore_json
from producer.state.checkpoint import new_checkpoint
from producer.state.intervals import TimeRange
from tests.support.publisher import TOPICS, in_memory_publisher, publish_error

NOW = 1_790_000_000_000
NAMES = [f"org{number}" for number in range(6)]
WINDOW = TimeRange(NOW - 60_000, NOW)


def moved(checkpoint):
    return replace(checkpoint, window_end=NOW)


class QuietShard:
    """A publisher with the checkpoints of NAMES, and the transactions since then: the keys of each one's progress records."""

    def __init__(self):
        self.publisher, self.kafka = in_memory_publisher(lambda: NOW)
        self.publisher._empty_windows.seconds = 0.05
        self.committed = []

    async def begin(self):
        for name in NAMES:
            begun = new_checkpoint(name, NOW - 60_000, now=NOW)
            await self.publisher.write_checkpoint(name, lambda _, begun=begun: begun)
        publish = self.kafka.publish

        async def noted(records, after_offsets):
            before = len(self.kafka.topics[TOPICS.progress])
            offsets = await publish(records, after_offsets)
            self.committed.append([one.key.decode() for one in self.kafka.topics[TOPICS.progress][before:]])
            return offsets

        self.kafka.publish = noted
        return self

    def move(self, name, advance=moved):
        return asyncio.create_task(self.publisher.publish_empty(name, WINDOW, advance))

    def ends(self):
        return [self.publisher.checkpoint(name).window_end for name in NAMES]


async def test_the_checkpoints_of_a_shard_move_in_few_transactions():
    """The first one moves at once; those that come until the next transaction move together."""
    shard = await QuietShard().begin()
    await asyncio.gather(*map(shard.move, NAMES))
    assert shard.committed == [NAMES[:1], NAMES[1:]]
    assert shard.ends() == [NOW] * 6


async def test_a_transaction_has_a_bound():
    shard = await QuietShard().begin()
    shard.publisher._empty_windows.most = 2
    await asyncio.gather(*map(shard.move, NAMES))
    assert [len(keys) for keys in shard.committed] == [1, 2, 2, 1]
    assert shard.ends() == [NOW] * 6


async def test_two_windows_of_one_organization_are_in_two_transactions():
    """The second one is built on what the first one has committed."""
    shard = await QuietShard().begin()
    later = lambda checkpoint: replace(checkpoint, day_mark=checkpoint.window_end)  # noqa: E731
    await asyncio.gather(*map(shard.move, NAMES[:2]), shard.move(NAMES[1], later))
    assert shard.committed == [[NAMES[0]], [NAMES[1]], [NAMES[1]]]
    assert shard.publisher.checkpoint(NAMES[1]).day_mark == NOW


@pytest.mark.parametrize(
    "error", [ProgressTooLargeError("larger than the topic accepts"), KeyError("a defect")]
)
async def test_one_checkpoint_that_cannot_be_moved_holds_up_no_other(error):
    """Its organization alone learns of it, be it too large for the topic or a defect of the relay."""
    shard = await QuietShard().begin()

    def refused(_checkpoint):
        raise error

    tasks = [shard.move(name, refused if name == NAMES[2] else moved) for name in NAMES]
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in found if each] == [type(error)]
    assert shard.ends() == [NOW, NOW, NOW - 60_000, NOW, NOW, NOW]
    assert not shard.publisher.failed.is_set()


async def test_an_organization_whose_transaction_failed_is_alone_until_it_commits():
    """Whichever organization Kafka refuses, the others do not fail with it a second time."""
    shard = await QuietShard().begin()
    shard.publisher.outcomes.failed(NAMES[2:4], "Kafka said no.", NOW)
    await asyncio.gather(*map(shard.move, NAMES))
    assert shard.committed == [[NAMES[0]], [NAMES[1], *NAMES[4:]], [NAMES[2]], [NAMES[3]]]
    assert shard.ends() == [NOW] * 6


async def test_a_caller_that_is_cancelled_takes_only_its_own_window_along():
    shard = await QuietShard().begin()
    tasks = [shard.move(name) for name in NAMES]
    await tasks[0]
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert shard.committed == [NAMES[:1], NAMES[2:]]
    assert shard.ends() == [NOW, NOW - 60_000, NOW, NOW, NOW, NOW]
    assert not shard.publisher.failed.is_set()


async def test_a_failed_transaction_fails_all_that_wait_for_it():
    """Its outcome is unknown, so no checkpoint has moved here, and the shard is loaded anew."""
    shard = await QuietShard().begin()
    shard.kafka.error_after_commit = publish_error()
    found = await asyncio.gather(*map(shard.move, NAMES), return_exceptions=True)
    assert [type(error) for error in found] == [ShardClosedError] * 6
    assert shard.ends() == [NOW - 60_000] * 6
    assert shard.publisher.failed.is_set()


async def test_a_window_with_nothing_to_commit_waits_for_no_transaction():
    """A quiet organization goes on where the transaction of another one takes long."""
    shard = await QuietShard().begin()
    pending = PendingRecords([], [], WINDOW, 900_000, None, restore_json)
    async with shard.publisher.between_transactions(), asyncio.timeout(120):
        published = await shard.publisher.publish(NAMES[0], pending, moved, persist=False)

    assert (published.events_by_mode, published.dead_letters) == ({}, 0)
    assert shard.committed == []
