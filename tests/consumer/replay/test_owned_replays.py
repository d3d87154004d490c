"""The replays of one destination while a process owns them: which run, what is said about the others, and who writes last."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

from consumer.replay.job_opener import JobRefusedError
from consumer.replay.owned_replays import HANDED_OVER, OwnedReplays
from consumer.replay.place_keeper import ProgressLog
from relay.kafka import KafkaError
from relay.replays.job import ReplayProgress
from relay.replays.store import ReplayTable
from tests.support.replay_run import TIMING
from tests.support.replays import replay_job
from tests.support.waiting import wait_until

TIMES = replace(TIMING, watch_seconds=0.005, most_running=2, place_seconds=0.02)


class FakeRun:
    """Runs until `end` is called. `idle_reason`: why it only waits."""

    def __init__(self, log, job, idle_reason=None):
        self._log, self._job = log, job
        self.idle_reason, self.ended_count = idle_reason, 0
        self.ended = asyncio.get_running_loop().create_future()

    def end(self, state, reason):
        if not self.ended.done():
            self.ended.set_result((state, reason))

    async def run(self):
        await self._log.write(ReplayProgress(self._job.id, "running", 1, 1, self._log.owner, 1))
        state, reason = await self.ended
        if isinstance(state, Exception):
            raise state
        await self._log.write(ReplayProgress(self._job.id, state, 1, 1, self._log.owner, 1, reason))


class World:
    """One process, the topic, and the runs that it has opened, by id."""

    def __init__(self):
        self.written, self.runs, self.failures, self.guards = [], {}, [], {}
        self.broken, self.idle = {}, {}
        """Why the open of a job fails each time, and why its runs only wait, by id."""
        self._seen = {}
        self.owned = OwnedReplays(
            "sentinel", self, ProgressLog(self._write, self._wait, "host-1", lambda: 1_000), TIMES
        )
        self._task = asyncio.create_task(self.owned.run())

    async def _wait(self):
        await asyncio.sleep(0)

    async def _write(self, progress):
        self.written.append(progress)
        self.topic({"progress": progress})

    def topic(self, *entries):
        """Let records arrive, without their encoding."""
        table: ReplayTable = self.owned._table
        for each in entries:
            if isinstance(each, dict):
                table._progress[each["progress"].id] = each["progress"]
            else:
                table._jobs[each.id] = each
        self.owned.apply([])

    def guard(self, job):
        return self.guards.get(job.id)

    @asynccontextmanager
    async def open(self, job, before, log):  # noqa: ARG002
        if self.failures:
            raise self.failures.pop()
        if job.id in self.broken:
            raise KafkaError(self.broken[job.id])
        self.runs[job.id] = FakeRun(log, job, self.idle.get(job.id))
        yield self.runs[job.id]

    def read_again(self, *entries):
        """Let the topic be read from its start, with these records."""
        self.owned.begin_table_again()
        for each in entries:
            if isinstance(each, ReplayProgress):
                self.owned._next_table._progress[each.id] = each
            else:
                self.owned._next_table._jobs[each.id] = each
        self.owned.table_is_read_again()

    def last(self, replay_id):
        return next((each for each in reversed(self.written) if each.id == replay_id), None)

    async def until(self, replay_id, state):
        """Wait for the next record of the job in this state, behind the one that the wait before has found.

        A state may last less than a look: the wait before another attempt is drawn, and may be nothing.
        """

        def found():
            behind = range(self._seen.get(replay_id, 0), len(self.written))
            each = (
                at for at in behind if self.written[at].id == replay_id and self.written[at].state == state
            )
            return next(each, None)

        await wait_until(lambda: found() is not None)
        self._seen[replay_id] = found() + 1
        return self.written[self._seen[replay_id] - 1]

    async def close(self):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.owned.close(1)


@pytest.fixture
async def world():
    made = World()
    yield made
    await made.close()


def job(number=1, **changes):
    return replay_job(id=f"20261130-071500-{number:04x}", **changes)


async def test_the_oldest_jobs_run_and_the_others_wait_for_their_turn(world):
    """Jobs of other destinations and of producers are not touched."""
    world.topic(
        *(job(number) for number in (3, 1, 2)), job(4, destination="splunk"), job(5, content="unreadable")
    )
    waiting = await world.until(job(3).id, "waiting")
    assert waiting.reason == "2 replays of the destination run; it waits for its turn."
    assert set(world.runs) == {job(1).id, job(2).id}
    assert set(world.owned.states()) == {job(1).id, job(2).id, job(3).id}

    world.runs[job(1).id].end("done", None)
    await world.until(job(3).id, "running")
    assert {each.id for each in world.written} == {job(1).id, job(2).id, job(3).id}


@pytest.mark.parametrize(("wished", "state"), [("cancelled", "cancelled"), ("paused", "paused")])
async def test_a_wish_is_followed_before_and_during_the_run(world, wished, state):
    world.topic(job(1, wished=wished))
    await world.until(job(1).id, state)
    assert world.runs == {}

    world.topic(job(2))
    await world.until(job(2).id, "running")
    world.topic(job(2, wished=wished))
    await world.until(job(2).id, state)


async def test_a_paused_job_is_resumed(world):
    world.topic(job(1, wished="paused"))
    await world.until(job(1).id, "paused")
    world.topic(job(1))
    await world.until(job(1).id, "running")


async def test_a_job_that_can_never_run_fails_and_one_that_cannot_run_now_waits(world):
    world.failures = [JobRefusedError("It has no target.")]
    world.topic(job(1))
    assert (await world.until(job(1).id, "failed")).reason == "It has no target."

    world.failures = [KafkaError("away"), KafkaError("away")]
    world.topic(job(2))
    await world.until(job(2).id, "running")
    reasons = [each.reason for each in world.written if each.id == job(2).id and each.state == "waiting"]
    assert reasons
    assert "away" in reasons[0]


async def test_a_defect_is_named_and_the_job_begins_again(world):
    world.topic(job(1))
    await world.until(job(1).id, "running")
    world.runs[job(1).id].end(ValueError("broken"), None)
    waiting = await world.until(job(1).id, "waiting")
    assert "ValueError: broken" in waiting.reason
    await world.until(job(1).id, "running")


async def test_a_word_of_a_later_release_is_a_reason_to_wait(world):
    world.topic(job(1, content="moods"))
    waiting = await world.until(job(1).id, "waiting")
    assert "asks for moods, which this release does not know. Upgrade the consumers" in waiting.reason


async def test_a_destination_that_is_paused_or_has_another_target_runs_no_replay(world):
    """The run leaves, with the guard's reason, and begins again once the guard allows it."""

    async def require_own():
        if guard.reason_to_leave:
            raise KafkaError(guard.reason_to_leave)

    guard = SimpleNamespace(reason_to_leave=None, require_own=require_own)
    world.guards[job(1).id] = guard
    world.topic(job(1))
    await world.until(job(1).id, "running")
    guard.reason_to_leave = "ann paused the destination"
    assert "ann paused the destination" in (await world.until(job(1).id, "waiting")).reason
    guard.reason_to_leave = None
    await world.until(job(1).id, "running")


async def test_a_late_record_of_a_former_owner_is_overwritten(world):
    """It was on its way when this process took over; a later owner must not begin there again."""
    world.topic(job(1))
    await world.until(job(1).id, "running")
    world.runs[job(1).id].end("done", None)
    done = await world.until(job(1).id, "done")
    late = ReplayProgress(job(1).id, "running", 1, 1, "host-0", 1)
    world.topic({"progress": late})
    await wait_until(lambda: world.written[-1] == done and len(world.written) > 2)
    table: ReplayTable = world.owned._table
    assert table.jobs[job(1).id].progress == done
    assert list(world.owned.states()) == []


async def test_a_hand_over_leaves_each_job_at_its_place(world):
    world.topic(job(1), job(2))
    await world.until(job(2).id, "running")
    await world.owned.close(1)
    for number in (1, 2):
        left = world.last(job(number).id)
        assert (left.state, left.reason) == ("waiting", HANDED_OVER)
    count = len(world.runs)
    world.topic(job(3))
    await asyncio.sleep(0.05)
    assert len(world.runs) == count


async def test_a_job_that_ended_is_left_alone(world):
    world.topic(job(1), {"progress": ReplayProgress(job(1).id, "cancelled", 1, 1, "host-0", 1)})
    world.topic(job(2))
    await world.until(job(2).id, "running")
    assert set(world.runs) == {job(2).id}


async def test_a_job_whose_record_cannot_be_read_any_more_stops(world):
    """A later release has changed what is asked for; an older consumer does not go on with what it knew."""
    world.topic(job(1))
    await world.until(job(1).id, "running")
    table: ReplayTable = world.owned._table
    table.unreadable[job(1).id] = "of a later release"
    world.owned.apply([])
    assert "cannot be read" in (await world.until(job(1).id, "waiting")).reason


async def test_one_redrive_runs_at_a_time(world):
    """Two operators may start one at the same moment; the second begins when the first has closed its letters."""
    world.topic(job(1, content="dead-letters"), job(2, content="dead-letters"), job(3))
    waiting = await world.until(job(2).id, "waiting")
    assert f"The replay {job(1).id} redrives dead letters" in waiting.reason
    await wait_until(lambda: set(world.runs) == {job(1).id, job(3).id})
    world.runs[job(1).id].end("done", None)
    await wait_until(lambda: job(2).id in world.runs)


@pytest.mark.parametrize("wished", ["running", "paused", "cancelled"])
async def test_a_job_that_does_not_run_keeps_the_sentence_on_lost_offsets(world, wished):
    """Its count stays, so the auditor needs the range, whatever the job waits for since."""
    lost = "Kafka no longer had offsets 20 to 49 of p.events/0 when the replay came there, and no archive has them."
    before = ReplayProgress(job(1).id, "running", 1, 1, "host-0", 1, lost, lost=30)
    world.failures = [KafkaError("away")]
    world.topic(job(1, wished=wished), {"progress": before})
    state = "waiting" if wished == "running" else wished
    await wait_until(lambda: any(each.state == state for each in world.written))
    noted = next(each for each in world.written if each.state == state)
    assert noted.reason.endswith(lost)
    assert noted.lost == 30
    assert noted.reason.count("Kafka no longer had") == 1
