"""What an archive holds, so that a replay can be planned before it begins: offsets and times of each partition."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, starmap
from typing import NamedTuple

import polars as pl

from consumer.destinations.object_store.archive_listing import ArchivedName, DayFolder
from consumer.destinations.object_store.archived_object import UnfitObjectError
from consumer.destinations.object_store.names import Chain
from consumer.replay.archive_objects import ArchiveObjects
from consumer.replay.archive_records import OFFSET
from relay.kafka import TopicPartition

DAY_MS = 86_400_000
_DAYS = 8
"""Days that are listed together."""
_COLLECTED = "collected"
_COLUMNS = pl.Schema({_COLLECTED: pl.Int64()})


@dataclass(frozen=True, slots=True)
class ArchiveSpan:
    """The first and the last event of a partition in an archive; times are ms UTC."""

    first: int
    last: int
    first_collected_ms: int


class ArchivePlan:
    """Answers from names, footers and two columns of few objects. Each call raises ArchiveUnavailableError or ArchiveError."""

    def __init__(self, objects: ArchiveObjects) -> None:
        self._objects = objects

    async def spans(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, ArchiveSpan]:
        """Return what the archive holds of each partition, without those of which it has nothing.

        It lists a few days after the other from both ends, until each partition was found.
        """
        folders = await self._objects.folders()
        found = {}
        for partition in partitions:
            first = await self._first(partition, folders)
            last = None if first is None else await self._last(partition, folders)
            if first is not None and last is not None:
                found[partition] = ArchiveSpan(first.offset, last.offset, first.collected_ms)
        return found

    async def offset_at(self, partition: TopicPartition, at_ms: int) -> int | None:
        """Return the first archived offset whose event was collected at `at_ms` or later; None: there is none.

        As Kafka's own index of times. Times of collection only move forward within a partition.
        """
        folders = [each for each in await self._objects.folders() if each.day >= at_ms // DAY_MS]
        for days in _in_parts(folders):
            chains = _by_chain(await self._objects.names(days, partition))
            found = [await self._first_since(names, at_ms) for names in chains]
            offsets = [offset for offset in found if offset is not None]
            if offsets:
                return min(offsets)
        return None

    async def _first(self, partition: TopicPartition, folders: Sequence[DayFolder]) -> "_Row | None":
        for days in _in_parts(folders):
            names = await self._objects.names(days, partition)
            if names:
                return (await self._rows(names[0]))[0]
        return None

    async def _last(self, partition: TopicPartition, folders: Sequence[DayFolder]) -> "_Row | None":
        for days in _in_parts(folders[::-1]):
            chains = _by_chain(await self._objects.names(days, partition))
            if chains:
                rows = [(await self._rows(names[-1]))[-1] for names in chains]
                return max(rows, key=lambda row: row.offset)
        return None

    async def _first_since(self, names: Sequence[ArchivedName], at_ms: int) -> int | None:
        """Return the first offset of a chain that was collected at `at_ms` or later, by halving its objects."""
        low, high = 0, len(names)
        rows: list[_Row] = []
        while low < high:
            middle = (low + high) // 2
            found = await self._rows(names[middle])
            if found[-1].collected_ms >= at_ms:
                high, rows = middle, found
            else:
                low = middle + 1
        return next((row.offset for row in rows if row.collected_ms >= at_ms), None)

    async def _rows(self, name: ArchivedName) -> "list[_Row]":
        """Return offset and time of collection of each row of an object."""
        stored = await self._objects.open(name, {OFFSET, _COLLECTED})
        try:
            rows = await asyncio.to_thread(stored.events, 0, stored.rows, _COLUMNS)
        except UnfitObjectError as error:
            raise self._objects.unfit(name.key, error) from error
        return list(starmap(_Row, rows.select(OFFSET, _COLLECTED).iter_rows()))


class _Row(NamedTuple):
    offset: int
    collected_ms: int


def _in_parts(folders: Sequence[DayFolder]) -> Iterator[list[DayFolder]]:
    """Yield the folders of a few days at a time, in their order."""
    days = groupby(folders, key=lambda each: each.day)
    groups = [list(of_day) for _, of_day in days]
    for start in range(0, len(groups), _DAYS):
        yield [folder for of_day in groups[start : start + _DAYS] for folder in of_day]


def _by_chain(names: Sequence[ArchivedName]) -> list[list[ArchivedName]]:
    """Return the objects of each chain; over the days, its offsets ascend."""
    chains: dict[Chain, list[ArchivedName]] = {}
    for name in names:
        chains.setdefault(name.chain, []).append(name)
    return list(chains.values())
