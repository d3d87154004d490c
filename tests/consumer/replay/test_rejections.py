"""The run of a job whose events the destination rejects: when it waits, and when it ends."""

import asyncio
from dataclasses import replace

import pytest

from consumer.destinations.outcome import Paused, Reject, Sent
from tests.consumer.replay.test_runner import SMALL, bench, counts
from tests.support.replay_run import TIMING, MarkedDestination, MemorySource, messages, partition
from tests.support.waiting import wait_until

SOON_FAILED = replace(TIMING, watch_seconds=0.02, rejected_seconds=0.1)


async def test_a_destination_that_rejects_everything_is_the_reason_of_a_waiting_job():
    """No row is a dead letter while nothing shows that the configuration works."""
    world = bench(range(8), MarkedDestination(lambda _: Reject("unknown column", 400), SMALL))
    task = asyncio.create_task(world.new_run().run())
    await wait_until(lambda: any("unknown column" in (each.reason or "") for each in world.written))
    assert world.letters.put_records == []
    world.destination.answer = lambda _: Sent()
    await task
    assert counts(world.written[-1]) == (15, 0, 0, 0)


async def test_a_row_that_is_rejected_at_the_very_end_ends_the_job_as_failed():
    """No later event can show whether the row or the configuration is at fault: it is no dead letter, and the job does not wait for ever."""

    def answer(rows):
        return Reject("bad", 400) if any(b":104:" in row for row in rows) else Sent()

    source = MemorySource({partition(1): messages(range(100, 105), 1)})
    world = bench(source=source, destination=MarkedDestination(answer, SMALL))
    world.timing = SOON_FAILED
    failed = await world.run_to_end()
    assert (failed.state, counts(failed)) == ("failed", (4, 0, 0, 0))
    assert failed.reason.startswith("Its last events were rejected until it ended: ")
    assert world.letters.put_records == []


@pytest.mark.parametrize("offsets", [range(1), range(200)])
async def test_a_job_of_which_nothing_is_accepted_ends_as_failed(offsets):
    """As a redrive of one letter; a long job has lost nothing either. No dead letter is made, since the configuration is suspected."""
    source = MemorySource({partition(0): messages(offsets)})
    world = bench(
        source=source, destination=MarkedDestination(lambda _: Reject("no such column", 400), SMALL)
    )
    world.timing = SOON_FAILED
    failed = await world.run_to_end()
    assert (failed.state, counts(failed)) == ("failed", (0, 0, 0, 0))
    assert failed.reason.startswith("The destination has accepted none of its events: ")
    assert "no such column" in failed.reason
    assert world.letters.put_records == []


async def test_a_job_that_is_rejected_in_its_middle_waits_as_live_delivery_does():
    """What was accepted before would have to be sent again by another job."""
    limits = replace(SMALL, in_flight_bytes=1)

    def answer(rows):
        ids = [int(row.split(b":")[1]) for row in rows]
        return Reject("no such column", 400) if max(ids) >= 8 else Sent()

    source = MemorySource({partition(0): messages(range(200))}, size=4)
    world = bench(source=source, destination=MarkedDestination(answer, limits))
    world.timing = SOON_FAILED
    task = asyncio.create_task(world.new_run().run())
    await wait_until(lambda: any("no such column" in (each.reason or "") for each in world.written))
    await asyncio.sleep(3 * SOON_FAILED.rejected_seconds)
    assert not task.done()
    assert not world.written[-1].ended
    world.destination.answer = lambda _: Sent()
    await task
    assert counts(world.written[-1]) == (200, 0, 0, 0)


async def test_a_run_says_why_it_only_waits_unless_it_ends_soon():
    """Live events that go first are no reason to leave a place: every job waits for them."""
    world = bench(range(4), MarkedDestination(lambda _: Paused("no right. Grant it.", 403), SMALL))
    run = world.new_run()
    task = asyncio.create_task(run.run())
    await wait_until(lambda: run.idle_reason is not None)
    assert "Grant it." in run.idle_reason
    world.destination.answer = lambda _: Reject("no such column", 400)
    await wait_until(lambda: run._rejections.counts)
    assert run.idle_reason is None
    world.destination.answer = lambda _: Sent()
    await task

    waiting = bench(range(4))
    waiting.live_wait = lambda: "Live events wait."
    run = waiting.new_run()
    task = asyncio.create_task(run.run())
    await wait_until(lambda: any(each.reason == "Live events wait." for each in waiting.written))
    assert run.idle_reason is None
    waiting.live_wait = lambda: None
    await task
