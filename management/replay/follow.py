"""Follow one replay on its topic until it ends."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from management.replay.jobs import require_replay
from management.replay.signs import SignsOfLife
from management.replay.view import ReplayView
from relay.errors import RelayError, describe
from relay.kafka import KAFKA_FAILURES, TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import (
    NoTopicError,
    partitions_of,
    read_to_end,
    stable_bounds,
    standalone_consumer,
)
from relay.kafka.topics import Topics
from relay.replays.store import ReplayTable


@dataclass(frozen=True, slots=True)
class FollowTiming:
    """Durations in seconds."""

    interval_seconds: float = 1.0
    give_up_seconds: float = 120.0
    """How long Kafka may fail until following ends; the replay goes on."""


async def follow(
    connection: Connection, replay_id: str, now_ms: Callable[[], int], timing: FollowTiming | None = None
) -> AsyncIterator[ReplayView]:
    """Yield the replay now and after each interval, up to its end.

    Raises InputError if there is none, and RelayError if Kafka fails for `give_up_seconds`.
    """
    timing = timing or FollowTiming()
    answered_at = time.monotonic()
    async with AsyncExitStack() as stack:
        follower, signs = _Follower(connection), SignsOfLife()
        stack.push_async_callback(follower.close)
        while True:
            try:
                await follower.refresh()
                answered_at = time.monotonic()
            except NoTopicError:
                raise
            except KAFKA_FAILURES as error:
                await follower.close()
                signs = SignsOfLife()
                if time.monotonic() - answered_at > timing.give_up_seconds:
                    raise RelayError(
                        f"The replay {replay_id} is not followed any more, because Kafka fails: {describe(error)}. Its consumer goes on. Run"
                        f" `jira-relay replay follow {replay_id}` to follow it again."
                    ) from error
            else:
                known = require_replay(follower.table, replay_id)
                signs.note([known])
                view = ReplayView(known, now_ms(), signs.silent_ms(replay_id))
                yield view
                if view.ended:
                    return
            await asyncio.sleep(timing.interval_seconds)


class _Follower:
    """The replays, read up to the end of their topic at the last refresh."""

    def __init__(self, connection: Connection) -> None:
        self.table = ReplayTable()
        self._connection = connection
        self._partition = TopicPartition(Topics(connection.kafka.topic_prefix).replays, 0)
        self._position = 0
        self._stack = AsyncExitStack()
        self._consumer: Any = None

    async def refresh(self) -> None:
        """Apply the records since the last refresh. Raises an error of KAFKA_FAILURES."""
        if self._consumer is None:
            await self._connection.verify()
            self._consumer = await self._stack.enter_async_context(standalone_consumer(self._connection))
            await partitions_of(self._consumer, self._partition.topic)
        bounds = (await stable_bounds(self._consumer, [self._partition]))[self._partition]
        start = max(self._position, bounds.log_start_offset)
        if start < bounds.last_stable_offset:
            ends = {self._partition: bounds.last_stable_offset}
            await read_to_end(self._consumer, {self._partition: start}, ends, self.table.apply)
        self._position = bounds.last_stable_offset

    async def close(self) -> None:
        self._consumer = None
        await self._stack.aclose()
