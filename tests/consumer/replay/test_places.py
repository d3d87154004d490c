"""The places of a job: what a record of progress holds, and that it can always be written."""

import asyncio
from dataclasses import replace

from consumer.destinations.contract import BodyFormat, Limits
from consumer.replay.selection import Selection
from relay.kafka.producer import RecordTooLargeError
from tests.support.in_memory_group import FakeSchemaStore
from tests.support.replay_run import TIMING, MarkedDestination, MemorySource, ReplayBench, messages, partition
from tests.support.waiting import wait_until


def bench(offsets, wanted, **limits):
    """Return a job of which the events with these ids are wanted; its bodies have room for all of them."""
    body = BodyFormat(1_000_000, b"[", b",", b"]", max_rows=1_000)
    destination = MarkedDestination(limits=Limits(body, **limits))
    made = ReplayBench(MemorySource({partition(): messages(offsets)}), destination, FakeSchemaStore())
    made.selection = Selection(lambda events: wanted(events["id"]))
    return made


async def test_offsets_that_were_done_before_they_were_deleted_are_not_lost():
    """The first event waited for the destination when its owner died; those behind it had been skipped."""
    world = bench(range(12), lambda ids: ids == 0)
    world.destination.answering.clear()
    run = asyncio.create_task(world.new_run().run())
    await wait_until(lambda: world.destination.requests and world.written and world.written[-1].skipped == 11)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)

    world.destination.answering.set()
    world.source.lost = {partition(): (0, 10)}
    world.source.records[partition()] = messages(range(10, 12))
    done = await world.run_to_end()
    assert (done.state, done.sent, done.skipped, done.lost) == ("done", 0, 11, 1)


async def test_a_rare_condition_does_not_make_a_progress_that_kafka_refuses():
    """Rows that wait for a full body leave gaps between what was skipped; a record with too many of them is too large."""
    world = bench(range(300), lambda ids: ids % 3 == 0, max_uncommitted=24)
    world.timing = replace(TIMING, most_ranges=5)
    write = world._write

    async def write_small(progress):
        if progress.places[0].metadata.count(",") > 40:
            raise RecordTooLargeError("too large")
        await write(progress)

    world._write = write_small
    done = await world.run_to_end()
    assert (done.state, done.sent, done.skipped) == ("done", 100, 200)
    assert len(world.destination.accepted) == 100
