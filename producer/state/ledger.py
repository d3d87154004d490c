"""The ids of the records that have been published, by organization and day.

A ledger is a set of 64-bit keys. The key of an event is its id, which has 63 bits. An event whose id another published
record has carries a variant, 63 bits of a hash of its content: it has the key of its id and, with the highest bit set, the
key of its variant. Once a source has reused ids, ids alone are no proof: each later event of that day also has a
time key, made of its id and `created`. The content is not in it, since the source may show a record with other names.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from pyroaring import BitMap64

from producer.events import Event, UnreadableRecord
from producer.state.checkpoint import Checkpoint, EventTime
from producer.state.intervals import TimeRange, missing_ranges
from relay.timestamps import DAY_MS, day_of, day_start

_DAY_KEY = re.compile(r"(.*) (\d{4}-\d\d-\d\d)", re.ASCII | re.DOTALL)


MAX_ID = 2**63 - 1
_VARIANT_BIT = 2**63


@dataclass(frozen=True, slots=True)
class DayLedger:
    """The keys of the published records that were created on one UTC day, and the hashes of its dead letters.

    `reused_after`: each published event of the day after this one has a time key. None: no event has.
    """

    ids: BitMap64 = field(default_factory=BitMap64)
    dead_letters: frozenset[bytes] = frozenset()
    reused_after: EventTime | None = None

    def has_time_key(self, time: EventTime) -> bool:
        """Return whether an event of this time has a time key, once it is published."""
        return self.reused_after is not None and time > self.reused_after

    def keys_of(self, time: EventTime, variant: str | None) -> tuple[int, ...]:
        """Return the keys of an event. Raises ValueError for a variant that is not 16 hexadecimal digits below 2^63."""
        keys = event_keys(time.id, variant)
        return (*keys, time_key(time)) if self.has_time_key(time) else keys


_EMPTY = DayLedger()


@dataclass(frozen=True, slots=True)
class LedgerDelta:
    """The days that a transaction changes; the ledger has them only after `Ledger.commit`. None: a day to delete."""

    days: Mapping[str, DayLedger | None]
    base_version: int


class Ledger:
    """The kept days of one organization.

    `plan` and `expire_days` return what to write, and change nothing; `commit` does, once the transaction is committed.
    """

    def __init__(self, organization: str, days: Mapping[str, DayLedger] | None = None) -> None:
        self.organization = organization
        self._days = dict(days or {})
        self._version = 0

    @property
    def days(self) -> Mapping[str, DayLedger]:
        return self._days

    def contains(self, event_id: int) -> bool:
        """Return whether any kept day holds the id, or the key of a variant."""
        for day in self._days.values():  # noqa: SIM110 - for each record; `any` with a generator takes twice as long
            if event_id in day.ids:
                return True
        return False

    def day_holds(self, time: EventTime) -> bool:
        """Return whether the ledger of its day holds the key that proves a record published."""
        name, key = self.proof_of(time)
        return key in self._days.get(name, _EMPTY).ids

    def proof_of(self, time: EventTime) -> tuple[str, int]:
        """Return the day of a record and the key there that proves it published: its id, or its time key where ids were reused."""
        name = day_of(time.created)
        return name, time_key(time) if self._days.get(name, _EMPTY).has_time_key(time) else time.id

    def latest_possible_event(self) -> EventTime | None:
        """Return an upper bound of all events in the ledger: the end of the last day that holds one. None: none does."""
        last = max((name for name, day in self._days.items() if day.ids), default=None)
        return None if last is None else EventTime(day_start(last) + DAY_MS - 1, MAX_ID)

    def new_dead_letters(self, unreadable: Iterable[UnreadableRecord]) -> list[UnreadableRecord]:
        """Return those that no kept day holds, each once."""
        by_hash = {record_hash(one): one for one in unreadable}
        known = frozenset[bytes]().union(*(day.dead_letters for day in self._days.values()))
        return [one for key, one in by_hash.items() if key not in known]

    def plan(
        self,
        events: Iterable[Event],
        unreadable: Iterable[UnreadableRecord] = (),
        *,
        read: TimeRange | None = None,
        reused_after: Mapping[str, EventTime] | None = None,
    ) -> LedgerDelta:
        """Return the days as they will be once these are published.

        An unreadable record has no day, so it is kept in the last day of the window it was `read` in: never before its own.
        `reused_after`: of days on which ids are reused, unless that was known before; others without ledger are left out.
        """
        reused_after = reused_after or {}
        bounded = {
            name for name in reused_after if name in self._days and self._days[name].reused_after is None
        }
        published: dict[str, list[Event]] = {}
        for event in events:
            published.setdefault(day_of(event["created"]), []).append(event)
        dead_letters = frozenset(map(record_hash, unreadable))
        if dead_letters and read is None:
            raise ValueError("dead letters need the window they were read in")
        last = day_of(read.end - 1) if dead_letters and read else None
        return LedgerDelta(
            {
                name: self._planned_day(
                    name,
                    published.get(name, ()),
                    dead_letters if name == last else frozenset(),
                    reused_after.get(name),
                )
                for name in sorted(published.keys() | bounded | ({last} if last else set()))
            },
            self._version,
        )

    def _planned_day(
        self,
        name: str,
        published: Iterable[Event],
        dead_letters: frozenset[bytes],
        reused_after: EventTime | None,
    ) -> DayLedger:
        day = self._days.get(name, _EMPTY)
        day = replace(day, reused_after=day.reused_after or reused_after)
        keys = [key for event in published for key in day.keys_of(event_time(event), event.get("variant"))]
        return replace(day, ids=day.ids | BitMap64(keys), dead_letters=day.dead_letters | dead_letters)

    def expire_days(self, delta: LedgerDelta, checkpoint: Checkpoint) -> LedgerDelta:
        """Return the delta together with the days that no window reaches once this checkpoint is committed."""
        gone = {
            name: None for name in self._days.keys() - delta.days.keys() if not is_day_kept(name, checkpoint)
        }
        return LedgerDelta({**delta.days, **gone}, delta.base_version)

    def commit(self, delta: LedgerDelta) -> None:
        """Apply a delta that Kafka has committed. Raises ValueError if the ledger has changed since it was planned."""
        if delta.base_version != self._version:
            raise ValueError("the ledger has changed since this was planned")
        self._version += 1
        for name, day in delta.days.items():
            if day is None:
                del self._days[name]
            else:
                self._days[name] = day

    def to_records(self, delta: LedgerDelta) -> dict[str, dict[str, Any] | None]:
        """Return the keys and DayLedger records to write; None is a tombstone."""
        return {
            progress_key(self.organization, name): self._day_record(name, day)
            for name, day in delta.days.items()
        }

    def _day_record(self, name: str, day: DayLedger | None) -> dict[str, Any] | None:
        if day is None:
            return None
        return {
            "organization": self.organization,
            "day": name,
            "added": (day.ids - self._days.get(name, _EMPTY).ids).serialize(),
            "ids": day.ids.serialize(),
            "dead_letters": sorted(day.dead_letters),
            "reused_after": None if day.reused_after is None else day.reused_after._asdict(),
        }


def is_day_kept(name: str, checkpoint: Checkpoint) -> bool:
    """Return whether a window may still reach this day: a re-read, backfill that has not covered it, or the reading of an unread range."""
    start = day_start(name)
    if start + DAY_MS > checkpoint.ledgers_from:
        return True
    if any(
        unread_range.start < start + DAY_MS and unread_range.end > start
        for unread_range in checkpoint.unread_ranges
    ):
        return True
    return bool(
        missing_ranges(checkpoint.backfilled, TimeRange(start, min(start + DAY_MS, checkpoint.live_since)))
    )


def event_keys(event_id: int, variant: str | None) -> tuple[int, ...]:
    """Return the keys of an event. Raises ValueError for a variant that is not 16 hexadecimal digits below 2^63."""
    return (event_id,) if variant is None else (event_id, _variant_key(variant))


def time_key(time: EventTime) -> int:
    """Return the key of an event's id and its place in its day: 36 bits and 27. So arranged, a bitmap holds it in ten bytes;
    a hash would need 22. Ids that differ by a multiple of 2^36 in one millisecond have one key.
    """
    return _VARIANT_BIT | (time.id % 2**36) << 27 | time.created % DAY_MS


def event_time(event: Event) -> EventTime:
    return EventTime(event["created"], event["id"])


def variant_key(content_hash: int) -> int:
    """Return the key of the variant with this hash of its content."""
    return _VARIANT_BIT | content_hash


def _variant_key(variant: str) -> int:
    number = int(variant, 16)
    if len(variant) != 16 or number > MAX_ID:
        raise ValueError(f"{variant!r} is no variant")
    return variant_key(number)


def record_hash(record: UnreadableRecord) -> bytes:
    return sha256(record.raw).digest()[:16]


def day_ledger_from_record(record: Mapping[str, Any]) -> DayLedger:
    """Return the day of a DayLedger record."""
    reused_after = record["reused_after"]
    return DayLedger(
        BitMap64.deserialize(record["ids"]),
        frozenset(record["dead_letters"]),
        None if reused_after is None else EventTime(**reused_after),
    )


def progress_key(organization: str, day: str | None = None) -> str:
    """Return the key on the progress topic: of a day's ledger, or of the checkpoint if `day` is None."""
    return organization if day is None else f"{organization} {day}"


def split_progress_key(text: str) -> tuple[str, str | None]:
    """Return organization and day of a key; the inverse of `progress_key`."""
    match = _DAY_KEY.fullmatch(text)
    return (match[1], match[2]) if match else (text, None)
