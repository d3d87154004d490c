"""The entries of the last day in a status, one for each hour or quarter of an hour. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

SLOTS_KEPT = 96
SLOT_MS = 900_000


@dataclass(frozen=True, slots=True)
class DeliverySlot:
    """The most that a destination had not accepted in the quarter of an hour from `start`, in ms since 1970 UTC.

    `lag`: in events. `age`: that of the oldest one, in ms; 0: none waited. None: not known.
    """

    start: int
    lag: int | None = None
    age: int | None = None

    def most(self, lag: int | None, age: int | None) -> "DeliverySlot":
        """Return the slot with these values taken into account."""
        return DeliverySlot(self.start, _most(self.lag, lag), _most(self.age, age))


def _most(one: int | None, other: int | None) -> int | None:
    return max((each for each in (one, other) if each is not None), default=None)


class Started(Protocol):
    @property
    def start(self) -> int: ...


S = TypeVar("S", bound=Started)


def put_nearest(entries: Iterable[S], now: S, most: int) -> tuple[S, ...]:
    """Return the entries with `now` in place of the one of its time, ascending: those nearest to it, `most` at most.

    The nearest, not the newest: a clock that jumps ahead and back leaves the hours before, and pushes out no new ones.
    """
    others = [each for each in entries if each.start != now.start]
    nearest = sorted([now, *others], key=lambda each: abs(each.start - now.start))[:most]
    return tuple(sorted(nearest, key=lambda each: each.start))
