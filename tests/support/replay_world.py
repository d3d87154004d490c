"""Replays of a real consumer between a real Kafka and simulated Azure."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from embedded.kafka import EmbeddedKafka
from relay.kafka import TopicPartition
from relay.kafka.log_reader import stable_bounds, standalone_consumer
from relay.replays.job import KnownReplay, ReplayProgress, ReplayRange
from relay.replays.store import ReplayStore
from simulators.azure.world import HISTORY
from tests.support.pipeline_world import SHARDS, PipelineWorld, pipeline_world
from tests.support.replays import replay_job


class ReplayWorld:
    """The topics of a test, and its replays."""

    def __init__(self, world: PipelineWorld) -> None:
        self.world = world
        self.store = ReplayStore(world.connection, world.topics.replays)

    async def ranges(self) -> tuple[ReplayRange, ...]:
        """Return all that both event topics have now."""
        topics = self.world.topics
        partitions = [
            TopicPartition(topic, n) for topic in (topics.events, topics.backfill) for n in range(SHARDS)
        ]
        async with standalone_consumer(self.world.connection) as consumer:
            bounds = await stable_bounds(consumer, partitions)
        return tuple(
            ReplayRange(tp.topic, tp.partition, bounds[tp].log_start_offset, bounds[tp].last_stable_offset)
            for tp in partitions
        )

    async def start(self, number: int = 1, **job: Any) -> str:
        """Ask for a replay of everything, with these fields changed; return its id."""
        ranges = job.pop("ranges", None) or await self.ranges()
        asked = replay_job(id=f"20261130-071500-{number:04x}", ranges=ranges, **job)
        await self.store.write_job(asked)
        return asked.id

    async def known(self, replay_id: str) -> KnownReplay:
        return (await self.store.read()).jobs[replay_id]

    async def wish(self, replay_id: str, wished: Any) -> None:
        await self.store.write_job(replace((await self.known(replay_id)).job, wished=wished))

    async def wait_for(
        self, replay_id: str, condition: Callable[[ReplayProgress], bool], seconds: float = 60.0
    ) -> ReplayProgress:
        """Wait until the progress of a replay fulfils a condition; return it."""
        found = None
        try:
            async with asyncio.timeout(seconds):
                while True:
                    found = (await self.known(replay_id)).progress
                    if found is not None and condition(found):
                        return found
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"the replay is at {found}") from None

    async def done(self, replay_id: str, seconds: float = 60.0) -> ReplayProgress:
        return await self.wait_for(replay_id, lambda progress: progress.ended, seconds)

    def replayed(self, replay_id: str, table: str = HISTORY) -> list[Mapping[str, Any]]:
        """Return the rows of a replay, as the table has them."""
        return [row for row in self.world.azure.rows(table) if row.get("ReplayId") == replay_id]


@asynccontextmanager
async def replay_world(
    kafka: EmbeddedKafka, prefix: str, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> AsyncIterator[ReplayWorld]:
    async with pipeline_world(kafka, prefix, monkeypatch, **options) as world:
        yield ReplayWorld(world)
