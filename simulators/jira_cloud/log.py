"""A simulated site's audit log: its records, their order, and selection by a query."""

import heapq
import itertools
import json
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

_FILTERED = ("summary", "category", "eventSource", "remoteAddress")
_FILTERED_OBJECT = ("name", "parentName", "typeName")
_FILTERED_CHANGE = ("changedFrom", "changedTo")

_id_of = attrgetter("id")
_created_of = attrgetter("created")


@dataclass(frozen=True, slots=True)
class AuditLogEntry:
    """One record: its position in the log by id and `created` (ms UTC), and the bytes that Jira serves."""

    id: int
    created: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Selection:
    """The selection of a request. Bounds are inclusive, in ms UTC; each of `filter_terms` must occur in a record."""

    since: int | None = None
    until: int | None = None
    filter_terms: tuple[str, ...] = ()

    def shifted(self, ms: int) -> "Selection":
        """Return the selection with other bounds: `ms` later."""
        since, until = (None if bound is None else bound + ms for bound in (self.since, self.until))
        return Selection(since, until, self.filter_terms)


class AuditLog:
    """The records of one site: created ones, visible ones, and those that retention has deleted.

    Time is passed in, in ms UTC. A record becomes visible at `visible_at`, or when it is revealed.
    """

    def __init__(self) -> None:
        self._records: dict[int, AuditLogEntry] = {}
        self._scheduled: list[tuple[int, int]] = []
        self._held_back: set[int] = set()
        self.visible_at: dict[int, int] = {}
        """The instant from which each record is visible, by id; records that are revealed have none."""
        self._by_id: list[AuditLogEntry] = []
        self._by_created: list[AuditLogEntry] = []
        self._version = 0
        self._cached_selection: tuple[int, Selection, Sequence[AuditLogEntry]] | None = None

    def add(self, entry: AuditLogEntry, visible_at: int | None) -> None:
        """Add a record. `visible_at` None: it is hidden until it is revealed. Raises ValueError when the id exists."""
        if entry.id in self._records:
            raise ValueError(f"record {entry.id} exists already")
        self._records[entry.id] = entry
        if visible_at is None:
            self._held_back.add(entry.id)
        else:
            heapq.heappush(self._scheduled, (visible_at, entry.id))
            self.visible_at[entry.id] = visible_at

    def reveal(self, ids: Iterable[int] | None = None) -> None:
        """Make hidden records visible: those with these ids, or all for None."""
        revealed = self.hidden if ids is None else set(ids) & self.hidden
        self._held_back -= revealed
        for record_id in revealed:
            self.visible_at.pop(record_id, None)
        self._scheduled = [pair for pair in self._scheduled if pair[1] not in revealed]
        heapq.heapify(self._scheduled)
        self._make_visible(revealed)

    def advance(self, now: int, retained_since: int | None = None) -> None:
        """Make the records visible that are due by `now`, and delete those created before `retained_since`."""
        due = []
        while self._scheduled and self._scheduled[0][0] <= now:
            due.append(heapq.heappop(self._scheduled)[1])
        self._make_visible(due)
        if retained_since is not None:
            self.delete_oldest(bisect_left(self._by_created, retained_since, key=_created_of))

    def delete_oldest(self, count: int) -> None:
        """Delete the visible records with the smallest `created`, as retention does."""
        if count <= 0:
            return
        deleted_ids = {entry.id for entry in self._by_created[:count]}
        del self._by_created[:count]
        self._by_id = [entry for entry in self._by_id if entry.id not in deleted_ids]
        self._version += 1

    def restore(self, at: int) -> None:
        """Restore the log from a backup of the instant `at`: later records are gone, and their ids are free again."""
        self._records = {number: entry for number, entry in self._records.items() if entry.created <= at}
        self._scheduled = [pair for pair in self._scheduled if pair[1] in self._records]
        heapq.heapify(self._scheduled)
        self._held_back &= self._records.keys()
        self._by_id = [entry for entry in self._by_id if entry.created <= at]
        self._by_created = [entry for entry in self._by_created if entry.created <= at]
        self._version += 1

    def delete_newest(self, count: int) -> None:
        """Delete the visible records with the largest ids."""
        if count <= 0:
            return
        deleted_ids = {entry.id for entry in self._by_id[-count:]}
        del self._by_id[-count:]
        self._by_created = [entry for entry in self._by_created if entry.id not in deleted_ids]
        self._version += 1

    def select(self, selection: Selection) -> Sequence[AuditLogEntry]:
        """Return the visible records of the selection, by descending id."""
        cached = self._cached_selection
        if cached is None or cached[:2] != (self._version, selection):
            cached = (self._version, selection, self._select(selection))
            self._cached_selection = cached
        return cached[2]

    def all_records(self) -> list[dict[str, Any]]:
        """Return every record that was added, also hidden and deleted ones, by id."""
        return [json.loads(entry.raw) for entry in sorted(self._records.values(), key=_id_of)]

    def __contains__(self, record_id: int) -> bool:
        return record_id in self._records

    def __len__(self) -> int:
        return len(self._records)

    @property
    def total(self) -> int:
        """Count of all visible records, independent of a selection, as Jira's `total`."""
        return len(self._by_id)

    @property
    def hidden(self) -> set[int]:
        """Ids of the records that are not visible yet."""
        return self._held_back | {record_id for _, record_id in self._scheduled}

    def _make_visible(self, ids: Iterable[int]) -> None:
        entries = [self._records[record_id] for record_id in ids]
        if not entries:
            return
        self._version += 1
        if len(entries) > 100:
            self._by_id = sorted(itertools.chain(self._by_id, entries), key=_id_of)
            self._by_created = sorted(itertools.chain(self._by_created, entries), key=_created_of)
            return
        for entry in entries:
            insort(self._by_id, entry, key=_id_of)
            insort(self._by_created, entry, key=_created_of)

    def _select(self, selection: Selection) -> Sequence[AuditLogEntry]:
        if selection.since is None and selection.until is None:
            chosen = self._by_id[::-1]
        else:
            chosen = self._between(selection.since, selection.until)
            chosen.sort(key=_id_of, reverse=True)
        terms = [word.casefold() for word in selection.filter_terms]
        return [entry for entry in chosen if _matches(entry, terms)] if terms else chosen

    def _between(self, since: int | None, until: int | None) -> list[AuditLogEntry]:
        start = 0 if since is None else bisect_left(self._by_created, since, key=_created_of)
        end = None if until is None else bisect_right(self._by_created, until, key=_created_of)
        return self._by_created[start:end]


def _matches(entry: AuditLogEntry, terms: Iterable[str]) -> bool:
    texts = [text.casefold() for text in _filtered_texts(json.loads(entry.raw))]
    return all(any(word in text for text in texts) for word in terms)


def _filtered_texts(record: dict[str, Any]) -> Iterable[str]:
    """Yield the texts that Jira's `filter` searches. Source: Jira Cloud REST API, "Get audit records"."""
    places: list[tuple[Any, tuple[str, ...]]] = [
        (record, _FILTERED),
        (record.get("objectItem"), _FILTERED_OBJECT),
    ]
    changes = record.get("changedValues")
    if isinstance(changes, list):
        places.extend((change, _FILTERED_CHANGE) for change in changes)
    for place, names in places:
        if isinstance(place, dict):
            yield from (place[name] for name in names if isinstance(place.get(name), str))
