"""What Kafka has deleted, from the objects of an object-store destination, as records of the original partitions.

1. The names say which objects may hold an offset: an object begins at its name, and ends before the next one of its chain.
   Chains are those of live and history, of each route, and of the gaps of an object; their objects overlap.
2. Objects are opened in the order of their first offsets. A row is final when no object that is not open, and no row that is
   not decoded, can come before it. So the records ascend, and only objects that overlap are in memory.
3. An offset that two objects hold is given once: an operator may have set the group back, or copied objects.
4. An object names the one before it in its chain. If that one is gone, the offsets between may have had events: they are
   `missing`. Holes between objects that follow each other are transaction markers and records that are no events.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from consumer.destinations.object_store.archive_listing import ArchivedName, day_of
from consumer.destinations.object_store.archived_object import ArchivedObject, UnfitObjectError
from consumer.destinations.object_store.names import Chain
from consumer.replay.archive_losses import LostOffsets, Range, united
from consumer.replay.archive_merge import OpenObject, TwoLogsError, merged
from consumer.replay.archive_objects import ArchiveObjects, ArchiveUnavailableError
from consumer.replay.archive_plan import ArchivePlan
from consumer.replay.archive_records import UnrestorableEventError, chunks_of, to_records
from consumer.replay.source import ArchivedRecords
from relay.kafka import TopicPartition, partition_text

CHUNK_BYTES = 1_000_000
"""Of values in one yield."""


class Deliveries(Protocol):
    """What is known of the deliveries of the destination that writes the archive."""

    async def delivered(self, partition: TopicPartition, start: int) -> int | None:
        """Return the offset before which it has all events of a partition from `start` on; None: nobody knows."""

    async def lost(self, partition: TopicPartition) -> Sequence[Range]:
        """Return the offsets that Kafka deleted before the destination had accepted all of their events."""


class ObjectArchive:
    """Reads the objects of one destination.

    A body of one route may wait while objects of others go past it, so objects do not prove that all before them is there:
    the committed offset does, and records behind it are not yielded.
    """

    def __init__(self, objects: ArchiveObjects, deliveries: Deliveries, days: Range | None = None) -> None:
        """`days`: days of collection, half-open, since 1970-01-01, in which all wanted events are; None: any."""
        self._objects = objects
        self._deliveries = deliveries
        self._days = days
        self.plan = ArchivePlan(objects)

    async def records(
        self, partition: TopicPartition, start: int, end: int
    ) -> AsyncGenerator[ArchivedRecords]:
        """Yield the records of offsets [start, end) in chunks of about 1 MB; the last chunk has `next_offset == end`.

        Raises ArchiveUnavailableError if a later attempt may succeed, else ArchiveError, which names the object.
        """
        lost = LostOffsets(await self._deliveries.lost(partition), start)
        async with aclosing(self._records(partition, start, end)) as chunks:
            async for chunk in chunks:
                yield replace(chunk, missing=united([*chunk.missing, *lost.passed(chunk)]))

    async def _records(
        self, partition: TopicPartition, start: int, end: int
    ) -> AsyncGenerator[ArchivedRecords]:
        # The commit is read before the names: what was delivered by then is in an object that is listed.
        delivered = await self._deliveries.delivered(partition, start)
        stop = end if delivered is None else min(end, delivered)
        folders = await self._objects.folders()
        wanted = [each for each in folders if self._days is None or self._days[0] <= each.day < self._days[1]]
        first_day = min((each.day for each in folders), default=0)
        reading = RangeReading(self._objects, partition, start, stop, first_day)
        if start < stop:
            async with aclosing(reading.chunks(await self._objects.names(wanted, partition))) as chunks:
                async for chunk in chunks:
                    yield chunk
        if stop < end:
            raise self._behind(partition, stop, end)
        rest = (max(start, reading.covered_to), end)
        yield ArchivedRecords((), end, [rest] if delivered is None and rest[0] < end else [])

    def _behind(self, partition: TopicPartition, stop: int, end: int) -> ArchiveUnavailableError:
        return ArchiveUnavailableError(
            f"The archive {self._objects.name} has {partition_text(partition)} up to offset {stop - 1}, and offsets up to"
            f" {end - 1} are wanted, which Kafka has deleted. The replay goes on when the destination {self._objects.name}"
            " has delivered them: start it if it does not run."
        )


class RangeReading:
    """Reads one range of one partition."""

    def __init__(
        self, objects: ArchiveObjects, partition: TopicPartition, start: int, end: int, first_day: int
    ) -> None:
        """`first_day`: the first day of which the archive has an object."""
        self._objects = objects
        self._partition = partition
        self._start = start
        self._end = end
        self._first_day = first_day
        self._open: list[OpenObject] = []
        self._keys: set[str] = set()
        self._ends: dict[Chain, int] = {}
        """The offset behind the last row of each chain that was opened."""
        self._begun = False
        """Whether an object shows that the archive has what is before the next one."""
        self.covered_to = start
        """The offset up to which there are objects."""

    async def chunks(self, names: Sequence[ArchivedName]) -> AsyncGenerator[ArchivedRecords]:
        """Yield all records of the range that these objects have; `names` ascend."""
        self._keys = {each.key for each in names}
        self._begun = any(each.first <= self._start for each in names)
        waiting = deque(
            each
            for each in names
            if each.first < self._end and (each.most is None or each.most >= self._start)
        )
        while waiting or self._open:
            limit = self._limit(waiting)
            for chunk in await asyncio.to_thread(self._take, limit):
                yield chunk
            while waiting and waiting[0].first <= limit < self._end:
                for missing in await self._open_next(waiting.popleft()):
                    yield ArchivedRecords((), missing[1], (missing,))
            await self._decode_up_to(limit)
            if limit == self._end:
                break
        async for chunk in self._behind(names):
            yield chunk

    def _limit(self, waiting: Sequence[ArchivedName]) -> int:
        """Return the offset before which the order of all rows is known."""
        limits = [each.limit for each in self._open]
        opening = [max(waiting[0].first, self._start)] if waiting else []
        return min([self._end, *opening, *(limit for limit in limits if limit is not None)])

    def _take(self, limit: int) -> list[ArchivedRecords]:
        names = [each.name.key for each in self._open if each.rows.height]
        try:
            rows = merged([each.take(limit) for each in self._open])
            records = to_records(rows, self._partition)
        except (TwoLogsError, UnrestorableEventError) as error:
            raise self._objects.unfit(" or ".join(names), error) from error
        return [ArchivedRecords(part, part[-1].offset + 1) for part in chunks_of(records, CHUNK_BYTES)]

    async def _decode_up_to(self, limit: int) -> None:
        """Decode further rows of the objects that have none before `limit` any more, and close those that are read."""
        for each in self._open:
            if each.limit is not None and each.limit <= limit:
                try:
                    await asyncio.to_thread(each.decode)
                except UnfitObjectError as error:
                    raise self._objects.unfit(each.name.key, error) from error
        self._open = [each for each in self._open if not each.finished]

    async def _open_next(self, name: ArchivedName) -> list[Range]:
        """Open an object, if it has rows of the range. Return the offsets before it that are missing."""
        if name.first < self._start and name.most is None:
            stored = await self._objects.footer(name)
            if stored.last < self._start:
                return self._note(name, stored, [])
        stored = await self._objects.open(name)
        missing = await self._missing_before(name, stored)
        self._open.append(OpenObject(name, stored, self._start))
        return self._note(name, stored, missing)

    def _note(self, name: ArchivedName, stored: ArchivedObject, missing: list[Range]) -> list[Range]:
        self._begun = True
        self._ends[name.chain] = stored.last + 1
        self.covered_to = max(self.covered_to, stored.last + 1)
        return missing

    async def _missing_before(self, name: ArchivedName, stored: ArchivedObject) -> list[Range]:
        """Return the offsets before an object of which the archive may have lost events, within the range."""
        stop = min(name.first, self._end)
        linked = await self._has_previous(name, stored)
        if linked is False:
            start = max(self._ends.get(name.chain, self._start), self._start)
        elif linked or self._begun:
            return []
        else:
            start = self._start  # nothing shows that the archive has begun before this object
        return [(start, stop)] if start < stop else []

    async def _has_previous(self, name: ArchivedName, stored: ArchivedObject) -> bool | None:
        """Return whether the object that the footer names exists; None: it names none, or one of a day that has expired."""
        if not stored.previous:
            return None
        key = f"{name.chain.folder}/{stored.previous}"
        if key in self._keys or await self._objects.exists(key):
            return True
        day = day_of(stored.previous)
        return None if day is not None and day < self._first_day else False

    async def _behind(self, names: Sequence[ArchivedName]) -> AsyncGenerator[ArchivedRecords]:
        """Look at the first object of each chain behind the range: it shows whether those before it are all there."""
        seen = set[Chain]()
        for name in names:
            if name.first < self._end or name.chain in seen or name.chain.gaps_of:
                continue
            seen.add(name.chain)
            if self._ends.get(name.chain, 0) >= self._end:
                continue
            stored = await self._objects.footer(name)
            missing = await self._missing_before(name, stored)
            self._begun, self.covered_to = True, self._end
            if missing:
                yield ArchivedRecords((), self._end, missing)
