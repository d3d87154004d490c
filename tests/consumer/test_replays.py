"""Replays on a real Kafka, by consumers that deliver live events too: exactly the window, and live delivery untouched."""

import asyncio
from dataclasses import replace

from consumer.targets.store import ClaimStore
from consumer.targets.target import Pause
from consumer.timing import ConsumerTiming, ReplayTiming, TargetTiming
from simulators.azure.world import HISTORY, LIVE
from simulators.faults import respond_with
from tests.support.pipeline_world import committed_and_ends, some_events, uid, uids, wait_for_status
from tests.support.replay_world import replay_world

QUICK = ConsumerTiming(replay=ReplayTiming(record_seconds=0.2, watch_seconds=0.1))


def row_uids(rows):
    return sorted(row["EventUid"] for row in rows)


async def test_exactly_the_window_arrives_in_history_and_live_is_untouched(kafka, prefix, monkeypatch):
    """Each row has mode and id of the replay; the live group commits as ever; the counts are those of Kafka and the table."""
    async with replay_world(kafka, prefix, monkeypatch) as replays:
        world = replays.world
        await world.publish(some_events(60))
        await world.publish(some_events(20, first=60, mode="backfill"), topic=world.topics.backfill)
        async with world.consuming(timing=QUICK):
            await world.wait_for_events(60)
            await world.wait_for_events(20, HISTORY)
            first, last = world.published[10]["collected"], world.published[40]["collected"]
            replay_id = await replays.start(from_ms=first, to_ms=last)
            await world.publish(some_events(15, first=100))
            done = await replays.done(replay_id)
            await world.wait_for_events(75)

        wanted = sorted(uid(each) for each in world.published[10:40])
        rows = replays.replayed(replay_id)
        assert row_uids(rows) == wanted
        assert {row["EventMode"] for row in rows} == {"replay"}
        assert (done.state, done.sent, done.skipped, done.dead_lettered, done.lost) == ("done", 30, 50, 0, 0)
        assert uids(world.azure) == sorted(map(uid, world.published))
        assert len(world.azure.rows(HISTORY)) == 20 + 30
        committed, ends = await committed_and_ends(world)
        assert committed == ends


async def test_a_replay_can_go_to_the_live_table(kafka, prefix, monkeypatch):
    """Its rows keep their mode, and say which replay they are of."""
    async with replay_world(kafka, prefix, monkeypatch) as replays:
        world = replays.world
        await world.publish(some_events(10))
        async with world.consuming(timing=QUICK):
            await world.wait_for_events()
            replay_id = await replays.start(to_live=True, organizations=("org1.atlassian.net",))
            await replays.done(replay_id)
        rows = replays.replayed(replay_id, LIVE)
        assert row_uids(rows) == ["org1.atlassian.net/1", "org1.atlassian.net/6"]
        assert {row["EventMode"] for row in rows} == {"live"}
        assert world.azure.rows(HISTORY) == []


async def test_a_running_replay_is_paused_resumed_and_cancelled(kafka, prefix, monkeypatch):
    """A pause repeats nothing; after a cancellation nothing more is sent, and what was sent is counted."""
    async with replay_world(kafka, prefix, monkeypatch) as replays:
        world = replays.world
        await world.publish(some_events(200))
        async with world.consuming(timing=QUICK):
            await world.wait_for_events()
            replay_id = await replays.start(rate=4)
            await replays.wait_for(replay_id, lambda progress: progress.sent > 0)
            await replays.wish(replay_id, "paused")
            paused = await replays.wait_for(replay_id, lambda progress: progress.state == "paused")
            assert 0 < paused.sent == len(replays.replayed(replay_id)) < 200

            await replays.wish(replay_id, "running")
            await replays.wait_for(replay_id, lambda progress: progress.sent > paused.sent)
            await replays.wish(replay_id, "cancelled")
            cancelled = await replays.done(replay_id)
            sent = len(replays.replayed(replay_id))
            await asyncio.sleep(1)
        assert (cancelled.state, cancelled.sent) == ("cancelled", sent)
        assert len(replays.replayed(replay_id)) == sent < 200
        assert len(set(row_uids(replays.replayed(replay_id)))) == sent


async def test_two_replays_run_at_once_and_a_third_waits_for_its_turn(kafka, prefix, monkeypatch):
    timing = ConsumerTiming(replay=ReplayTiming(record_seconds=0.2, watch_seconds=0.1, most_running=2))
    async with replay_world(kafka, prefix, monkeypatch) as replays:
        world = replays.world
        await world.publish(some_events(60))
        async with world.consuming(timing=timing):
            await world.wait_for_events()
            # At this rate they take a minute: two are under way until one is cancelled.
            ids = [await replays.start(number, rate=1) for number in (1, 2)]
            ids.append(await replays.start(3))
            waiting = await replays.wait_for(ids[2], lambda progress: progress.state == "waiting")
            assert "2 replays of the destination run; it waits for its turn" in waiting.reason
            await wait_for_status(
                world, lambda status: "Replays: 2 running, 1 waiting" in (status.reason or "")
            )
            for each in ids[:2]:
                await replays.wait_for(each, lambda progress: progress.sent > 0)
            await replays.wish(ids[0], "cancelled")
            finished = [await replays.done(each) for each in (ids[0], ids[2])]
        assert [each.state for each in finished] == ["cancelled", "done"]
        assert finished[1].sent == 60
        assert row_uids(replays.replayed(ids[2])) == sorted(map(uid, world.published))


async def test_a_replay_that_a_destination_refuses_waits_with_the_reason(kafka, prefix, monkeypatch):
    """It goes on by itself; live events, whose stream works, never waited."""
    async with replay_world(kafka, prefix, monkeypatch) as replays:
        world = replays.world
        await world.publish(some_events(20))
        async with world.consuming(timing=QUICK):
            await world.wait_for_events()
            world.azure.fault(respond_with(403), rate=1, only=lambda request: "History" in request.path)
            replay_id = await replays.start()
            waiting = await replays.wait_for(replay_id, lambda progress: progress.state == "waiting")
            assert waiting.sent == 0
            await world.publish(some_events(5, first=50))
            await world.wait_for_events()
            world.azure.clear_faults()
            done = await replays.done(replay_id)
        assert (done.state, done.sent, done.reason) == ("done", 20, None)


async def test_a_wrong_condition_and_another_target_each_fail_the_replay(kafka, prefix, monkeypatch):
    """The destination got another target after the replay was started: half of its events must not go to each."""
    async with replay_world(kafka, prefix, monkeypatch) as replays:
        await replays.world.publish(some_events(5))
        async with replays.world.consuming(timing=QUICK):
            replay_id = await replays.start(where="categry = 'x'")
            other_id = await replays.start(2, target="sentinel: table Former_CL")
            failed, other = await replays.done(replay_id), await replays.done(other_id)
        assert other.state == "failed"
        assert "was started for another target (sentinel: table Former_CL)" in other.reason
        assert failed.state == "failed"
        assert "unknown column categry: did you mean category?" in failed.reason
        assert replays.replayed(replay_id) == []


async def test_a_destination_that_an_operator_pauses_replays_nothing_until_it_is_resumed(
    kafka, prefix, monkeypatch
):
    """The replay says who paused the destination, and goes on from its place."""
    async with replay_world(kafka, prefix, monkeypatch) as replays:
        world = replays.world
        await world.publish(some_events(60))
        timing = replace(QUICK, target=TargetTiming(interval_seconds=0.2))
        claims = ClaimStore(world.connection, world.topics.destinations)
        async with world.consuming(timing=timing):
            await world.wait_for_events()
            replay_id = await replays.start(rate=1)  # it lasts a minute, until it is paused
            await replays.wait_for(replay_id, lambda progress: progress.sent > 0)
            await claims.write_state("sentinel", "paused", Pause(1, "ann@host"))
            waiting = await replays.wait_for(replay_id, lambda progress: progress.state == "waiting")
            assert "ann@host paused the destination" in waiting.reason
            assert waiting.sent == len(replays.replayed(replay_id)) < 60
            await replays.store.write_job(replace((await replays.known(replay_id)).job, rate=None))
            await claims.write_state("sentinel", "running", Pause(1, "ann@host"))
            done = await replays.done(replay_id)
        assert (done.state, done.sent, len(replays.replayed(replay_id))) == ("done", 60, 60)
