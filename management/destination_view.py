"""A destination as an operator sees it: its state, the reason for it, and its lag. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from consumer.targets.target import Pause
from management.delivery_reports import DeliverySummary
from management.destination_day import DestinationDay, KnownHour, Retries
from management.formatting import duration, iso_milliseconds
from relay.status.model import HourCount, Status
from relay.status.slots import DeliverySlot

UNLISTED = "not in these settings"
"""The kind of a destination that a consumer reports on and the settings of this program lack."""


@dataclass(frozen=True, slots=True)
class DestinationView:
    """A destination of the settings, and what its consumers reported last. `status` None: none has reported."""

    name: str
    kind: str
    status: Status | None
    pause: Pause | None
    now_ms: int
    lost_ranges: int = 0
    """Ranges of events that Kafka deleted before their delivery, and that are neither refilled nor dismissed."""
    delivery: DeliverySummary | None = None
    """What its consumers report on their deliveries; None: none does now."""
    processes: Sequence[Status] = ()
    """What each process has delivered to it, running or not."""

    @property
    def _report(self) -> Status | None:
        """The status of a consumer that runs; None: no consumer reports now."""
        return None if self.status is None or self.now_ms > self.status.valid_until else self.status

    @property
    def listed(self) -> bool:
        """Whether the settings of this program have it."""
        return self.kind != UNLISTED

    @property
    def _history(self) -> DestinationDay:
        """The last day, of all processes."""
        return DestinationDay(self.status, self.processes)

    @property
    def day(self) -> HourCount:
        """The sum of the last 24 hours."""
        return self._history.total(self.now_ms)

    @property
    def hours(self) -> Sequence[KnownHour]:
        """The last 24 hours."""
        return self._history.last_day(self.now_ms)

    @property
    def slots(self) -> Sequence[DeliverySlot]:
        """The last day in quarters of an hour."""
        return self._history.slots(self.now_ms)

    @property
    def retries(self) -> Retries | None:
        """The retries of the last 24 hours; of releases that report no hours, since their start. None: not known."""
        found = self._history.retries(self.now_ms)
        return self.delivery.retries if found is None and self.delivery is not None else found

    @property
    def events_per_second(self) -> float | None:
        """What its consumers handled in the last minutes. None: that is not known."""
        return None if self.delivery is None or self._report is None else self.delivery.events_per_second

    def document(self) -> dict[str, Any]:
        """Return the JSON document: instants in ISO 8601."""
        retries = self.retries
        return {
            "name": self.name,
            "kind": self.kind,
            "state": self.state,
            "reason": self.reason or None,
            "since": iso_milliseconds(self.since),
            "lag": self.lag,
            "lag_seconds": self.lag_seconds,
            "lag_seconds_unknown": self.lag_seconds_unknown or None,
            "events_per_second": self.events_per_second,
            "retries": None if retries is None else retries.document(),
            "last_accepted": iso_milliseconds(self.last_accepted),
            "lost_ranges": self.lost_ranges,
        }

    def full_document(self) -> dict[str, Any]:
        """Return the document with the last day: null where no consumer reported."""
        return self.document() | {
            "hours": [_hour_document(each) for each in self.hours],
            "quarters": [
                {
                    "start": iso_milliseconds(each.start),
                    "lag": each.lag,
                    "lag_seconds": None if each.age is None else each.age / 1000,
                }
                for each in self.slots
            ],
        }

    @property
    def state(self) -> str:
        """The state in one word or two: `paused` by an operator, `no consumer`, or as a consumer reports it."""
        if self.pause is not None:
            return "paused"
        return "no consumer" if self._report is None else self._report.state

    @property
    def reason(self) -> str:
        """Why it is in this state, and that events are lost. Empty: there is nothing to say."""
        if not self.listed:
            text = "a consumer reports on it, but the settings of this program do not have it: give it those of the consumers"
            return "; ".join(filter(None, (self._reason, text)))
        command = f"jira-relay destinations lost {self.name}"
        if not self.lost_ranges or f"--destination {self.name} --lost" in self._reason:
            return self._reason
        return "; ".join(filter(None, (self._reason, f"Kafka deleted undelivered events: see `{command}`")))

    @property
    def _reason(self) -> str:
        if self.pause is not None:
            return f"paused by {self.pause.who}{self._still_delivering}"
        if self._report is None:
            seen = "has reported on it yet" if self.status is None else "reports on it any more"
            return (
                f"no consumer {seen}; check that `jira-relay consume` runs, then see its /readyz and its log"
            )
        return self._report.reason or ""

    @property
    def _still_delivering(self) -> str:
        if self._report is None or self._report.state == "paused":
            return ""
        return f"; a consumer still reports {self._report.state}: it follows within a minute, or its release knows no pause"

    @property
    def since(self) -> int | None:
        """Since when it is in this state, in ms UTC; without a consumer, when one last reported. None: unknown."""
        if self.pause is not None:
            return self.pause.at
        if self._report is None:
            return None if self.status is None else self.status.at
        return self._report.since

    @property
    def last_accepted(self) -> int | None:
        """When the newest event that is behind an offset was collected, in ms UTC. None: no consumer has reported one."""
        offsets = () if self.status is None else (*self.status.offsets, *self.status.older_offsets)
        return max((each.last.timestamp for each in offsets if each.last is not None), default=None)

    @property
    def lag(self) -> int | None:
        """Events that were not delivered, as last reported; None: that is not known now."""
        return None if self._report is None else self._report.lag

    @property
    def lag_seconds(self) -> float | None:
        """Age of the oldest event that was not accepted, as last reported; 0: none waits. None: that is not known now."""
        return None if self.delivery is None or self.lag_seconds_unknown else self.delivery.lag_seconds

    @property
    def lag_seconds_unknown(self) -> str:
        """Why the age of the oldest event is not known. Empty: it is."""
        if self.pause is not None:
            return "nobody reads the events while the destination is paused"
        if self._report is None:
            return "no consumer reports now"
        if self.delivery is None:
            return "the consumers are of a release that does not report it"
        if self._report.state == "starting" or self.delivery.lag_seconds is None:
            return f"a consumer has not read all of its partitions, or its release does not report them{self._read}"
        if self.delivery.lag_seconds == 0 and self.lag is None:
            return "the consumers cannot read the ends of all partitions now"
        return ""

    @property
    def _read(self) -> str:
        seconds = None if self.delivery is None else self.delivery.read_seconds
        return (
            f"; the oldest event that was read waits for {duration(int(1000 * seconds))}" if seconds else ""
        )

    @property
    def lag_seconds_unknown_since(self) -> int | None:
        """Since when it is not known, in ms UTC. None: it is known, or the time is not."""
        stopped = self.pause is not None or self._report is None or self._report.state == "starting"
        return self.since if stopped else None


def _hour_document(hour: KnownHour) -> dict[str, Any]:
    names = ("events", "skipped", "dead_letters", "retries")
    counts = {name: None if hour.count is None else getattr(hour.count, name) for name in names}
    return {"start": iso_milliseconds(hour.start)} | counts


def lag_text(view: DestinationView) -> str:
    """Return the events that were not delivered, and the age of the oldest one, for a table: `1,234 (3 min)`. Empty: not known."""
    if view.lag is None:
        return ""
    return f"{view.lag:,} ({duration(int(1000 * view.lag_seconds))})" if view.lag_seconds else f"{view.lag:,}"
