"""The writer of objects: each row is in exactly one object, after any death, repeat or lost answer.

1. A chain is the sequence of objects of one partition in one folder. One body of a chain is under way at a time.
2. The position of a writer is the first row that it has not seen in an object. An object is named by its first row, and is
   created only if the name is free. So of all writers at one position one succeeds, and the others find its object.
3. The object that exists decides where it ends: the position moves behind its last row. Another writer may have gathered
   more or fewer rows: boundaries need not agree.
4. Behind a crash the committed offset may lie within an object. So the writer looks for the object that begins before its
   position; objects hold rows of one day only, so that object is in the folder of the position's day.
   The day of a row never changes, so the rows of a day are a log of their own, and each folder is a chain for which all of
   this holds. A body becomes an object a day; the offsets behind it are committed when all of them exist.
5. A writer that lost its partition continues where it was. Its next name is taken as soon as its successor has passed it,
   and until then its object counts for the successor too.
6. Nothing is overwritten. An object with other rows at the same offsets stops the destination.
7. A row counts as delivered only when an object holds it. An object may lack rows between its first and its last one: its
   writer had another filter or other routes, could not decode them, or read another log. Since it never changes, every
   writer finds the same gaps, and the rows in them are a chain of their own, for which 2 to 6 hold in the same way.
8. A replay sends again rows that other objects hold. Its objects are chains of their own, by the id of its job, so all of
   this holds within the job: its rows are in one object each, whichever process runs it.
"""

import asyncio
import time
from dataclasses import dataclass, field

import polars as pl

from consumer.destinations.object_store import rows
from consumer.destinations.object_store.layout import OFFSET, PREVIOUS, Layout
from consumer.destinations.object_store.links import Links
from consumer.destinations.object_store.names import Chain
from consumer.destinations.object_store.object_size import ObjectSize
from consumer.destinations.object_store.reader import ObjectReader
from consumer.destinations.object_store.response import name_contended, taken_by_another
from consumer.destinations.object_store.store import Store, StoreFault

_MAX_KNOWN = 10_000
"""Chains and days, of which a backfill may have many."""


@dataclass(frozen=True, slots=True)
class _Known:
    """The last object of a chain, on one day, that this process has written or read."""

    first: int
    last: int


@dataclass(slots=True)
class Progress:
    """How far one call of `ChainWriter.write` came, also when it is cancelled."""

    places: set[int] = field(default_factory=set)
    """Rows, by their place in the body, that are certainly in objects."""


class ChainWriter:
    """Writes the rows of bodies, one body of a chain at a time, into objects."""

    def __init__(
        self, store: Store, name: str, location: str, layout: Layout, quick_seconds: float = 10.0
    ) -> None:
        self._store = store
        self._name = name
        self._location = location
        self._layout = layout
        self._reader = ObjectReader(store)
        self._links = Links(store)
        self._known: dict[tuple[Chain, int], _Known] = {}
        self.size = ObjectSize(quick_seconds)

    async def write(self, chain: Chain, events: pl.DataFrame, progress: Progress) -> None:
        """Return when every row is in an object. Raises StoreFault; `progress` has the rows that are in one by then."""
        parts = await asyncio.to_thread(rows.by_day, events, self._layout.day_of)
        for day, of_day in parts:
            done = 0
            while done < of_day.height:
                count = await self._write_leading(chain, day, of_day.slice(done))
                progress.places.update(of_day[rows.PLACE].slice(done, count).to_list())
                done += count

    async def _write_leading(self, chain: Chain, day: int, events: pl.DataFrame) -> int:
        """Make sure that the first row of this day is in an object. Return how many leading rows are, at least one."""
        first = int(events[OFFSET][0])
        earlier, later = await self._neighbours(chain, day, first)
        known = self._known.get((chain, day))
        if earlier is not None and (known is None or known.first != earlier or known.last >= first):
            stored = await self._read(chain, day, earlier, events)
            if stored is not None and stored.last >= first:
                return await self._write_missing(chain, day, stored, events)
        if later is not None:
            events = events.head(rows.count_to(events, later - 1))
        previous = await self._links.before(chain, day, earlier)
        return await self._create(chain, day, events.head(self.size.most_rows or events.height), previous)

    async def _write_missing(
        self, chain: Chain, day: int, stored: rows.StoredObject, events: pl.DataFrame
    ) -> int:
        """Write leading rows that lie within an object that exists, and are not in it. Return how many leading rows are in objects."""
        within = events.head(rows.count_to(events, stored.last))
        missing = rows.missing_rows(stored, within)
        if not missing.height:
            return within.height
        gaps = chain.in_gaps_of(stored.first)
        count = await self._write_leading(gaps, day, missing)
        self._known.pop((gaps, day), None)  # there may be as many as objects
        return (
            within.height
            if count == missing.height
            else rows.count_to(within, int(missing[OFFSET][count]) - 1)
        )

    async def _neighbours(self, chain: Chain, day: int, first: int) -> tuple[int | None, int | None]:
        """Return the first offsets of the last object that begins at or before `first`, and of the one after it."""
        known, earlier, after = self._known.get((chain, day)), None, chain.stem
        if known is not None and known.first <= first:
            earlier, after = known.first, chain.name(known.first)
        async for name in self._store.names(chain.day_folder(day), after):
            if not name.startswith(chain.stem):
                break
            found = chain.first_offset(name)
            if found is not None and found > first:
                return earlier, found
            earlier = earlier if found is None else found
        return earlier, None

    async def _create(self, chain: Chain, day: int, events: pl.DataFrame, previous: str) -> int:
        first, last = int(events[OFFSET][0]), int(events[OFFSET][-1])
        content = await asyncio.to_thread(
            rows.encode_object,
            events,
            chain.topic,
            chain.partition,
            self._layout.format,
            {**self._layout.notes, PREVIOUS: previous},
        )
        started = time.monotonic()
        if await self._store.create(self._key(chain, day, first), content):
            self.size.record_stored(events.height, time.monotonic() - started)
            self._remember(chain, day, _Known(first, last))
            return events.height
        stored = await self._read(chain, day, first, events)
        if stored is None:  # S3 answers 409 to one of two requests at a time, before the other has succeeded
            raise StoreFault(name_contended(f"{self._location}/{self._key(chain, day, first)}"))
        return await self._write_missing(chain, day, stored, events)

    async def _read(
        self, chain: Chain, day: int, first: int, events: pl.DataFrame
    ) -> rows.StoredObject | None:
        """Read the object that begins at `first`, and check that it is of the relay and of this log. None: it is gone."""
        key = self._key(chain, day, first)
        content = await self._reader.read(key, set(self._layout.format.key_columns))
        if content is None:
            self._known.pop((chain, day), None)
            return None
        try:
            stored = await asyncio.to_thread(
                rows.read_object, content, chain.topic, chain.partition, first, self._layout.format
            )
            rows.check_same_log(stored, events)
        except rows.ForeignObjectError as error:
            raise StoreFault(taken_by_another(f"{self._location}/{key}", str(error), self._name)) from error
        self._remember(chain, day, _Known(first, stored.last))
        return stored

    def _remember(self, chain: Chain, day: int, known: _Known) -> None:
        """Keep the last object of a chain, so that the next listing begins there; without it one begins at the first object."""
        self._links.remember(chain, day, known.first)
        self._known.pop((chain, day), None)
        self._known[chain, day] = known
        if len(self._known) > _MAX_KNOWN:
            del self._known[next(iter(self._known))]

    def _key(self, chain: Chain, day: int, first: int) -> str:
        return f"{chain.day_folder(day)}/{chain.name(first)}"
