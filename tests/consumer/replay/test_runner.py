"""The run of one job: every event of it once, exact counts, and every death survived."""

import asyncio

import polars as pl
import pytest

from consumer.destinations.contract import BodyFormat, Limits
from consumer.destinations.outcome import Paused, Reject, Retry, Sent
from consumer.replay.selection import Selection
from relay.avro.codec import SchemaId
from relay.kafka.producer import TopicWriteError
from relay.replays.job import ReplaySkip
from tests.support.dead_letters import FakeDeadLetterWriter
from tests.support.in_memory_group import FakeSchemaStore
from tests.support.messages import ForeignSchemaEncoder
from tests.support.replay_run import (
    MarkedDestination,
    MemorySource,
    ReplayBench,
    messages,
    partition,
)
from tests.support.waiting import wait_until

SMALL = Limits(BodyFormat(1_000_000, b"[", b",", b"]", max_rows=4))
ID = "20261130-071500-ab12"


def bench(offsets=range(20), destination=None, source=None, **job):
    source = source or MemorySource(
        {partition(0): messages(offsets), partition(1): messages(range(100, 107), 1)}
    )
    destination = destination or MarkedDestination(limits=SMALL)
    return ReplayBench(source, destination, FakeSchemaStore(), **job)


def ids(destination):
    return sorted(int(row.split(b":")[1]) for row in destination.accepted)


def counts(progress):
    return progress.sent, progress.skipped, progress.dead_lettered, progress.lost


async def test_a_job_sends_its_ranges_once_and_counts_them():
    """Each row has the mode and the id of the replay; offsets without a record and the ends of the ranges are no trouble."""
    world = bench([1, 2, 3, 5, 8, 9, 10, 20, 21, 22])
    done = await world.run_to_end()

    assert ids(world.destination) == [1, 2, 3, 5, 8, 9, 10, 20, 21, 22, *range(100, 107)]
    assert {row.split(b":", 2)[2] for row in world.destination.accepted} == {f"replay:{ID}".encode()}
    assert (done.state, done.reason, counts(done), done.read) == ("done", None, (17, 0, 0, 0), 17)
    assert [(each.partition, each.offset) for each in done.places] == [(0, 24), (1, 108)]
    assert max(map(len, world.destination.requests)) <= 4


async def test_events_to_the_live_target_keep_their_mode():
    world = bench(range(3), to_live=True)
    await world.run_to_end()
    assert {row.split(b":", 2)[2] for row in world.destination.accepted} == {f"live:{ID}".encode()}


async def test_what_is_not_of_the_job_is_skipped_and_counted():
    """By key, by its mask, and by its source, whose reasons are counted apart."""
    world = bench(range(10))
    world.source.left_out = {7: "redriven before", 8: "redriven before", 9: ""}
    world.selection = Selection(lambda frame: frame.select(pl.col("id") % 2 == 0)["id"])
    done = await world.run_to_end()

    assert ids(world.destination) == [0, 2, 4, 6, 100, 102, 104, 106]
    assert counts(done) == (8, 9, 0, 0)
    assert done.skips == (ReplaySkip("redriven before", 2),)


async def test_a_rejected_row_becomes_a_dead_letter_and_is_counted_as_one():
    def answer(rows):
        return Reject("bad", 400) if any(b":5:" in row for row in rows) else Sent()

    world = bench(range(10), MarkedDestination(answer, SMALL))
    done = await world.run_to_end()
    assert ids(world.destination) == [*range(5), *range(6, 10), *range(100, 107)]
    assert [offset for offset, *_ in world.letters.put_records] == [5]
    assert counts(done) == (16, 0, 1, 0)
    delivered = sorted(offset for ended, _ in world.source.confirmed for offset in ended)
    assert (delivered, [letters for _, letters in world.source.confirmed if letters]) == (
        ids(world.destination),
        [[5]],
    )


async def test_a_record_that_is_no_event_becomes_a_dead_letter():
    source = MemorySource({partition(0): messages(range(6))})
    source.records[partition(0)][3].value = b"garbage"
    world = bench(source=source)
    assert counts(await world.run_to_end()) == (5, 0, 1, 0)
    assert [offset for offset, *_ in world.letters.put_records] == [3]


async def test_lost_offsets_are_counted_and_named_at_the_end():
    source = MemorySource({partition(0): messages(range(50, 60)), partition(1): messages(range(100, 107), 1)})
    source.lost = {partition(0): (20, 50)}
    world = bench(source=source)
    done = await world.run_to_end()
    assert counts(done) == (17, 0, 0, 30)
    assert done.reason.startswith(
        "Kafka no longer had offsets 20 to 49 of p.events/0 when the replay came there"
    )


@pytest.mark.parametrize("failing", [Retry("busy", 503), Paused("no right. Grant it.", 403)])
async def test_a_destination_that_refuses_is_the_reason_of_a_waiting_job(failing):
    """It goes on by itself once the destination accepts."""
    world = bench(range(4), MarkedDestination(lambda _: failing, SMALL))
    task = asyncio.create_task(world.new_run().run())
    await wait_until(lambda: any(each.state == "waiting" for each in world.written))
    waiting = next(each for each in world.written if each.state == "waiting")
    assert failing.reason in waiting.reason
    assert counts(waiting) == (0, 0, 0, 0)

    world.destination.answer = lambda _: Sent()
    await task
    assert world.written[-1].state == "done"
    assert len(ids(world.destination)) == 11


async def test_a_source_that_fails_is_a_reason_and_nothing_is_read_twice():
    world = bench(range(9))
    failures = [TopicWriteError("p.events/0 has no leader"), TimeoutError(), OSError("away")]
    world.source.failures = failures
    done = await world.run_to_end()
    assert counts(done) == (16, 0, 0, 0)
    assert len(ids(world.destination)) == 16
    assert failures == []


async def test_a_chunk_whose_schema_is_in_doubt_waits_and_what_was_before_it_is_sent():
    foreign = ForeignSchemaEncoder(
        {"type": "record", "name": "Foreign", "fields": [{"name": "a", "type": "string"}]}, SchemaId(9)
    )
    source = MemorySource({partition(0): messages(range(9))})
    for each in source.records[partition(0)][6:]:
        each.value = foreign.encode({"a": each.key.decode()})
    world = bench(source=source)
    task = asyncio.create_task(world.new_run().run())
    await wait_until(lambda: any("schema id 9" in (each.reason or "") for each in world.written))
    await wait_until(lambda: counts(world.written[-1]) == (6, 0, 0, 0))
    assert {each.state for each in world.written if each.reason} == {"waiting"}
    assert "p.events/0 from offset 6 on wait" in world.written[-1].reason
    assert world.letters.put_records == []

    for each, mended in zip(source.records[partition(0)], messages(range(9)), strict=True):
        each.value = mended.value
    await task
    assert counts(world.written[-1]) == (9, 0, 0, 0)


async def test_live_events_go_first():
    """While they wait for the destination, a replay starts no body, and says so."""
    world = bench(range(9))
    world.live_wait = lambda: "Live events wait."
    task = asyncio.create_task(world.new_run().run())
    await wait_until(lambda: any(each.reason == "Live events wait." for each in world.written))
    assert world.destination.requests == []
    world.live_wait = lambda: None
    await task
    assert len(ids(world.destination)) == 16


async def test_one_body_is_in_flight_at_a_time():
    world = bench(range(40))
    world.destination.answering.clear()
    task = asyncio.create_task(world.new_run().run())
    await wait_until(lambda: world.destination.requests)
    await asyncio.sleep(0.05)
    assert len(world.destination.requests) == 1
    world.destination.answering.set()
    await task
    assert len(ids(world.destination)) == 47


@pytest.mark.parametrize("state", ["paused", "cancelled", "waiting"])
async def test_an_end_leaves_a_place_from_which_the_rest_is_sent(state):
    """Answers that come in time count, so that a pause repeats nothing."""
    world = bench(range(40))
    run = world.new_run()
    world.destination.answering.clear()
    task = asyncio.create_task(run.run())
    await wait_until(lambda: world.destination.requests)
    run.end(state, None)
    world.destination.answering.set()
    await task

    left = world.written[-1]
    assert (left.state, left.ended) == (state, state == "cancelled")
    assert left.sent == len(ids(world.destination)) > 0
    done = await world.run_to_end()
    assert ids(world.destination) == [*range(40), *range(100, 107)]
    assert counts(done) == (47, 0, 0, 0)


async def test_a_death_at_any_step_loses_nothing_and_leaves_exact_counts():
    """Whatever step a process dies at, the next owner sends the rest; only what no record covered is sent again."""

    def answer(rows):
        return Reject("bad", 400) if any(b":13:" in row for row in rows) else Sent()

    number, alive = 1, True
    while alive:
        world = bench(range(20), MarkedDestination(answer, SMALL))
        world.source.left_out = {4: ""}
        alive = await world.run_killed_at(number)
        before = world.written[-1] if world.written else None
        accepted = len(world.destination.accepted)
        done = await world.run_to_end()

        wanted = [each for each in range(20) if each not in (4, 13)] + list(range(100, 107))
        assert sorted(set(ids(world.destination))) == wanted, number
        assert counts(done) == (len(wanted), 1, 1, 0), number
        repeated = len(world.destination.accepted) - len(wanted)
        assert repeated <= accepted - (before.sent if before else 0), number
        assert {offset for offset, *_ in world.letters.put_records} == {13}
        number += 1
    assert number > 20


async def test_several_deaths_in_a_row_are_survived():
    for size in (1, 2, 5):
        world = bench(range(30))
        world.source.size = size
        for number in (3, 9, 2, 14, 7):
            await world.run_killed_at(number)
        done = await world.run_to_end()
        assert sorted(set(ids(world.destination))) == [*range(30), *range(100, 107)]
        assert counts(done) == (37, 0, 0, 0)


async def test_progress_that_cannot_be_written_holds_up_the_job_before_too_much_is_sent():
    """A death would repeat what no record covers, so no more than the destination allows is sent without one."""
    limits = Limits(BodyFormat(1_000_000, b"[", b",", b"]", max_rows=4), max_uncommitted=8)
    world = bench(range(100), MarkedDestination(limits=limits))
    away = True
    write = world._write

    async def write_or_fail(progress):
        if away:
            raise TopicWriteError("Kafka is away")
        await write(progress)

    world._write = write_or_fail
    task = asyncio.create_task(world.new_run().run())
    await wait_until(lambda: len(world.destination.accepted) >= 8)
    await asyncio.sleep(0.05)
    assert len(world.destination.accepted) == 8
    away = False
    await task
    assert counts(world.written[-1]) == (107, 0, 0, 0)


async def test_a_dead_letter_that_kafka_does_not_take_is_written_again():
    def answer(rows):
        return Reject("bad", 400) if any(b":5:" in row for row in rows) else Sent()

    world = bench(range(10), MarkedDestination(answer, SMALL))
    world.letters = FakeDeadLetterWriter(failures=3)
    assert counts(await world.run_to_end()) == (16, 0, 1, 0)
