import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.chaos.world import ChaosWorld


class RoundContext:
    """State that all faults of a round share: the world, random numbers, the log, and the end of the faults."""

    def __init__(self, world: ChaosWorld, seed: int, log: Callable[[str], None]) -> None:
        self.world = world
        self.log = log
        self.rng = random.Random(f"deeds {seed}")
        self.finished = asyncio.Event()
        self.disturbances: list[tuple[float, float]] = []
        """Begin and end, in seconds since 1970, of each disturbance between Kafka and the destination."""
        self.stop_problems: list[str] = []
        """A sentence for each stop that did not end well."""

    async def wait(self, seconds: float) -> None:
        """Wait for `seconds`, or until the faults of the round are over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.finished.wait()

    @asynccontextmanager
    async def recording_disturbance(self, *, sink: bool, reread_seconds: float = 0.0) -> AsyncIterator[None]:
        """Record begin and end of the block if it disturbs the way to the destination. `reread_seconds`: what a consumer may read again."""
        started = time.time()
        try:
            yield
        finally:
            if sink:
                self.disturbances.append((started - reread_seconds, time.time()))
