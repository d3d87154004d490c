"""What the relay needs of a store: three calls, and a fault as an outcome."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from consumer.destinations.outcome import Paused, Retry


class StoreFault(Exception):
    """A call did not succeed; `outcome` says why, and what an operator can do."""

    def __init__(self, outcome: Retry | Paused) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Part:
    """A range of an object."""

    content: bytes
    """Fewer bytes than asked for at the end of the object."""
    size: int
    """Of the whole object."""


class Store(Protocol):
    """A directory or a bucket. Keys are relative to its prefix. Each call is one request, and raises StoreFault."""

    async def create(self, key: str, content: bytes) -> bool:
        """Create an object, whole or not at all. Return False, and change nothing, when the key is taken.

        After a fault the object may exist nevertheless, also later.
        """

    async def read(self, key: str, start: int, stop: int) -> Part | None:
        """Return a range of an object that will survive a crash of the store; None: there is none."""

    def names(self, folder: str, after: str) -> AsyncIterator[str]:
        """Yield the names of the objects in a folder, ascending, from the first one greater than `after` on.

        An object is listed as soon as `create` has returned.
        """

    async def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder that have an object below them, ascending; the root is empty."""

    async def delete(self, key: str) -> None:
        """Delete an object. Does nothing when it is absent or may not be deleted."""

    async def close(self) -> None:
        """Release threads and connections."""
