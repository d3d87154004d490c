"""The transactions of a refill: each event of a window again, for one replay, beside everything else."""

from dataclasses import replace

import pytest

from producer.publishing.publisher import ShardClosedError
from producer.publishing.refill import RefillWindow
from producer.publishing.transaction import PendingRecords
from producer.publishing.transaction_size import TransactionLimits
from producer.sources.jira_cloud.mapping import restore_json, to_event
from producer.state.checkpoint import new_checkpoint
from producer.state.intervals import TimeRange
from relay.replays.refill import replay_of
from relay.timestamps import to_iso
from tests.support.publisher import TOPICS, in_memory_publisher, publish_error

NOW = 1_790_000_000_000
REPLAY = "20261130-071500-ab12"
WINDOW = TimeRange(NOW - 10_000, NOW + 1)


def event(number, created=NOW - 1_000, **fields):
    return to_event({"id": number, "created": to_iso(created), **fields}, "acme")


def window(*events, end=NOW, done=True):
    return RefillWindow(REPLAY, NOW - 10_000, end, events, 0, done)


@pytest.fixture
async def publisher():
    found, transactions = in_memory_publisher(lambda: NOW)
    await found.write_checkpoint("acme", lambda _: new_checkpoint("acme", NOW - 5_000, now=NOW))
    return found, transactions


async def test_events_that_the_ledger_holds_are_published_again_with_the_replay(publisher):
    """Cursors, ledgers and the positions of live and backfill events stay as they are."""
    publisher, transactions = publisher
    pending = PendingRecords([event(1), event(2)], [], WINDOW, 900_000, None, restore_json)
    await publisher.publish("acme", pending, lambda checkpoint: checkpoint, persist=True)
    before, days = publisher.checkpoint("acme"), dict(publisher._state.organization("acme").ledger.days)
    cursor = await publisher.publish_refill("acme", window(event(1), event(2), event(3)))
    after = publisher.checkpoint("acme")

    assert transactions.ids(TOPICS.events) == [1, 2]
    assert transactions.ids(TOPICS.backfill) == [1, 2, 3]
    assert {replay_of(one.headers) for one in transactions.topics[TOPICS.backfill]} == {REPLAY}
    assert (cursor.events, cursor.done, after.refill(REPLAY).end) == (3, True, 3)
    assert replace(after, refills=(), written=before.written) == before
    assert publisher._state.organization("acme").ledger.days == days
    times = [
        one.timestamp for topic in (TOPICS.events, TOPICS.backfill) for one in transactions.topics[topic]
    ]
    assert times == sorted(times)
    await publisher.publish(
        "acme", PendingRecords([event(3)], [], WINDOW, 900_000, None, restore_json), lambda c: c, persist=True
    )
    assert transactions.ids(TOPICS.events) == [1, 2, 3]


@pytest.mark.parametrize("committed", [0, 1, 2, 3])
async def test_a_death_after_each_transaction_repeats_no_event(committed):
    """Records of one instant that are cut by a transaction too: the cursor names those that are published."""
    events = [event(1, NOW - 3_000), *[event(n, NOW - 2_000) for n in range(2, 8)], event(8, NOW - 1_000)]
    first, transactions = in_memory_publisher(lambda: NOW)
    first._topics = replace(first._topics, limits=TransactionLimits(max_events=3))
    await first.write_checkpoint("acme", lambda _: new_checkpoint("acme", NOW - 5_000, now=NOW))
    publish, left = transactions.publish, [committed]

    async def die(records, after_offsets):
        if not left[0]:
            raise publish_error()
        left[0] -= 1
        return await publish(records, after_offsets)

    transactions.publish = die
    if committed < 3:
        with pytest.raises(ShardClosedError):
            await first.publish_refill("acme", window(*events))
    else:
        await first.publish_refill("acme", window(*events))
    transactions.publish = publish
    second, _ = in_memory_publisher(lambda: NOW, transactions)
    second._state.organization("acme").checkpoint = first.checkpoint("acme")
    left_events = [one for one in events if one["created"] >= first_unread(first)]
    cursor = await second.publish_refill("acme", window(*left_events))
    assert transactions.ids(TOPICS.backfill) == list(range(1, 9))
    assert (cursor.events, cursor.done) == (8, True)


def first_unread(publisher):
    cursor = publisher.checkpoint("acme").refill(REPLAY)
    return 0 if cursor is None else cursor.read_to


async def test_an_event_that_the_topic_does_not_accept_is_counted(publisher):
    publisher, transactions = publisher
    publisher._topic_limits = lambda: replace(publisher_limits, max_backfill_bytes=200)
    publisher_limits = in_memory_publisher(lambda: NOW)[0]._topic_limits()
    cursor = await publisher.publish_refill("acme", window(event(1), event(2, summary="x" * 500)))
    assert (transactions.ids(TOPICS.backfill), cursor.events, cursor.unreadable) == ([1], 1, 1)


async def test_a_part_without_events_moves_the_cursor(publisher):
    publisher, transactions = publisher
    cursor = await publisher.publish_refill("acme", window(end=NOW - 5_000, done=False))
    assert (cursor.read_to, cursor.done, cursor.end) == (NOW - 5_000, False, None)
    assert transactions.topics[TOPICS.backfill] == []
    assert publisher.checkpoint("acme").without_refills(lambda _: True).refills == ()
