"""Reading back an object store: the uids in the objects that must have the events, and in those of replays."""

import asyncio
import io
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import polars as pl
from polars.exceptions import PanicException, PolarsError

from consumer.destinations.object_store.archive_listing import (
    ArchivedName,
    DayFolder,
    TooManyFoldersError,
    day_folders,
    day_of,
    names_of,
    replayed_names_of,
)
from consumer.destinations.object_store.config import ObjectStoreConfig
from consumer.destinations.object_store.layout import flow_layouts
from consumer.destinations.object_store.opening import open_store
from consumer.destinations.object_store.reader import ObjectReader
from consumer.destinations.object_store.store import Store, StoreFault
from consumer.destinations.read_back import AcceptedEvents, EventPlace, ReadBackError
from relay.timestamps import DAY_MS

REQUEST_SECONDS, DAY_SECONDS = 40.0, 300.0
_FAULTS = (PolarsError, PanicException, OSError, ValueError)  # a corrupt object may make polars panic

ListNames = Callable[[Store, Sequence[DayFolder], str, int], Awaitable[Sequence[ArchivedName]]]
Places = Mapping[tuple[str, int], Mapping[str, EventPlace]]
"""Events by topic and partition."""


@asynccontextmanager
async def open_read_back(name: str, config: ObjectStoreConfig) -> AsyncIterator["StoreReadBack"]:
    """Open the reader of the destination `name`. Raises RelayError for settings that cannot be used."""
    store = open_store(name, config, REQUEST_SECONDS)
    try:
        yield StoreReadBack(store, name, config)
    finally:
        await store.close()


class StoreReadBack:
    """Reads the columns of offset and uid of the objects of some days, each object once a question."""

    def __init__(self, store: Store, name: str, config: ObjectStoreConfig) -> None:
        self._store, self._name = store, name
        self._format = flow_layouts(config)["live"].format
        self._routes = ("", *sorted(set(config.by_organization.values())))

    async def missing(self, accepted: AcceptedEvents) -> set[str]:
        """Return the uids that no object has. Raises ReadBackError."""
        try:
            async with asyncio.timeout(DAY_SECONDS):
                days = await day_folders(self._store)
                missing = await self._missing_in(accepted.places, days)
                if missing:
                    missing = await self._missing_in(missing, await self._replay_folders(missing))
                if missing:
                    missing = await self._missing_in(missing, days, replayed_names_of)
                return set(missing)
        except StoreFault as fault:
            raise ReadBackError(f"The store did not answer: {fault.outcome.reason}") from fault
        except TimeoutError:
            raise ReadBackError(f"The store did not answer within {DAY_SECONDS:g} s. Try again.") from None
        except TooManyFoldersError as error:
            raise ReadBackError(f"The location of destinations.{self._name} {error}.") from error

    async def _missing_in(
        self, places: Mapping[str, EventPlace], folders: Iterable[DayFolder], list_names: ListNames = names_of
    ) -> dict[str, EventPlace]:
        """Return the events that no object of these folders has: an object has the rows that were collected on its day."""
        days = {place.collected // DAY_MS for place in places.values()}
        wanted = [each for each in folders if each.day in days]
        missing = dict(places)
        for (topic, partition), events in _by_partition(places).items():
            for name in await list_names(self._store, wanted, topic, partition):
                if _may_hold(name, events.values()):
                    for uid in await self._uids(name.key):
                        missing.pop(uid, None)
        return missing

    async def _replay_folders(self, places: Mapping[str, EventPlace]) -> list[DayFolder]:
        """Return the folders of replays, which have objects named by the events' own offsets."""
        days = sorted({place.collected // DAY_MS for place in places.values()})
        roots = [
            f"{route}/{name}".removeprefix("/")
            for route in self._routes
            for name in await self._store.folders(route)
            if name.startswith("replay=")
        ]
        below = {root: await self._store.folders(root) for root in roots}
        return [
            DayFolder(root, day)
            for root, names in below.items()
            for name in names
            if (day := day_of(name)) is not None and day in days
        ]

    async def _uids(self, key: str) -> list[str]:
        columns = self._format.key_columns
        content = await ObjectReader(self._store).read(key, set(columns))
        if content is None:
            return []
        try:
            rows = await asyncio.to_thread(pl.read_parquet, io.BytesIO(content), columns=columns)
            return self._format.keys(rows)["uid"].to_list()
        except _FAULTS as error:
            raise ReadBackError(
                f"The object {key} cannot be read. Restore it from a backup, or delete it: then its events count as missing."
            ) from error


def _by_partition(places: Mapping[str, EventPlace]) -> Places:
    found: dict[tuple[str, int], dict[str, EventPlace]] = defaultdict(dict)
    for uid, place in places.items():
        found[place.topic, place.partition][uid] = place
    return found


def _may_hold(name: ArchivedName, places: Iterable[EventPlace]) -> bool:
    return any(
        name.first <= place.offset and (name.most is None or place.offset <= name.most) for place in places
    )
