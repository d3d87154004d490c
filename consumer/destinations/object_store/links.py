"""The object before a new one, as the footer names it: a reader of the archive then knows of an object that was deleted.

Offsets alone do not tell: transaction markers and records that the destination does not take leave holes between objects.
A name tells only of an object that existed, so a link never names one that has to be there and was never written.
"""

from consumer.destinations.object_store.names import DAY_FOLDER, Chain, day_name
from consumer.destinations.object_store.store import Store

_DAYS_BACK = 8
"""Folders that are looked into, once for a chain and a day. Behind a longer silence an object names no other."""
_MAX_KNOWN = 10_000


class Links:
    """Finds the last object of a chain before a new one, within its day or in an earlier one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._latest: dict[Chain, tuple[int, int]] = {}
        """Day and first offset of the last object of each chain that this process has written or read."""
        self._before_day: dict[tuple[Chain, int], str] = {}
        """What a search has found, for the next attempt."""

    def remember(self, chain: Chain, day: int, first: int) -> None:
        """Note an object that exists."""
        self._latest.pop(chain, None)
        self._latest[chain] = (day, first)
        self._before_day.pop((chain, day), None)
        for known in (self._latest, self._before_day):
            if len(known) > _MAX_KNOWN:
                del known[next(iter(known))]  # type: ignore[arg-type]

    async def before(self, chain: Chain, day: int, earlier: int | None) -> str:
        """Return the key, from the chain's folder on, of the object before a new one; empty: none is known.

        `earlier`: first offset of the object before it in the folder of its day; None: it is the first one there.
        Raises StoreFault.
        """
        if earlier is not None:
            return _key(chain, day, earlier)
        if chain.event_days:  # a day of the events is a log of its own
            return ""
        latest = self._latest.get(chain)
        if latest is not None and latest[0] < day:
            return _key(chain, *latest)
        if (chain, day) not in self._before_day:
            self._before_day[chain, day] = await self._search(chain, day)
        return self._before_day[chain, day]

    async def _search(self, chain: Chain, day: int) -> str:
        """Look for the last object of the nearest earlier days."""
        days = [name for name in await self._store.folders(chain.folder) if DAY_FOLDER.fullmatch(name)]
        earlier = [name for name in days if name < f"day={day_name(day)}"]
        for name in reversed(earlier[-_DAYS_BACK:]):
            last = ""
            async for each in self._store.names(f"{chain.folder}/{name}", chain.stem):
                if not each.startswith(chain.stem):
                    break
                last = each if chain.first_offset(each) is not None else last
            if last:
                return f"{name}/{last}"
        return ""


def _key(chain: Chain, day: int, first: int) -> str:
    return f"{chain.day_folder(day)}/{chain.name(first)}".removeprefix(f"{chain.folder}/")
