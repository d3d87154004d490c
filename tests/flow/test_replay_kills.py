"""The owner of a replay is killed, as a process, at each step of the job: the next one goes on, and the counts are exact."""

import asyncio

import pytest

from simulators.azure.world import HISTORY
from simulators.faults import Fault, hang
from tests.support.pipeline_world import some_events, uid
from tests.support.replay_world import replay_world
from tests.support.waiting import wait_until

COUNT, RATE = 240, 60


def is_history(request):
    return "History" in request.path


def hang_when(replays, replay_id, condition):
    """Return a fault and its event: requests are served, but one for which `condition(rows before, rows after)` holds has no answer."""
    reached = asyncio.Event()

    def count():
        return len({row["EventUid"] for row in replays.replayed(replay_id)})

    async def play(_request, serve_normally):
        before = count()
        response = await serve_normally()
        if condition(before, count()):
            reached.set()
            await asyncio.sleep(3600)
        return response

    return Fault("hang", play), reached


@pytest.mark.timeout(600)
async def test_an_owner_may_be_killed_before_the_first_record_in_the_middle_and_before_the_last(
    kafka, prefix, monkeypatch
):
    """Three processes are killed one after the other; a kill repeats only what no record of progress covered.

    It takes three session timeouts of the group, as long as Kafka needs to notice a death.
    """
    async with replay_world(kafka, prefix, monkeypatch) as replays:
        world = replays.world
        await world.publish(some_events(COUNT))
        replay_id = await replays.start(rate=RATE)

        hanging = world.azure.fault(hang(), rate=1, only=is_history)
        process = await world.start_process()
        await wait_until(lambda: hanging.played > 0)
        process.kill()
        await process.wait()
        hanging.cancel()
        assert replays.replayed(replay_id) == []

        fault, reached = hang_when(replays, replay_id, lambda before, _after: before >= RATE)
        hanging = world.azure.fault(fault, rate=1, only=is_history)
        process = await world.start_process()
        await asyncio.wait_for(reached.wait(), 120)
        middle = await replays.wait_for(replay_id, lambda progress: progress.sent >= RATE)
        process.kill()
        await process.wait()
        hanging.cancel()
        in_the_middle = len(replays.replayed(replay_id))
        assert 0 < in_the_middle < COUNT

        fault, reached = hang_when(replays, replay_id, lambda _before, after: after >= COUNT)
        world.azure.fault(fault, rate=1, only=is_history)
        process = await world.start_process()
        await asyncio.wait_for(reached.wait(), 120)
        process.kill()
        await process.wait()
        assert not (await replays.known(replay_id)).ended
        world.azure.clear_faults()

        async with world.consuming():
            done = await replays.done(replay_id)

        found = [row["EventUid"] for row in replays.replayed(replay_id)]
        assert sorted(set(found)) == sorted(map(uid, world.published))
        assert (done.state, done.sent, done.skipped, done.dead_lettered, done.lost) == (
            "done",
            COUNT,
            0,
            0,
            0,
        )
        uncovered = (
            in_the_middle - middle.sent
        )  # of the second kill; the third left at most two seconds and a body
        assert len(found) - COUNT <= uncovered + 4 * RATE
        assert {row["EventMode"] for row in world.azure.rows(HISTORY)} == {"replay"}
