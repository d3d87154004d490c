"""The sealed days of one organization in some seventy bytes each, for readers that hold those of thousands. Pure."""

from collections.abc import Callable, Collection, Iterator, MutableMapping
from dataclasses import dataclass
from datetime import date
from struct import Struct
from typing import TypeVar, get_args

from management.completeness.proof import DayState
from management.completeness.verifier import NO_SEAL
from relay.timestamps import DAY_MS, day_of

V = TypeVar("V")
KEPT_DAYS = 200
"""Up to the newest one. Jira keeps 180 days, so nothing can change the count of an older day any more."""
_STATES: tuple[DayState, ...] = get_args(DayState)
_ROW = Struct("<BHIqqqq32s")
"""State (0: the day has no seal), edition, events, offset, time, the last offsets on both event topics, hash."""
_NO_ROW = bytes(_ROW.size)
_EPOCH = date(1970, 1, 1).toordinal()


def never() -> str:
    """Return the last of all days: without a clock, no day is still to come."""
    return "9999-12-31"


@dataclass(frozen=True, slots=True)
class DayMark:
    """The latest record of a day. `edition` 0: an account without a seal. `offset`: its place on the topic of seals.

    `at`: when it was signed, ms UTC. `live_end`, `backfill_end`: the last offset of its events on each event topic; -1: it has none.
    `digest`: the hash of the seal, as the next edition names it.
    """

    state: DayState
    edition: int
    events: int
    offset: int
    at: int = 0
    live_end: int = -1
    backfill_end: int = -1
    digest: str = NO_SEAL

    def end_on(self, partition: str) -> int:
        """Return the last offset on a partition, such as `events/3`."""
        return self.live_end if partition.startswith("events/") else self.backfill_end


class SealedDays(MutableMapping[str, DayMark]):
    """The latest seal of each day, by day. A day that is too old is forgotten, and one that was is not taken again.

    A day that is still to come was sealed by a clock that was ahead: it is kept apart, so that no day is forgotten for it.
    Raises ValueError, OverflowError or struct.error for a mark that no seal has.
    """

    __slots__ = ("_ahead", "_first", "_rows", "_today", "is_cut")

    def __init__(self, today: Callable[[], str] = never) -> None:
        """`today`: the present UTC day."""
        self._today = today
        self._ahead: dict[str, bytes] = {}
        self._first = 0
        """The ordinal of the day of the first row."""
        self._rows = bytearray()
        self.is_cut = False
        """Whether a day was forgotten."""

    @property
    def oldest(self) -> date:
        """Return the first day that is kept. Without days it means nothing."""
        return date.fromordinal(self._first)

    def __getitem__(self, day: str) -> DayMark:
        row = self._ahead.get(day) or self._row(date.fromisoformat(day).toordinal())
        if row[0] == 0:
            raise KeyError(day)
        state, edition, events, offset, at, live_end, backfill_end, digest = _ROW.unpack(row)
        return DayMark(_STATES[state - 1], edition, events, offset, at, live_end, backfill_end, digest.hex())

    def __setitem__(self, day: str, mark: DayMark) -> None:
        packed = _ROW.pack(
            _STATES.index(mark.state) + 1,
            *(mark.edition, mark.events, mark.offset, mark.at, mark.live_end, mark.backfill_end),
            bytes.fromhex(mark.digest),
        )
        number = date.fromisoformat(day).toordinal()
        self._ahead.pop(day, None)
        if day > self._today():
            self._ahead[day] = packed
            if len(self._ahead) > KEPT_DAYS:
                del self._ahead[max(self._ahead)]
            return
        self._make_room(number)
        if (at := (number - self._first) * _ROW.size) >= 0:
            self._rows[at : at + _ROW.size] = packed

    def __delitem__(self, day: str) -> None:
        del day
        raise TypeError("a seal is never taken back")

    def __iter__(self) -> Iterator[str]:
        return iter(self.days_in(_STATES, ""))

    def days_in(self, states: Collection[DayState], first: str) -> list[str]:
        """Return the days from `first` on whose latest seal has one of these states, the oldest first."""
        codes = {_STATES.index(each) + 1 for each in states}
        begin = max(0, date.fromisoformat(first).toordinal() - self._first) if first else 0
        found = self._rows[begin * _ROW.size :: _ROW.size]
        days = [_day_name(self._first + begin + at) for at, code in enumerate(found) if code in codes]
        ahead = [day for day, row in sorted(self._ahead.items()) if row[0] in codes and day >= first]
        return sorted({*days, *ahead}) if ahead else days

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _row(self, number: int) -> bytes:
        at = (number - self._first) * _ROW.size
        return bytes(self._rows[at : at + _ROW.size]) if 0 <= at < len(self._rows) else _NO_ROW

    def _make_room(self, number: int) -> None:
        """Make rows up to a day; cut the oldest where that is too many. Rows go before the first one only while all fit."""
        count = len(self._rows) // _ROW.size
        if not count:
            self._first = number
        if (before := self._first - number) > 0 and before + count <= KEPT_DAYS:
            self._rows[:0] = _NO_ROW * before
            self._first = number
            return
        if (missing := number - self._first + 1 - count) > 0:
            self._rows += _NO_ROW * min(missing, KEPT_DAYS)
        if (surplus := max(count + missing, count) - KEPT_DAYS) > 0:
            self._first += surplus
            del self._rows[: max(0, len(self._rows) - KEPT_DAYS * _ROW.size)]
            self.is_cut = True


def _day_name(number: int) -> str:
    """Return the day of an ordinal; all organizations share one text."""
    return day_of((number - _EPOCH) * DAY_MS)


class ChainView(MutableMapping[str, V]):
    """What a chain of seals asks of each sealed day: `SealChain.days` or `SealChain.hashes`. The days themselves are kept once."""

    def __init__(self, sealed: SealedDays, value: Callable[[DayMark], V]) -> None:
        self._sealed, self._value = sealed, value

    def __getitem__(self, day: str) -> V:
        return self._value(self._sealed[day])

    def __setitem__(self, day: str, value: V) -> None:
        """Keep nothing: who takes the seal puts its mark among the days."""

    def __delitem__(self, day: str) -> None:
        del self._sealed[day]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sealed)

    def __len__(self) -> int:
        return len(self._sealed)
