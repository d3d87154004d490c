"""Kill nodes of a three-node Kafka while a replay runs, and count its rows.

    .venv/bin/python benchmarks/leader_change.py

Two nodes are killed, one after the other: the leader of the partition that the replay reads, and the leader of the topic of
replays, which has its progress and its wishes.
"""

import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import pytest
import structlog

from relay.errors import RelayError
from relay.kafka import KAFKA_FAILURES, TopicPartition
from relay.replays.job import ReplayProgress
from simulators.azure.world import HISTORY, AzureWorld
from tests.support.kafka_cluster import SESSION_MS, KafkaCluster
from tests.support.pipeline_world import pipeline_world, some_events, uid
from tests.support.replay_world import ReplayWorld

Victim = Callable[[ReplayWorld, ReplayProgress], Awaitable[TopicPartition]]
"""Returns the partition whose leader is killed."""

COUNT, RATE = 20_000, 1_000
"""Several chunks of each partition, so that the log is read on after the death of its leader."""


async def play(directory: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Return whether each event arrived in both replays, and each count is right."""
    async with (
        KafkaCluster(directory) as cluster,
        pipeline_world(cluster, "leaders", monkeypatch, copies=3) as world,
    ):
        await world.publish(some_events(COUNT), size=1_000)
        await cluster.wait_until_in_sync(world.topics.all)
        replays = ReplayWorld(world)
        async with world.consuming():
            await world.wait_for_events(seconds=180)
            return all(
                [
                    await replay_beside_a_death(cluster, replays, number, victim)
                    for number, victim in enumerate((what_is_read, what_has_the_jobs), 1)
                ]
            )


async def replay_beside_a_death(
    cluster: KafkaCluster, replays: ReplayWorld, number: int, victim: Victim
) -> bool:
    """Replay all events, kill the leader of a partition at a tenth of them, and print what came of it."""
    world = replays.world
    replay_id = await replays.start(number, rate=RATE)
    progress = await replays.wait_for(replay_id, lambda found: found.sent >= COUNT // 10, 180)
    tp = await victim(replays, progress)
    leader = await cluster.leader(tp.topic, tp.partition)
    pauses = asyncio.create_task(longest_pause(world.azure))
    cluster.nodes[leader].kill()
    done = await end_of(replays, replay_id)
    pauses.cancel()
    pause = await pauses
    await cluster.nodes[leader].start()
    await cluster.wait_until_in_sync(world.topics.all)
    found = [row["EventUid"] for row in replays.replayed(replay_id)]
    print(
        f"node {leader}, leader of {tp.topic.rpartition('.')[2]}/{tp.partition}, killed at {progress.sent:,} of {COUNT:,}: no row for"
        f" {pause:.1f} s; {done.state}, {done.sent:,} on the record, {len(set(found)):,} events in the table,"
        f" {len(found) - len(set(found))} rows repeated, {done.lost} lost"
    )
    whole = sorted(set(found)) == sorted(map(uid, world.published))
    return whole and (done.state, done.sent, done.skipped, done.lost) == ("done", COUNT, 0, 0)


async def end_of(replays: ReplayWorld, replay_id: str) -> ReplayProgress:
    """Return how a replay ended; its topic cannot be read while it has no leader."""
    async with asyncio.timeout(240):
        while True:
            with suppress(RelayError, *KAFKA_FAILURES):
                found = (await replays.known(replay_id)).progress
                if found is not None and found.ended:
                    return found
            await asyncio.sleep(0.1)


async def what_is_read(replays: ReplayWorld, progress: ReplayProgress) -> TopicPartition:
    places = {place.tp: place.offset for place in progress.places}
    ranges = (await replays.known(progress.id)).job.ranges
    return next(each.tp for each in ranges if places.get(each.tp, each.start) < each.end)


async def what_has_the_jobs(replays: ReplayWorld, _progress: ReplayProgress) -> TopicPartition:
    return TopicPartition(replays.world.topics.replays, 0)


async def longest_pause(azure: AzureWorld) -> float:
    """Return the longest time without a new row, in seconds, until cancelled."""
    longest, rows, since = 0.0, azure.accepted(HISTORY), time.monotonic()
    try:
        while True:
            await asyncio.sleep(0.05)
            now, count = time.monotonic(), azure.accepted(HISTORY)
            longest = max(longest, now - since)
            if count != rows:
                rows, since = count, now
    except asyncio.CancelledError:
        return longest


def main() -> None:
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(f"Session of a node: {SESSION_MS / 1000:g} s. Rate of the replay: {RATE} events a second.")
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as monkeypatch:
        passed = asyncio.run(play(Path(directory), monkeypatch))
    print("PASSED" if passed else "FAILED")
    sys.exit(not passed)


if __name__ == "__main__":
    main()
