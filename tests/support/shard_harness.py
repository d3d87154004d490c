"""A shard of the producer with everything that it receives."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from producer.sharding.shard import Shard, ShardTiming, stop_shard
from relay.organizations import Organization

PollAction = Callable[[Organization, Any], Awaitable[None]]


def organization(name: str, **fields: Any) -> Organization:
    return Organization(name, f"https://{name}.example", "u", 0, 0, 1, **fields)


class FakeShardPublisher:
    def __init__(self) -> None:
        self.failed = asyncio.Event()
        self.fenced = False
        self.batches_too_large = False
        self.closed = False
        self.discarded = False
        self.lock = asyncio.Lock()

    @asynccontextmanager
    async def between_transactions(self) -> AsyncIterator[None]:
        async with self.lock:
            yield

    async def close(self) -> None:
        self.closed = True
        async with self.lock:
            pass

    async def discard(self) -> None:
        self.failed.set()
        self.discarded = True


class FakeMembership:
    def __init__(self) -> None:
        self.suspicions = 0
        self.generation = 1
        self.sure = asyncio.Event()
        self.sure.set()

    def invalidate(self) -> None:
        self.suspicions += 1
        self.sure.clear()

    async def wait_for_membership(self) -> None:
        await self.sure.wait()


class RecordingPolling:
    """Record each call; `poll_action` may replace polling."""

    def __init__(self, poll_action: PollAction | None = None) -> None:
        self.polls: Counter[str] = Counter()
        self.polled: dict[str, Organization] = {}
        self.calls: list[tuple[str, str, bool]] = []
        self.unavailable_reasons: dict[str, str] = {}
        self.poll_action = poll_action or self.wait_forever

    async def poll(self, organization: Organization, publisher: Any) -> None:
        self.polls[organization.name] += 1
        self.polled[organization.name] = organization
        try:
            await self.poll_action(organization, publisher)
        finally:
            self.polled.pop(organization.name)

    async def wait_forever(self, _organization: Organization, _publisher: Any) -> None:
        await asyncio.Event().wait()

    async def unavailable(self, organization: Organization, reason: str) -> None:
        self.unavailable_reasons[organization.name] = reason

    def deleted(self, organization: str) -> None:
        self.calls.append(("deleted", organization, organization in self.polled))

    def released(self, organization: str) -> None:
        self.calls.append(("released", organization, organization in self.polled))


class ShardHarness:
    """A shard with everything that it receives."""

    def __init__(
        self,
        poll_action: PollAction | None = None,
        timing: ShardTiming | None = None,
        closed_reason: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.publishers: list[FakeShardPublisher] = []
        self.load_errors: list[BaseException] = []
        self.membership, self.polling = FakeMembership(), RecordingPolling(poll_action)
        self.shard = Shard(0, self.membership, self.load, self.polling, timing, closed_reason)
        self.task = asyncio.create_task(self.shard.run())

    async def stop(self) -> None:
        await stop_shard(self.shard, self.task)

    async def load(self, _number: int) -> Any:
        if self.load_errors:
            raise self.load_errors.pop(0)
        self.publishers.append(FakeShardPublisher())
        return self.publishers[-1]

    def set_organizations(self, *organizations: Organization) -> None:
        self.shard.set_organizations({one.name: one for one in organizations})


@asynccontextmanager
async def open_shard_harness(
    poll_action: PollAction | None = None,
    timing: ShardTiming | None = None,
    closed_reason: Callable[[], str | None] = lambda: None,
) -> AsyncIterator[ShardHarness]:
    found = ShardHarness(poll_action, timing, closed_reason)
    try:
        yield found
    finally:
        await found.stop()
