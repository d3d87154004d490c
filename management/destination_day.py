"""The last day of a destination, from the records of all processes that delivered to it, running or not. Pure.

It comes from the status topic alone, so any console shows the same, from its first moment on. An hour or a quarter that no
process reported is not known, which is not zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from management.formatting import iso_milliseconds
from relay.status.model import HourCount, RetriedRequest, Status, delivery_destination
from relay.status.slots import SLOT_MS, SLOTS_KEPT, DeliverySlot
from relay.timestamps import HOUR_MS

HOURS_SHOWN = 24


@dataclass(frozen=True, slots=True)
class KnownHour:
    """An hour from `start`, in ms UTC. `count` None: no process reported it."""

    start: int
    count: HourCount | None


@dataclass(frozen=True, slots=True)
class Retries:
    """Requests whose events had to be sent again. `since`: ms UTC."""

    count: int
    since: int
    last: RetriedRequest | None

    def document(self) -> dict[str, object]:
        """Return the JSON document."""
        last = self.last
        return {
            "count": self.count,
            "since": iso_milliseconds(self.since),
            "last": None if last is None else {"at": iso_milliseconds(last.at), "reason": last.reason},
        }


@dataclass(frozen=True, slots=True)
class DestinationDay:
    """The records on one destination. `own`: that of its state, with the lag; it has counts of releases that wrote no other."""

    own: Status | None = None
    processes: Sequence[Status] = ()

    def counts(self) -> list[HourCount]:
        """Return the sum of all processes for each hour that one of them reported, ascending."""
        found: dict[int, HourCount] = {}
        for each in (*self.processes, *filter(None, [self.own])):
            for count in each.counts:
                found[count.hour] = found[count.hour].plus(count) if count.hour in found else count
        return [found[hour] for hour in sorted(found)]

    def last_day(self, now_ms: int) -> list[KnownHour]:
        """Return the last 24 hours, the oldest first."""
        counts = {each.hour: each for each in self.counts()}
        newest = now_ms - now_ms % HOUR_MS
        starts = range(newest - (HOURS_SHOWN - 1) * HOUR_MS, newest + 1, HOUR_MS)
        return [KnownHour(start, counts.get(start)) for start in starts]

    def total(self, now_ms: int) -> HourCount:
        """Return the sum of the last 24 hours, as the count of the first hour that is known. Hours that are not known count nothing."""
        known = [each.count for each in self.last_day(now_ms) if each.count is not None]
        return reduce(HourCount.plus, known, HourCount(known[0].hour if known else now_ms, 0, 0, 0))

    def retries(self, now_ms: int) -> Retries | None:
        """Return the retries of the last 24 hours, since the first hour that is known. None: no process reported one."""
        total = DestinationDay(processes=self.processes).total(now_ms)
        if total.hour == now_ms:
            return None
        reports = [report for each in self.processes for report in each.deliveries]
        found = [each.last_retry for each in reports if each.last_retry is not None]
        recent = [each for each in found if each.at >= total.hour]
        return Retries(total.retries, total.hour, max(recent, key=lambda each: each.at, default=None))

    def slots(self, now_ms: int) -> list[DeliverySlot]:
        """Return the last day in quarters of an hour, the oldest first.

        The age is the greatest of all processes, and not known where one of those that reported did not know it.
        """
        lags = {} if self.own is None else {each.start: each.lag for each in self.own.slots}
        ages: dict[int, list[int | None]] = {}
        for each in self.processes:
            for slot in each.slots:
                ages.setdefault(slot.start, []).append(slot.age)
        newest = now_ms - now_ms % SLOT_MS
        starts = range(newest - (SLOTS_KEPT - 1) * SLOT_MS, newest + 1, SLOT_MS)
        return [_slot(start, lags.get(start), ages.get(start, ())) for start in starts]


def _slot(start: int, lag: int | None, ages: Sequence[int | None]) -> DeliverySlot:
    age = max((each for each in ages if each is not None), default=None) if None not in ages else None
    if age == 0 and lag is None:
        age = None  # what no process has read may wait
    return DeliverySlot(start, lag, age)


def processes_by_destination(statuses: Mapping[str, Status]) -> dict[str, list[Status]]:
    """Return the records of all processes for each destination by name, from the statuses by key."""
    found: dict[str, list[Status]] = {}
    for key, status in statuses.items():
        if (name := delivery_destination(key)) is not None:
            found.setdefault(name, []).append(status)
    return found
