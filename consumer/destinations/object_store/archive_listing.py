"""The objects of an archive that may hold events of a range of offsets, by their names alone."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import zip_longest
from typing import Any, TypeVar

from consumer.destinations.object_store.names import DAY_FOLDER, Chain, offsets_in, replay_stem
from consumer.destinations.object_store.store import Store
from relay.aio import cancel_all

T = TypeVar("T")

CHAIN_FOLDERS = ("live", "history")
_OTHER_FOLDERS = ("_", ".", "replay=", "region=", "accountId=", "eventDay=", "day=")
"""Beginnings of folders that hold no events of the archive: checks, replays, and the layout of Security Lake."""
MAX_FOLDERS = 1_000
_REQUESTS = 8
"""Listings under way."""
LISTING_SECONDS = 40.0
"""Of one folder, from its first request on."""
_EPOCH = date(1970, 1, 1)


class TooManyFoldersError(Exception):
    """The location has more folders than an archive has; the message is the end of a sentence."""


@dataclass(frozen=True, slots=True)
class DayFolder:
    """A folder with the objects of one day of collection."""

    chain_folder: str
    day: int
    """Days since 1970-01-01."""


@dataclass(frozen=True, slots=True)
class ArchivedName:
    """An object of the archive."""

    chain: Chain
    day: int
    first: int
    """Offset of its first row."""
    most: int | None = None
    """No row has a greater offset; None: the name does not tell."""

    @property
    def key(self) -> str:
        return f"{self.chain.day_folder(self.day)}/{self.chain.name(self.first)}"


async def day_folders(store: Store) -> list[DayFolder]:
    """Return the folders of all days, those of every route that the destination has or had, in the order of the days.

    Raises StoreFault, TimeoutError, and TooManyFoldersError.
    """
    found, waiting, seen = [], [""], 0
    while waiting:
        seen += len(waiting)
        if seen > MAX_FOLDERS:
            raise TooManyFoldersError(f"has more than {MAX_FOLDERS} folders beside those of days")
        names = await _gather([store.folders(folder) for folder in waiting])
        below = dict(zip(waiting, names, strict=True))
        found += [each for folder, inner in below.items() for each in _days(folder, inner)]
        waiting = [
            f"{folder}/{name}" if folder else name
            for folder, inner in below.items()
            for name in inner
            if not name.startswith(_OTHER_FOLDERS)
        ]
    return sorted(found, key=lambda each: (each.day, each.chain_folder))


def _days(folder: str, names: Iterable[str]) -> list[DayFolder]:
    if folder.rpartition("/")[2] not in CHAIN_FOLDERS:
        return []
    days = [day_of(name) for name in names]
    return [DayFolder(folder, day) for day in days if day is not None]


def day_of(key: str) -> int | None:
    """Return the day, since 1970-01-01, of the folder that a key begins with; None: it is none of a day."""
    found = DAY_FOLDER.fullmatch(key.partition("/")[0])
    try:
        return (date.fromisoformat(found[1]) - _EPOCH).days if found else None
    except ValueError:  # such as the 31st of February
        return None


async def names_of(
    store: Store, folders: Sequence[DayFolder], topic: str, partition: int
) -> list[ArchivedName]:
    """Return the objects of a partition in these folders, ascending by their first offsets. Raises StoreFault or TimeoutError."""
    found = await _gather([_names_in(store, folder, topic, partition) for folder in folders])
    return sorted((name for names in found for name in names), key=lambda each: (each.first, each.key))


async def replayed_names_of(
    store: Store, folders: Sequence[DayFolder], topic: str, partition: int
) -> list[ArchivedName]:
    """Return the same of the replays that were sent to live: their objects are beside the first ones. Raises as `names_of`."""
    found = await _gather([_replayed_names_in(store, folder, topic, partition) for folder in folders])
    return sorted((name for names in found for name in names), key=lambda each: (each.first, each.key))


async def _replayed_names_in(
    store: Store, folder: DayFolder, topic: str, partition: int
) -> list[ArchivedName]:
    jobs, prefix = set(), replay_stem("")
    end = Chain("", topic, partition).stem
    async for name in store.names(
        Chain(folder.chain_folder, topic, partition).day_folder(folder.day), prefix
    ):
        if not name.startswith(prefix):
            break
        job, found, _ = name.removeprefix(prefix).partition(f"-{end}")
        if found:
            jobs.add(job)
    listed = [await _names_in(store, folder, topic, partition, job) for job in sorted(jobs)]
    return [name for names in listed for name in names]


async def _names_in(
    store: Store, folder: DayFolder, topic: str, partition: int, replay: str | None = None
) -> list[ArchivedName]:
    """Return the objects of one day, each with the bound that the next name gives. `replay`: as that of a `Chain`."""
    chain = Chain(folder.chain_folder, topic, partition, replay=replay)
    main, gaps = [], defaultdict[int, list[ArchivedName]](list)
    async for name in store.names(chain.day_folder(folder.day), chain.stem):
        if not name.startswith(chain.stem):
            break
        offsets = offsets_in(name[len(chain.stem) :])
        if len(offsets) == 1:
            main.append(ArchivedName(chain, folder.day, offsets[0]))
        elif offsets:
            inner = replace(chain, gaps_of=offsets[:-1])
            gaps[offsets[0]].append(ArchivedName(inner, folder.day, offsets[-1]))
    main.sort(key=lambda each: each.first)
    found = []
    for each, after in zip_longest(main, main[1:]):
        most = None if after is None else after.first - 1
        found += [replace(one, most=most) for one in (each, *gaps.pop(each.first, ()))]
    return [*found, *(each for orphans in gaps.values() for each in orphans)]


async def _gather(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the answers of calls in their order; a few of them run at a time. The first exception ends the others."""
    turns = asyncio.Semaphore(_REQUESTS)

    async def in_turn(call: Coroutine[Any, Any, T]) -> T:
        async with turns, asyncio.timeout(LISTING_SECONDS):
            return await call

    tasks = [asyncio.create_task(in_turn(call)) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await cancel_all(tasks)
