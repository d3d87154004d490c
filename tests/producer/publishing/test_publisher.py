"""The desk's promises that need no Kafka: what one transaction holds, in which turn, and what any doubt does."""

import asyncio
from dataclasses import replace

import pytest

from producer.events import Unreadable
from producer.publishing.publisher import DeskClosedError, TooLargeError
from producer.publishing.transaction import MOST_BYTES, MOST_EVENTS, MOST_LETTERS, Finding
from producer.sources.jira_cloud.mapping import read
from producer.state.checkpoint import begin
from producer.state.intervals import Range
from relay.timestamps import day_start
from tests.support.publisher import TOPICS, failed, paper_desk

NOW = 1_790_000_000_000
WINDOW = Range(NOW - 10_000, NOW + 1)


def event(number, **fields):
    return read({"id": number, "created": "2026-09-21T14:13:20.000+0000", **fields}, "acme")


def finding(*numbers, unreadable=()):
    return Finding([event(number) for number in numbers], list(unreadable), WINDOW, 900_000, None)


def same(checkpoint):
    return checkpoint


@pytest.fixture
async def desk():
    found, publisher = paper_desk(lambda: NOW)
    await found.write("acme", lambda _: begin("acme", NOW - 5_000, now=NOW))
    return found, publisher


@pytest.mark.parametrize("fenced", [True, False])
async def test_after_a_failure_nothing_more_is_published(desk, fenced):
    """The desk is broken, its memory as it was, and whoever comes is sent away."""
    desk, publisher = desk
    publisher.doubt = failed(fenced=fenced)
    with pytest.raises(DeskClosedError):
        await desk.publish("acme", finding(1), same, persist=False)
    publisher.doubt = None
    with pytest.raises(DeskClosedError):
        await desk.publish("acme", finding(2), same, persist=False)

    assert desk.broken.is_set()
    assert desk.fenced is fenced
    assert not desk._memory.progress("acme").ledger.knows(1)
    assert publisher.ids() == [1]


async def test_a_cancellation_between_begin_and_commit_breaks_the_desk(desk):
    """Nobody knows what became of the transaction, so nobody goes on from the memory of before."""
    desk, publisher = desk
    publisher.pause = 10
    task = asyncio.create_task(desk.publish("acme", finding(1), same, persist=False))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    assert desk.broken.is_set()


async def test_a_cancellation_while_waiting_for_the_turn_breaks_nothing(desk):
    """Only a transaction that was begun is in doubt."""
    desk, publisher = desk
    publisher.pause = 0.05
    first = asyncio.create_task(desk.publish("acme", finding(1), same, persist=False))
    second = asyncio.create_task(desk.publish("acme", finding(2), same, persist=False))
    await asyncio.sleep(0.01)
    second.cancel()
    await first
    await desk.publish("acme", finding(3), same, persist=False)

    assert publisher.ids() == [1, 3]


async def test_a_defect_within_a_transaction_breaks_the_desk(desk, monkeypatch):
    """Whatever comes between begin and commit, memory is not believed afterwards."""
    desk, _ = desk
    monkeypatch.setattr(desk._checkpoints, "encode", lambda _record: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await desk.publish("acme", finding(1), same, persist=False)

    assert desk.broken.is_set()


async def test_a_ledger_that_kafka_does_not_take_concerns_its_organization_alone():
    """It is refused before anything is begun, in words, and the others go on."""
    desk, publisher = paper_desk(lambda: NOW, largest=1_000)
    for name in ("acme", "globex"):
        await desk.write(name, lambda _, name=name: begin(name, NOW - 5_000, now=NOW))
    scattered = Finding([event(number << 33) for number in range(200)], [], WINDOW, 900_000, None)
    with pytest.raises(TooLargeError, match=r"ledger of acme 2026-09-21 has \d+ bytes, .* max.message.bytes"):
        await desk.publish("acme", scattered, same, persist=False)
    other = Finding([{**event(1), "organization": "globex"}], [], WINDOW, 900_000, None)
    await desk.publish("globex", other, same, persist=False)

    assert [one["organization"] for one in publisher.events()] == ["globex"]


async def test_a_walk_that_was_overtaken_repeats_nothing(desk):
    """What it still holds of days that others have read and let go is passed over: events, and letters by the window they were read in."""
    desk, publisher = desk
    overtaken = finding(1, unreadable=[Unreadable("no id", b"{}")])
    await desk.write("acme", lambda found: replace(found, ledgers_from=day_start("2026-09-22")))
    published = await desk.publish("acme", overtaken, same, persist=False)

    assert (published.modes, published.dead_letters) == ({}, 0)
    assert publisher.ids() == []


async def test_an_event_that_the_schema_does_not_hold_stops_nobody(desk):
    """Whatever may have let it through: it is a dead letter, once, and what stands beside it is published."""
    desk, publisher = desk
    for _ in range(2):
        found = finding(1, 2, 3)
        found.events[1]["id"] = 2**63
        await desk.publish("acme", found, same, persist=False)
    (letter,) = publisher.topics[TOPICS.dead_letters]

    assert publisher.ids() == [1, 3]
    assert b'"id":9223372036854775808' in letter.value


async def test_history_never_stands_before_live(desk):
    """However many wait with history, a live finding waits for the one transaction under way and one more at most."""
    desk, publisher = desk
    publisher.pause = 0.005
    history = [
        asyncio.create_task(desk.publish("acme", finding(number), same, persist=False, history=True))
        for number in range(100, 120)
    ]
    await asyncio.sleep(0.001)
    await desk.publish("acme", finding(1), same, persist=False)
    await asyncio.gather(*history)

    assert publisher.ids().index(1) <= 2
    assert len(publisher.ids()) == 21


async def test_a_quiet_desk_has_no_transaction_under_way(desk):
    """Whoever holds the quiet may cancel those who publish, and the desk stays whole."""
    desk, publisher = desk
    publisher.pause = 0.02
    tasks = [
        asyncio.create_task(desk.publish("acme", finding(number), same, persist=False)) for number in range(5)
    ]
    await asyncio.sleep(0.01)
    async with desk.quiet():
        assert not publisher.busy
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    await desk.publish("acme", finding(9), same, persist=False)

    assert publisher.ids()[-1] == 9
    assert not desk.broken.is_set()


async def test_closing_waits_for_the_transaction_under_way(desk):
    """What was begun ends; what comes after is refused, and the desk is not taken for broken."""
    desk, publisher = desk
    publisher.pause = 0.05
    under_way = asyncio.create_task(desk.publish("acme", finding(1), same, persist=False))
    await asyncio.sleep(0.01)
    await desk.close()
    with pytest.raises(DeskClosedError):
        await desk.publish("acme", finding(2), same, persist=False)

    assert under_way.done()
    assert publisher.ids() == [1]
    assert not desk.broken.is_set()


async def test_a_checkpoint_is_changed_as_it_is_in_its_turn(desk):
    """Who sets a checkpoint back undoes nothing of what was committed while it waited for its turn."""
    desk, publisher = desk
    publisher.pause = 0.02

    def covered(checkpoint):
        return replace(checkpoint, backfilled=(Range(0, 1),))

    covering = asyncio.create_task(desk.publish("acme", finding(1), covered, persist=True))
    await asyncio.sleep(0.01)
    await desk.write("acme", lambda checkpoint: replace(checkpoint, window_end=NOW - 60_000))
    await covering

    assert desk.checkpoint("acme").backfilled == (Range(0, 1),)
    assert desk.checkpoint("acme").window_end == NOW - 60_000


async def test_dead_letters_come_in_bounded_transactions(desk):
    """A thousand unreadable records do not make one transaction; each becomes a letter once, and the last moves the cursor."""
    desk, publisher = desk
    unreadable = [
        Unreadable("no id", b'{"n": %d, "x": "%s"}' % (number, b"x" * 9_000)) for number in range(1_000)
    ]
    sizes = []
    publish = publisher.publish

    async def counted(first, then):
        sizes.append((len(first), sum(len(record.value) for record in first)))
        return await publish(first, then)

    publisher.publish = counted
    moved = lambda checkpoint: replace(checkpoint, window_end=NOW)  # noqa: E731
    for _ in range(2):
        await desk.publish("acme", finding(1, 2, unreadable=unreadable), moved, persist=False)

    assert max(count for count, _ in sizes) <= MOST_EVENTS + MOST_LETTERS
    assert max(size for _, size in sizes) <= MOST_BYTES + 10_000
    assert len(publisher.topics[TOPICS.dead_letters]) == 1_000
    assert desk.checkpoint("acme").window_end == NOW


async def test_time_on_the_topics_only_moves_forward():
    """A clock that is set back makes no event older than the one before."""
    now = [NOW]
    desk, publisher = paper_desk(lambda: now[0])
    await desk.write("acme", lambda _: begin("acme", NOW - 5_000, now=NOW))
    for number, time in enumerate([NOW, NOW - 3_600_000, NOW - 3_600_000, NOW + 5]):
        now[0] = time
        await desk.publish("acme", finding(number), same, persist=False)

    stamps = [record.timestamp for record in publisher.topics[TOPICS.events]]
    assert stamps == sorted(set(stamps))
    assert [one["collected"] for one in publisher.events()] == stamps
