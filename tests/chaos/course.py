import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.chaos.world import World


class Course:
    """What everything that is done in one round shares: the world, the dice, the diary, and the end of the trouble."""

    def __init__(self, world: World, seed: int, say: Callable[[str], None]) -> None:
        self.world = world
        self.say = say
        self.chance = random.Random(f"deeds {seed}")
        self.over = asyncio.Event()
        self.unrest: list[tuple[float, float]] = []
        """When (seconds since 1970) the way from Kafka to the sink was disturbed."""
        self.unclean: list[str] = []
        """Stops that did not go as they should."""

    async def hold(self, seconds: float) -> None:
        """Let it last, but not longer than the trouble is to last."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.over.wait()

    @asynccontextmanager
    async def disturbing(self, *, sink: bool) -> AsyncIterator[None]:
        began = time.time()
        try:
            yield
        finally:
            if sink:
                self.unrest.append((began, time.time()))
