"""The objects of one archive: listed, opened and checked, with each fault as a sentence for the operator."""

import asyncio
from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from consumer.destinations.object_store.archive_listing import (
    ArchivedName,
    DayFolder,
    TooManyFoldersError,
    day_folders,
    names_of,
)
from consumer.destinations.object_store.archived_object import (
    ArchivedObject,
    UnfitObjectError,
    read_archived_object,
)
from consumer.destinations.object_store.layout import OFFSET
from consumer.destinations.object_store.reader import ObjectReader
from consumer.destinations.object_store.store import Store, StoreFault
from consumer.destinations.outcome import Paused
from consumer.replay.archive_records import ARCHIVE_COLUMNS
from relay.errors import RelayError, describe, sentence
from relay.kafka import TopicPartition

T = TypeVar("T")

FOOTER_BYTES, PART_BYTES = 64 * 1024, 1_000_000
LISTINGS_SECONDS, OBJECT_SECONDS = 900.0, 300.0
"""To list all folders, and to read an object in requests of at most a megabyte."""
_ALL = frozenset({OFFSET, *ARCHIVE_COLUMNS})


class ArchiveError(RelayError):
    """The archive cannot serve the replay; another attempt does not help before an operator has acted."""


class ArchiveUnavailableError(RelayError):
    """The store does not answer, or the archive does not have the events yet. A later attempt may succeed."""


@dataclass(frozen=True, slots=True)
class ArchiveObjects:
    """One location. `conditions`: every event that is wanted meets each of them, so an archive with one of them lacks none."""

    store: Store
    name: str
    location: str
    conditions: Collection[str] = ()

    async def folders(self) -> list[DayFolder]:
        """Return the folders of all days. Raises ArchiveUnavailableError or ArchiveError."""
        try:
            return await self._ask(day_folders(self.store), LISTINGS_SECONDS)
        except TooManyFoldersError as error:
            raise ArchiveError(
                f"The location {self.location} of the archive {self.name} {error}."
                " Move other data away from it, so that the archive can be listed."
            ) from error

    async def names(self, folders: Sequence[DayFolder], partition: TopicPartition) -> list[ArchivedName]:
        """Return the objects of a partition, ascending. Raises ArchiveUnavailableError."""
        listing = names_of(self.store, folders, partition.topic, partition.partition)
        return await self._ask(listing, LISTINGS_SECONDS)

    async def exists(self, key: str) -> bool:
        """Return whether there is such an object. Raises ArchiveUnavailableError."""
        return await self._ask(self.store.read(key, 0, 1), OBJECT_SECONDS) is not None

    async def footer(self, name: ArchivedName) -> ArchivedObject:
        """Read the footer of an object, and check that the archive can serve with it."""
        return await self._read(name, set(), FOOTER_BYTES)

    async def open(self, name: ArchivedName, columns: Collection[str] = _ALL) -> ArchivedObject:
        """Read the events of an object, or some of their columns, and check that the archive can serve with it."""
        return await self._read(name, set(columns), PART_BYTES)

    async def _read(self, name: ArchivedName, columns: set[str], first_bytes: int) -> ArchivedObject:
        reader = ObjectReader(self.store, first_bytes, PART_BYTES)
        content = await self._ask(reader.read(name.key, columns), OBJECT_SECONDS)
        if content is None:
            raise ArchiveUnavailableError(
                f"The object {self.location}/{name.key} of the archive {self.name} was deleted while it was read."
                " The replay lists the objects again."
            )
        try:
            found = await asyncio.to_thread(
                read_archived_object, content, name.chain.topic, name.chain.partition, name.first
            )
        except UnfitObjectError as error:
            raise self.unfit(name.key, error) from error
        self._check_complete(name, found)
        return found

    def _check_complete(self, name: ArchivedName, found: ArchivedObject) -> None:
        if found.hidden:
            raise self.unfit(name.key, f"the values of {found.hidden} were hidden when it was written")
        if found.where and found.where not in self.conditions:
            raise self.unfit(name.key, f"it has only events that meet the condition {found.where!r}")

    def unfit(self, keys: str, reason: object) -> ArchiveError:
        """Return the error that names an object which cannot serve."""
        return ArchiveError(
            f"The object {self.location}/{keys} of the archive {self.name} cannot be replayed: {reason}."
            " Restore it from a backup, or start a replay that leaves out its day."
        )

    async def _ask(self, call: Awaitable[T], seconds: float) -> T:
        try:
            async with asyncio.timeout(seconds):
                return await call
        except StoreFault as fault:
            remedy = (
                " The replay goes on when it is corrected."
                if isinstance(fault.outcome, Paused)
                else " The replay tries again."
            )
            raise ArchiveUnavailableError(
                f"The archive {self.name} cannot be read: {sentence(fault.outcome.reason)}{remedy}"
            ) from fault
        except TimeoutError as error:
            raise ArchiveUnavailableError(
                f"The archive {self.name} at {self.location} did not answer in time. The replay tries again."
            ) from error
        except (ArchiveError, TooManyFoldersError):
            raise
        except Exception as error:  # the libraries below raise more than they document
            raise ArchiveUnavailableError(
                f"A request to {self.location}, the archive {self.name}, failed: {describe(error)}."
            ) from error
