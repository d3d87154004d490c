"""An owner of replays that a test plays: it writes progress as a consumer does."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Self

from relay.kafka.connection import Connection
from relay.kafka.topics import Topics
from relay.replays.job import KnownReplay, ReplayJob, ReplayPlace, ReplayProgress, State
from relay.replays.store import ReplayStore
from relay.timestamps import now_ms


class PlayedOwner:
    """Writes jobs and their progress to the topic of replays."""

    def __init__(self, connection: Connection) -> None:
        self.store = ReplayStore(connection, Topics(connection.kafka.topic_prefix).replays)
        self._followers: list[asyncio.Task[Any]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """End what follows a job, whatever the test did: its thread would run for ever."""
        async with asyncio.timeout(60):
            while any(not each.done() for each in self._followers):
                for found in await self.jobs():
                    if not found.ended:
                        await self.report(found.job, "cancelled")
                await asyncio.sleep(0.2)

    def follow(self, command: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run a command that follows a job; it ends with the job, or with the test."""
        task = asyncio.create_task(command)
        self._followers.append(task)
        return task

    async def jobs(self) -> list[KnownReplay]:
        """Return all replays, newest first."""
        found = (await self.store.read()).jobs
        return [each for _, each in sorted(found.items(), reverse=True)]

    async def wait_for_job(self) -> ReplayJob:
        """Wait for the first job; return it."""
        async with asyncio.timeout(90):
            while not (found := await self.jobs()):
                await asyncio.sleep(0.1)
        return found[0].job

    async def report(self, job: ReplayJob, state: State, **fields: Any) -> ReplayProgress:
        """Write progress of now; `fields` replace its own."""
        now = now_ms()
        progress = replace(ReplayProgress(job.id, state, now, now, "host-1", now), **fields)
        if progress.ended and progress.finished_at is None:
            progress = replace(progress, finished_at=now)
        await self.store.write_progress(progress)
        return progress


def places_at_end(job: ReplayJob) -> tuple[ReplayPlace, ...]:
    """Return the places of a job that has delivered everything."""
    return tuple(ReplayPlace(each.topic, each.partition, each.end, "") for each in job.ranges)
