"""Waiting for a condition, with a deadline."""

import asyncio
from collections.abc import Callable


async def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until the condition holds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        assert loop.time() < end
        await asyncio.sleep(0.05)
