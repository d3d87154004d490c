"""The hours of the last sixteen weeks in which an organization had an event. Pure.

One bit an hour, so that bursts count once, that events may come in any order and again, and that the size has a bound: 336 bytes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from relay.timestamps import HOUR_MS

HOURS_KEPT = 16 * 7 * 24
_MASK = (1 << HOURS_KEPT) - 1


@dataclass(frozen=True, slots=True)
class ActiveHours:
    """Bit i of `bits`: the hour i hours before `newest` had an event. Hours are numbered from 1970 UTC.

    Hours before `since` (ms UTC) were not recorded, and say nothing.
    """

    newest: int = 0
    bits: int = 0
    since: int = 0

    def add(self, created: Iterable[int], collected: int) -> "ActiveHours":
        """Return the hours with those of events `created` then (ms UTC); none is after `collected` (ms UTC).

        A source whose clock is ahead would else push every other hour out.
        """
        last = collected // HOUR_MS
        hours = {min(each // HOUR_MS, last) for each in created}
        newest = max(self.newest, *hours) if hours else self.newest
        bits = self.bits << min(newest - self.newest, HOURS_KEPT)
        for hour in hours:
            if newest - hour < HOURS_KEPT:
                bits |= 1 << (newest - hour)
        bits &= _MASK
        return self if (newest, bits) == (self.newest, self.bits) else ActiveHours(newest, bits, self.since)

    def to_record(self) -> dict[str, Any]:
        """Return the record ActiveHours of schemas/checkpoint.avsc."""
        hours = self.bits.to_bytes(-(-self.bits.bit_length() // 8))
        return {"newest": self.newest * HOUR_MS, "hours": hours, "since": self.since}


def active_hours_from_record(record: dict[str, Any]) -> ActiveHours:
    """Return the hours of a record; the inverse of `ActiveHours.to_record`."""
    bits = int.from_bytes(record["hours"]) & _MASK
    return ActiveHours(record["newest"] // HOUR_MS, bits, record["since"])
