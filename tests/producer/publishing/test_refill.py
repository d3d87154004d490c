"""The transactions of a refill: each event of a window again, for one replay, beside everything else."""

from dataclasses import replace

import pytest

from producer.publishing.publisher import ShardClosedError
from producer.publishing.refill import RefillWindow
from producer.publishing.transaction import PendingRecords
from producer.publishing.transaction_size import TransactionLimits
from producer.sources.jira_cloud.mapping import restore_json, to_event
from producer.state.checkpoint import from_record, new_checkpoint
from producer.state.intervals import TimeRange
from producer.state.refill import MAX_UNREAD
from relay.replays.refill import replay_of
from relay.telemetry.traces.context import context_in
from relay.telemetry.traces.tracer import Tracer
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


async def test_each_transaction_of_a_refill_is_a_span_that_its_events_name(publisher):
    """Bodies of the replay link to it: an event is found from the reading of Jira to the acceptance also when it comes again."""
    publisher, transactions = publisher
    spans = []
    with Tracer(spans.append).trace("poll", {}):
        await publisher.publish_refill("acme", window(event(1), event(2)))
    sent = next(each for each in spans if each.name.startswith("send "))
    found = transactions.topics[TOPICS.backfill]
    assert {context_in(one.headers) for one in found} == {sent.context}
    assert {replay_of(one.headers) for one in found} == {REPLAY}
    assert sent.attributes["messaging.batch.message_count"] == 2
    assert "messaging.kafka.offset" not in sent.attributes


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


async def test_unreadable_events_count_in_each_transaction_and_once_after_a_death(publisher):
    """Of a part that takes several transactions, those of the first ones too; an owner that goes on does not count them again."""
    publisher, transactions = publisher
    publisher_limits = in_memory_publisher(lambda: NOW)[0]._topic_limits()
    publisher._topic_limits = lambda: replace(publisher_limits, max_backfill_bytes=200)
    publisher._topics = replace(publisher._topics, limits=TransactionLimits(max_events=1))
    events = [event(n, NOW - 3_000, summary="x" * 500 * (n % 2)) for n in range(6)]
    publish = transactions.publish

    async def die_behind_four(records, after_offsets):
        if [one for one in records if one.topic == TOPICS.backfill] and len(
            transactions.ids(TOPICS.backfill)
        ) == 2:
            raise publish_error()
        return await publish(records, after_offsets)

    transactions.publish = die_behind_four
    with pytest.raises(ShardClosedError):
        await publisher.publish_refill("acme", window(*events))
    transactions.publish = publish
    second, _ = in_memory_publisher(lambda: NOW, transactions)
    second._topic_limits = publisher._topic_limits
    second._state.organization("acme").checkpoint = publisher.checkpoint("acme")
    cursor = await second.publish_refill("acme", window(*events))
    assert transactions.ids(TOPICS.backfill) == [0, 2, 4]
    assert (cursor.events, cursor.unreadable) == (3, 3)


async def test_records_of_one_id_and_instant_are_in_one_transaction(publisher):
    """A restored site gives one id to two records; a cursor between them would name both as published."""
    publisher, transactions = publisher
    publisher._topics = replace(publisher._topics, limits=TransactionLimits(max_events=1))
    events = [event(1, NOW - 3_000, summary=text) for text in ("one", "other")]
    await publisher.publish_refill("acme", window(*events, event(2)))
    assert transactions.ids(TOPICS.backfill) == [1, 1, 2]
    assert publisher.checkpoint("acme").refill(REPLAY).events == 3


async def test_ranges_that_the_source_fails_to_serve_are_committed_with_the_cursor(publisher):
    """They survive the record of the checkpoint, and beyond a number the nearest become one."""
    publisher, _ = publisher
    for n in range(3):
        start = NOW - 9_000 + 1_000 * n
        unread = TimeRange(start, start + 1)
        await publisher.publish_refill("acme", replace(window(end=start + 1, done=False), unread=unread))
    checkpoint = publisher.checkpoint("acme")
    assert [one.start for one in checkpoint.refill(REPLAY).unread] == [NOW - 9_000, NOW - 8_000, NOW - 7_000]
    codec = publisher._topics.checkpoint_codec
    assert from_record(codec.decode(codec.encode(checkpoint.to_record()))) == checkpoint
    cursor = checkpoint.refill(REPLAY)
    for n in range(MAX_UNREAD):
        cursor = cursor.with_unread(TimeRange(NOW + 10 * n, NOW + 10 * n + 1))
    assert len(cursor.unread) == MAX_UNREAD
    assert cursor.unread[0] == TimeRange(NOW - 9_000, NOW - 9_000 + 1)


async def test_a_part_without_events_moves_the_cursor(publisher):
    publisher, transactions = publisher
    cursor = await publisher.publish_refill("acme", window(end=NOW - 5_000, done=False))
    assert (cursor.read_to, cursor.done, cursor.end) == (NOW - 5_000, False, None)
    assert transactions.topics[TOPICS.backfill] == []
    assert publisher.checkpoint("acme").without_refills(lambda _: True).refills == ()
