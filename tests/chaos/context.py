import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.chaos.world import ChaosWorld


class RoundContext:
    """What everything that is done in one round shares: the world, the random numbers, the log, and the end of the trouble."""

    def __init__(self, world: ChaosWorld, seed: int, log: Callable[[str], None]) -> None:
        self.world = world
        self.log = log
        self.rng = random.Random(f"deeds {seed}")
        self.finished = asyncio.Event()
        self.disturbances: list[tuple[float, float]] = []
        """When (seconds since 1970) the way from Kafka to the sink was disturbed."""
        self.stop_problems: list[str] = []
        """Stops that did not go as they should."""

    async def wait(self, seconds: float) -> None:
        """Let it last, but not longer than the trouble is to last."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.finished.wait()

    @asynccontextmanager
    async def recording_disturbance(self, *, sink: bool) -> AsyncIterator[None]:
        started = time.time()
        try:
            yield
        finally:
            if sink:
                self.disturbances.append((started, time.time()))
