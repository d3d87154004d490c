"""Redrives of dead letters on a real Kafka, from the refusal of a rule to its history table."""

import asyncio
from dataclasses import replace

from consumer.timing import BackoffCurve, ConsumerTiming, ReplayTiming, SenderTiming
from management.dead_letter_redrive import RedriveRequest, plan_redrive
from management.replay.jobs import submit
from relay.dead_letters.closings import Closings
from relay.dead_letters.letter import parse_letter
from relay.dead_letters.selection import LetterSelection
from relay.replays.job import ReplayRange
from relay.timestamps import now_ms
from simulators.azure.world import HISTORY
from tests.support.pipeline_world import some_events, uid
from tests.support.replay_world import replay_world

TIMING = ConsumerTiming(
    sender=SenderTiming(rejection=BackoffCurve(0.05, 0.1)),
    replay=ReplayTiming(record_seconds=0.2, watch_seconds=0.1),
)


async def letters_by_state(world):
    """Return the event ids of the letters in each state."""
    letters, closings, found = [], Closings(), {}
    for record in await world.records(world.topics.dead_letters):
        letter = parse_letter(record)
        closings.add(letter)
        if not letter.is_mark:
            letters.append(letter)
    for letter in letters:
        found.setdefault(closings.state(letter), []).append(letter)
    return found


async def refuse(world, refused):
    """Publish events that a rule refuses, and others until each refused one is a dead letter. Return the ranges of the letters."""
    names = {uid(each) for each in refused}
    world.azure.poison(lambda row: row["EventUid"] in names)
    await world.publish(refused)
    number = 10_000
    async with asyncio.timeout(120):
        while len((await letters_by_state(world)).get("open", ())) < len(refused):
            await world.publish(
                some_events(5, first=number)
            )  # a row is refused for good when others are accepted
            number += 5
            await asyncio.sleep(0.3)
    world.azure.clear_faults()
    ends = {}
    for letter in (await letters_by_state(world))["open"]:
        ends[letter.partition] = max(ends.get(letter.partition, 0), letter.offset + 1)
    topic = world.topics.dead_letters
    return tuple(ReplayRange(topic, partition, 0, end) for partition, end in sorted(ends.items()))


async def test_mended_letters_are_redriven_but_one_that_fails_again(kafka, prefix, monkeypatch):
    """History has each of them once, live none; plan, marks, successors and counts agree with Kafka and the table."""
    async with replay_world(kafka, prefix, monkeypatch) as replays:
        world = replays.world
        refused = some_events(12, first=500)
        await world.publish(some_events(5, first=900))
        async with world.consuming(timing=TIMING):
            await refuse(world, refused)
            bad = uid(refused[7])
            world.azure.poison(lambda row: row["EventUid"] == bad)
            settings, names = world.settings(), frozenset(each["organization"] for each in refused)
            request = RedriveRequest(LetterSelection(organizations=names))
            plan = await plan_redrive(
                world.connection,
                settings.destinations,
                settings.schema_registry,
                request,
                "ann@host",
                now_ms(),
            )
            (planned,) = plan.jobs
            assert await submit(world.connection, planned.job) is None
            replay_id = planned.job.id
            done = await replays.done(replay_id)
            again = await plan_redrive(
                world.connection,
                settings.destinations,
                settings.schema_registry,
                request,
                "ann@host",
                now_ms(),
            )

        assert (planned.letters.events, planned.notes, plan.left) == (12, [], {})
        assert [each.letters.events for each in again.jobs] == [1]
        rows = [row["EventUid"] for row in replays.replayed(replay_id)]
        assert sorted(rows) == sorted(uid(each) for each in refused if uid(each) != bad)
        assert (done.state, done.sent, done.skipped, done.dead_lettered, done.lost) == ("done", 11, 0, 1, 0)
        assert len(world.azure.rows(HISTORY)) == 11
        assert not {uid(each) for each in refused} & {row["EventUid"] for row in world.azure.rows()}
        states = await letters_by_state(world)
        assert {state: len(letters) for state, letters in states.items()} == {
            "redriven": 11,
            "failed again": 1,
            "open": 1,
        }
        (successor,) = states["open"]
        (forebear,) = states["failed again"]
        assert (successor.forebear, successor.tries, successor.original) == (
            forebear.offset,
            2,
            forebear.original,
        )
        assert successor.headers["replay"] == replay_id


async def test_a_redrive_survives_the_death_of_its_owner(kafka, prefix, monkeypatch):
    """A process that is killed in the middle is followed by another: each event is in history, and the counts are exact."""
    async with replay_world(kafka, prefix, monkeypatch) as replays:
        world = replays.world
        refused = some_events(40, first=500)
        await world.publish(some_events(5, first=900))
        async with world.consuming(timing=TIMING):
            ranges = await refuse(world, refused)
        process = await world.start_process()
        replay_id = await replays.start(content="dead-letters", ranges=ranges, rate=1)
        await replays.wait_for(replay_id, lambda progress: progress.sent > 0)
        process.kill()
        await process.wait()
        sent = len(replays.replayed(replay_id))
        assert sent < len(refused)
        await replays.store.write_job(replace((await replays.known(replay_id)).job, rate=None))
        async with world.consuming(timing=TIMING):
            done = await replays.done(replay_id, 120)

        rows = [row["EventUid"] for row in replays.replayed(replay_id)]
        assert set(rows) == {uid(each) for each in refused}
        assert len(rows) <= len(refused) + sent
        assert (done.state, done.sent, done.dead_lettered) == ("done", 40, 0)
        assert {state: len(letters) for state, letters in (await letters_by_state(world)).items()} == {
            "redriven": 40
        }
