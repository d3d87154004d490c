"""A destination as an operator sees it: its state, the reason for it, and its lag. Pure."""

from dataclasses import dataclass

from consumer.targets.target import Pause
from management.delivery_reports import DeliverySummary
from management.formatting import duration, iso_milliseconds
from relay.status.model import Status

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

    @property
    def _report(self) -> Status | None:
        """The status of a consumer that runs; None: no consumer reports now."""
        return None if self.status is None or self.now_ms > self.status.valid_until else self.status

    @property
    def listed(self) -> bool:
        """Whether the settings of this program have it."""
        return self.kind != UNLISTED

    def document(self) -> dict[str, object]:
        """Return the JSON document: instants in ISO 8601."""
        return {
            "name": self.name,
            "kind": self.kind,
            "state": self.state,
            "reason": self.reason or None,
            "since": iso_milliseconds(self.since),
            "lag": self.lag,
            "lag_seconds": self.lag_seconds,
            "lag_seconds_unknown": self.lag_seconds_unknown or None,
            "retries": None if self.delivery is None else self.delivery.retries_document(),
            "last_accepted": iso_milliseconds(self.last_accepted),
            "lost_ranges": self.lost_ranges,
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
            return f"no consumer {seen}; check that `jira-relay consume` runs and reaches Kafka"
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


def lag_text(view: DestinationView) -> str:
    """Return the events that were not delivered, and the age of the oldest one, for a table: `1,234 (3 min)`. Empty: not known."""
    if view.lag is None:
        return ""
    return f"{view.lag:,} ({duration(int(1000 * view.lag_seconds))})" if view.lag_seconds else f"{view.lag:,}"
