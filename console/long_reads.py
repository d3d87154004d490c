"""Reads that may take long, such as a count of events: a few at a time, each with an end."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from relay.errors import RelayError

SECONDS = 40.0
AT_ONCE = 4

T = TypeVar("T")


class TooLongError(RelayError):
    """A read was ended, since it took too long."""


@dataclass(frozen=True, slots=True)
class LongReads:
    """Bounds for all long reads of one console. `seconds`: of one read, its wait for a place included."""

    seconds: float = SECONDS
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def run(self, work: Callable[[], Awaitable[T]], remedy: str) -> T:
        """Return what the read returns. Raises TooLongError, with `remedy` as its last sentence, and what the read raises."""
        try:
            async with asyncio.timeout(self.seconds), self.places:
                return await work()
        except TimeoutError as error:
            raise TooLongError(f"The console ended the read after {self.seconds:.0f} s. {remedy}") from error
