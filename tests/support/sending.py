"""Sending until it is accepted: a busy machine may need more than the short time that a test gives to one request."""

import asyncio
from collections.abc import Awaitable, Callable

from consumer.destinations.outcome import Outcome, Partial, Retry, Sent


async def sent_at_last(send: Callable[[], Awaitable[Outcome]], seconds: float = 60) -> int:
    """Send again after each Retry or Partial, until the outcome is Sent; return the number of attempts."""
    attempts = 0
    async with asyncio.timeout(seconds):
        while True:
            attempts += 1
            outcome = await send()
            if outcome == Sent():
                return attempts
            assert isinstance(outcome, Retry | Partial), outcome
            await asyncio.sleep(0.01)
