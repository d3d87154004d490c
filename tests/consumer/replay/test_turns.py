"""The places of running jobs: a job that cannot move holds none that another could use."""

import pytest

from consumer.replay.turns import Turns
from consumer.timing import BackoffCurve, ReplayTiming
from relay.replays.job import KnownReplay
from tests.consumer.replay.test_owned_replays import World, job
from tests.support.waiting import wait_until

TIMING = ReplayTiming(place_seconds=10, heartbeat_seconds=15, source=BackoffCurve(1, 30))


@pytest.fixture
async def world():
    made = World()
    yield made
    await made.close()


def turns():
    return Turns(TIMING, jitter=lambda: 1.0)


async def test_jobs_whose_attempts_fail_hold_no_place(world):
    """Two jobs with a broken archive, and two places: a third job runs."""
    world.broken = {job(number).id: "the archive is broken" for number in (1, 2)}
    world.topic(job(1), job(2), job(3))
    await world.until(job(3).id, "running")
    for number in (1, 2):
        assert "archive is broken" in (await world.until(job(number).id, "waiting")).reason


async def test_jobs_that_only_wait_leave_their_place_to_one_that_can_run(world):
    """As a refill whose producers still read, or a job whose destination refuses; the newest of many gets its turn."""
    waiting = [job(number) for number in range(1, 8)]
    world.idle = {each.id: "The producers read the window." for each in waiting}
    world.topic(*waiting, job(9))
    await world.until(job(9).id, "running")
    await wait_until(lambda: waiting[0].id in world.runs)
    left = await world.until(waiting[0].id, "waiting")
    assert "The producers read the window." in left.reason
    world.runs[job(9).id].end("done", None)
    await world.until(job(9).id, "done")


async def test_a_job_that_waits_keeps_its_place_while_no_other_wants_it(world):
    world.idle = {job(1).id: "The producers read the window."}
    world.topic(job(1), job(2))
    for number in (1, 2):
        await world.until(job(number).id, "running")
    run = world.runs[job(1).id]
    looks = []
    world.owned._report = lambda _: looks.append(1)
    await wait_until(lambda: len(looks) > 10)
    assert world.runs[job(1).id] is run
    assert not run.ended.done()


async def test_a_job_whose_record_has_disappeared_stops(world):
    """Its topic was deleted and made again: nobody could see or cancel the job."""
    world.topic(job(1), job(2))
    for number in (1, 2):
        await world.until(job(number).id, "running")
    world.read_again(job(2))
    assert "not on the topic of replays any more" in (await world.until(job(1).id, "waiting")).reason
    assert world.owned.missing([job(1).id, job(2).id]) == [job(1).id]
    assert not world.runs[job(2).id].ended.done()


async def test_an_end_that_the_topic_has_lost_is_written_again(world):
    """Otherwise the next owner would deliver the job once more."""
    world.topic(job(1))
    running = await world.until(job(1).id, "running")
    world.runs[job(1).id].end("done", None)
    done = await world.until(job(1).id, "done")
    world.read_again(job(1), running)
    assert await world.until(job(1).id, "done") == done


def test_a_job_that_failed_waits_longer_each_time_and_goes_behind_the_others():
    found, replays = turns(), [KnownReplay(job(number)) for number in (1, 2)]
    waits = []
    for at in range(7):
        found.failed(job(1).id, "away", began=float(at), now=float(at))
        waits.append(found.last(job(1).id).not_before - at)
    assert waits == sorted(waits)
    assert 1 <= waits[0] < waits[-1] <= 30
    assert [each.job.id for each in found.order(replays)] == [job(2).id, job(1).id]

    found.failed(job(1).id, "away", began=10.0, now=26.0)
    assert found.last(job(1).id).number == 0
    found.forget(job(1).id)
    assert found.order(replays) == replays


def test_a_job_leaves_its_place_only_after_it_has_moved_nothing_for_long():
    """A sign of life between two failures is no movement; a record that ended is."""
    found = turns()
    assert not found.note_wait("a", 5, "the source is away", 0.0)
    assert not found.note_wait("a", 5, None, 5.0)
    assert found.note_wait("a", 5, "the source is away", 10.0)
    assert not found.note_wait("a", 6, "the source is away", 11.0)
    assert not found.note_wait("a", 6, None, 30.0)
    found.stopped("a")
    assert not found.note_wait("a", 6, "the source is away", 40.0)


def test_what_is_known_of_jobs_that_are_gone_is_dropped():
    found = turns()
    for number in (1, 2):
        found.failed(job(number).id, "away", 0.0, 0.0)
    found.keep([job(1).id])
    assert found.last(job(1).id) is not None
    assert found.last(job(2).id) is None
