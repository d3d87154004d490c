"""The publisher without Kafka: the content of a transaction, the order of callers, and the effect of an unknown outcome."""

import asyncio
from dataclasses import replace

import pytest

from producer.events import UnreadableRecord
from producer.publishing.progress_values import ProgressTooLargeError
from producer.publishing.publisher import ShardClosedError
from producer.publishing.transaction import PendingRecords
from producer.publishing.transaction_size import TransactionLimits
from producer.sources.jira_cloud.mapping import restore_json, to_event
from producer.state.checkpoint import new_checkpoint
from producer.state.intervals import TimeRange, missing_ranges
from relay.timestamps import DAY_MS, day_start
from tests.support.publisher import TOPICS, in_memory_publisher, publish_error

NOW = 1_790_000_000_000
WINDOW = TimeRange(NOW - 10_000, NOW + 1)


def event(number, **fields):
    return to_event({"id": number, "created": "2026-09-21T14:13:20.000+0000", **fields}, "acme")


def pending_records(*numbers, unreadable=()):
    return PendingRecords(
        [event(number) for number in numbers], list(unreadable), WINDOW, 900_000, None, restore_json
    )


def unchanged(checkpoint):
    return checkpoint


async def begun(transactions):
    """Wait until a transaction is under way."""
    async with asyncio.timeout(120):
        while not transactions.busy:
            await asyncio.sleep(0)


@pytest.fixture
async def publisher():
    found, transactions = in_memory_publisher(lambda: NOW)
    await found.write_checkpoint("acme", lambda _: new_checkpoint("acme", NOW - 5_000, now=NOW))
    return found, transactions


@pytest.mark.parametrize("fenced", [True, False])
async def test_a_failed_publisher_publishes_nothing_more(publisher, fenced):
    """A failed publisher keeps its former state and refuses each caller."""
    publisher, transactions = publisher
    transactions.error_after_commit = publish_error(fenced=fenced)
    with pytest.raises(ShardClosedError):
        await publisher.publish("acme", pending_records(1), unchanged, persist=False)
    transactions.error_after_commit = None
    with pytest.raises(ShardClosedError):
        await publisher.publish("acme", pending_records(2), unchanged, persist=False)

    assert publisher.failed.is_set()
    assert publisher.fenced is fenced
    assert not publisher._state.organization("acme").ledger.contains(1)
    assert transactions.ids() == [1]


async def test_a_cancellation_between_begin_and_commit_fails_the_publisher(publisher):
    """The transaction's outcome is unknown, so the publisher does not continue."""
    publisher, transactions = publisher
    transactions.pause = 10
    task = asyncio.create_task(publisher.publish("acme", pending_records(1), unchanged, persist=False))
    await begun(transactions)
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    assert publisher.failed.is_set()


async def test_a_cancellation_before_the_transaction_leaves_the_publisher_usable(publisher):
    """Only a cancellation after begin makes the outcome unknown."""
    publisher, transactions = publisher
    transactions.pause = 0.05
    first = asyncio.create_task(publisher.publish("acme", pending_records(1), unchanged, persist=False))
    second = asyncio.create_task(publisher.publish("acme", pending_records(2), unchanged, persist=False))
    await begun(transactions)
    second.cancel()
    await first
    await publisher.publish("acme", pending_records(3), unchanged, persist=False)

    assert transactions.ids() == [1, 3]


async def test_a_defect_within_a_transaction_fails_the_publisher(publisher, monkeypatch):
    """Any error between begin and commit makes the publisher's state invalid."""
    publisher, _ = publisher
    encode, calls = publisher._topics.checkpoint_codec.encode, []

    def failing_after_begin(record):
        calls.append(record)
        return (
            encode(record) if len(calls) == 1 else 1 / 0
        )  # the first is the check of its size, before begin

    monkeypatch.setattr(publisher._topics.checkpoint_codec, "encode", failing_after_begin)
    with pytest.raises(ZeroDivisionError):
        await publisher.publish("acme", pending_records(1), unchanged, persist=False)

    assert publisher.failed.is_set()


async def test_a_ledger_above_kafkas_limit_concerns_its_organization_alone():
    """The publisher refuses it before begin, with a message, and the others continue."""
    publisher, transactions = in_memory_publisher(lambda: NOW, max_event_bytes=1_000)
    for name in ("acme", "globex"):
        await publisher.write_checkpoint(
            name, lambda _, name=name: new_checkpoint(name, NOW - 5_000, now=NOW)
        )
    scattered = PendingRecords(
        [event(number << 33) for number in range(200)], [], WINDOW, 900_000, None, restore_json
    )
    with pytest.raises(
        ProgressTooLargeError, match=r"ledger of acme 2026-09-21 has \d+ bytes, .* max.message.bytes"
    ):
        await publisher.publish("acme", scattered, unchanged, persist=False)
    other = PendingRecords([{**event(1), "organization": "globex"}], [], WINDOW, 900_000, None, restore_json)
    await publisher.publish("globex", other, unchanged, persist=False)

    assert [one["organization"] for one in transactions.events()] == ["globex"]


async def test_a_checkpoint_above_kafkas_limit_becomes_smaller_before_it_is_refused():
    """Unread ranges are joined; a limit below that fails the organization alone, with the command that raises it."""
    publisher, transactions = in_memory_publisher(lambda: NOW, max_event_bytes=1_000)
    ranges = tuple(
        TimeRange(NOW - 9_000 + 10 * number, NOW - 9_000 + 10 * number + 1) for number in range(300)
    )
    found = await publisher.write_checkpoint(
        "acme", lambda _: replace(new_checkpoint("acme", NOW - 5_000, now=NOW), unread_ranges=ranges)
    )
    assert 1 < len(found.unread_ranges) < 100
    assert not missing_ranges(found.unread_ranges, TimeRange(ranges[0].start, ranges[0].end))
    assert found.unread_ranges[-1].end == ranges[-1].end

    far = tuple(
        TimeRange(NOW - 3 * number * DAY_MS, NOW - 3 * number * DAY_MS + 1) for number in range(80, 0, -1)
    )
    with pytest.raises(
        ProgressTooLargeError, match=r"checkpoint has \d+ bytes, .* --add-config max.message.bytes="
    ):
        await publisher.write_checkpoint(
            "globex",
            lambda _: replace(
                new_checkpoint("globex", NOW - 5_000, now=NOW), unread_ranges=far, ledgers_from=NOW
            ),
        )
    await publisher.publish("acme", pending_records(1), unchanged, persist=False)
    assert transactions.ids() == [1]


async def test_an_overtaken_read_repeats_nothing(publisher):
    """The publisher skips events and dead letters of days whose ledgers another read has deleted."""
    publisher, transactions = publisher
    overtaken = pending_records(1, unreadable=[UnreadableRecord("no id", b"{}")])
    await publisher.write_checkpoint(
        "acme", lambda found: replace(found, ledgers_from=day_start("2026-09-22"))
    )
    published = await publisher.publish("acme", overtaken, unchanged, persist=False)

    assert (published.events_by_mode, published.dead_letters) == ({}, 0)
    assert transactions.ids() == []


async def test_an_event_outside_of_the_schema_becomes_a_dead_letter(publisher):
    """The publisher writes one dead letter and publishes the other events."""
    publisher, transactions = publisher
    for _ in range(2):
        found = pending_records(1, 2, 3)
        found.events[1]["id"] = 2**63
        await publisher.publish("acme", found, unchanged, persist=False)
    (dead_letter,) = transactions.topics[TOPICS.dead_letters]

    assert transactions.ids() == [1, 3]
    assert b'"id":9223372036854775808' in dead_letter.value


async def test_live_waits_for_at_most_two_backfill_transactions(publisher):
    """A live read waits for the running transaction and one more, however many backfill reads wait."""
    publisher, transactions = publisher
    transactions.pause = 0.005
    history = [
        asyncio.create_task(
            publisher.publish("acme", pending_records(number), unchanged, persist=False, low_priority=True)
        )
        for number in range(100, 120)
    ]
    await begun(transactions)
    await publisher.publish("acme", pending_records(1), unchanged, persist=False)
    await asyncio.gather(*history)

    assert transactions.ids().index(1) <= 2
    assert len(transactions.ids()) == 21


async def test_between_transactions_none_is_under_way(publisher):
    """A caller inside `between_transactions` may cancel others without a failure of the publisher."""
    publisher, transactions = publisher
    transactions.pause = 0.02
    tasks = [
        asyncio.create_task(publisher.publish("acme", pending_records(number), unchanged, persist=False))
        for number in range(5)
    ]
    await begun(transactions)
    async with publisher.between_transactions():
        assert not transactions.busy
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    await publisher.publish("acme", pending_records(9), unchanged, persist=False)

    assert transactions.ids()[-1] == 9
    assert not publisher.failed.is_set()


async def test_closing_waits_for_the_transaction_under_way(publisher):
    """The running transaction commits, later ones are refused, and the publisher has not failed."""
    publisher, transactions = publisher
    transactions.pause = 0.05
    under_way = asyncio.create_task(publisher.publish("acme", pending_records(1), unchanged, persist=False))
    await begun(transactions)
    await publisher.close()
    with pytest.raises(ShardClosedError):
        await publisher.publish("acme", pending_records(2), unchanged, persist=False)

    assert under_way.done()
    assert transactions.ids() == [1]
    assert not publisher.failed.is_set()


async def test_a_checkpoint_change_applies_to_the_state_at_its_turn(publisher):
    """A set-back keeps the commits made while it waited."""
    publisher, transactions = publisher
    transactions.pause = 0.02

    def covered(checkpoint):
        return replace(checkpoint, backfilled=(TimeRange(0, 1),))

    covering = asyncio.create_task(publisher.publish("acme", pending_records(1), covered, persist=True))
    await begun(transactions)
    await publisher.write_checkpoint("acme", lambda checkpoint: replace(checkpoint, window_end=NOW - 60_000))
    await covering

    assert publisher.checkpoint("acme").backfilled == (TimeRange(0, 1),)
    assert publisher.checkpoint("acme").window_end == NOW - 60_000


async def test_dead_letters_are_written_in_bounded_transactions(publisher):
    """Each of many unreadable records becomes one dead letter; the last transaction moves the cursor."""
    publisher, transactions = publisher
    unreadable = [
        UnreadableRecord("no id", b'{"n": %d, "x": "%s"}' % (number, b"x" * 9_000)) for number in range(1_000)
    ]
    sizes = []
    publish = transactions.publish

    async def counted(records, after_offsets):
        sizes.append((len(records), sum(len(record.value) for record in records)))
        return await publish(records, after_offsets)

    transactions.publish = counted
    moved = lambda checkpoint: replace(checkpoint, window_end=NOW)  # noqa: E731
    for _ in range(2):
        await publisher.publish("acme", pending_records(1, 2, unreadable=unreadable), moved, persist=False)

    limits = TransactionLimits()
    assert max(count for count, _ in sizes) <= limits.max_events + limits.max_dead_letters
    assert max(size for _, size in sizes) <= limits.max_bytes + 10_000
    assert len(transactions.topics[TOPICS.dead_letters]) == 1_000
    assert publisher.checkpoint("acme").window_end == NOW


async def test_record_timestamps_only_move_forward():
    """A clock that is set back gives no event an earlier timestamp than its predecessor's."""
    now = [NOW]
    publisher, transactions = in_memory_publisher(lambda: now[0])
    await publisher.write_checkpoint("acme", lambda _: new_checkpoint("acme", NOW - 5_000, now=NOW))
    for number, time in enumerate([NOW, NOW - 3_600_000, NOW - 3_600_000, NOW + 5]):
        now[0] = time
        await publisher.publish("acme", pending_records(number), unchanged, persist=False)

    stamps = [record.timestamp for record in transactions.topics[TOPICS.events]]
    assert stamps == sorted(set(stamps))
    assert [one["collected"] for one in transactions.events()] == stamps
