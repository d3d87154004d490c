"""The status of one organization, destination or process, as a value."""

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from typing import Any

from relay.status.slots import SLOT_MS, SLOTS_KEPT, DeliverySlot, put_nearest
from relay.timestamps import HOUR_MS

TRANSITIONS_KEPT = 20
HOURS_KEPT = 48
EPOCH, VALID_UNTIL = "relay.epoch", "relay.valid-until"


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state. `at` is ms since 1970 UTC."""

    at: int
    state: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class HourCount:
    """Counts of one hour. `hour` is its first instant, in ms since 1970 UTC."""

    hour: int
    events: int
    late: int
    dead_letters: int
    skipped: int = 0
    """Events that the filter of a destination left out."""
    retries: int = 0
    """Requests to a destination whose events had to be sent again."""

    @property
    def start(self) -> int:
        return self.hour

    def plus(self, other: "HourCount") -> "HourCount":
        """Return the sum of both, as the counts of this hour."""
        names = [each.name for each in fields(self) if each.name != "hour"]
        return HourCount(self.hour, *(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True, slots=True)
class StoredFingerprint:
    """A record by its offset, the CRC-32 of key and value, and its Kafka timestamp."""

    offset: int
    checksum: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class GroupOffset:
    """A committed offset of a destination's consumer group.

    `last` is the last record before it: the offset counts only for a log that holds this record. None: no record is known.
    """

    topic: str
    partition: int
    offset: int
    last: StoredFingerprint | None = None
    live_from: int | None = None
    """Where live delivery began at a first start with `recent`; None: the partition was not divided."""
    older_last: StoredFingerprint | None = None
    """The last record before `live_from`, which finds it in another log. None: no record is known."""


@dataclass(frozen=True, slots=True)
class RetriedRequest:
    """A request to a destination whose events had to be sent again. `at` is ms since 1970 UTC."""

    at: int
    reason: str


@dataclass(frozen=True, slots=True)
class RecentEvents:
    """Events that were delivered, left out or became dead letters in the last `ms`, which is at least 1."""

    events: int
    ms: int


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """The delivery of one consumer process to one destination. Instants are ms since 1970 UTC."""

    destination: str
    since: int
    """Since when `retries` are counted: the start of the process."""
    known: bool
    """Whether the process knows which of its events wait."""
    oldest: int | None = None
    """When the oldest event was collected that was read and is not accepted. None: none waits, or that is not known."""
    retries: int = 0
    last_retry: RetriedRequest | None = None
    recent: RecentEvents | None = None
    """None: not known yet."""


@dataclass(frozen=True, slots=True)
class Silence:
    """How long an organization has had no event, and whether that is like it. Instants are ms since 1970 UTC."""

    since: int
    """Created of the newest event; before the first one, when the organization was added."""
    until: int
    """Up to here the source has shown that there is no newer event."""
    word: str
    """`learning`: what is usual is not known yet; `quiet`: it is usual; `silent`: it is unlikely."""
    probability: float | None = None
    """The chance that a feed that works is silent for so long. None: not known yet, or there never was an event."""
    learning_until: int | None = None
    """From when on silence is judged. None: it is."""
    longest: int | None = None
    """The longest earlier silence of the last sixteen weeks, in ms. None: not known."""


@dataclass(frozen=True, slots=True)
class Status:
    """The state of one organization, destination or process.
    Fields as in schemas/status.avsc, instants in ms since 1970 UTC.
    """

    state: str
    since: int
    at: int
    valid_until: int
    epoch: int
    reason: str | None = None
    transitions: tuple[Transition, ...] = ()
    counts: tuple[HourCount, ...] = ()
    last_poll: int | None = None
    last_event: int | None = None
    complete_up_to: int | None = None
    waiting_until: int | None = None
    backfilled_to: int | None = None
    lag: int | None = None
    start: str | None = None
    offsets: tuple[GroupOffset, ...] = field(default=())
    older_offsets: tuple[GroupOffset, ...] = field(default=())
    deliveries: tuple[DeliveryReport, ...] = field(default=())
    """Of a consumer process: one for each of its destinations."""
    slots: tuple[DeliverySlot, ...] = field(default=())
    """Of a destination, with the lag; of the delivery of one process, with the age."""
    silence: Silence | None = None
    """Of an organization. None: nothing is known of it."""

    def transition(self, state: str, reason: str | None, at: int) -> "Status":
        """Return this status in `state`. A change of state adds a transition; a new reason alone does not."""
        if state == self.state:
            return replace(self, reason=reason, at=at)
        transitions = (*self.transitions, Transition(at, state, reason))[-TRANSITIONS_KEPT:]
        return replace(self, state=state, reason=reason, since=at, at=at, transitions=transitions)

    def valid_for(self, ms: int) -> "Status":
        """Return this status, valid for `ms` from its `at`."""
        return replace(self, valid_until=self.at + ms)

    def with_counts(
        self,
        at: int,
        events: int = 0,
        late: int = 0,
        dead_letters: int = 0,
        skipped: int = 0,
        retries: int = 0,
    ) -> "Status":
        """Return this status with these counts added to the hour of `at`. Zeros say that the hour is known."""
        added = HourCount(at - at % HOUR_MS, events, late, dead_letters, skipped, retries)
        former = next((each for each in self.counts if each.hour == added.hour), None)
        now = added if former is None else former.plus(added)
        return self if now == former else replace(self, counts=put_nearest(self.counts, now, HOURS_KEPT))

    def with_slot(self, at: int, lag: int | None = None, age: int | None = None) -> "Status":
        """Return this status with the most of these and the known values in the quarter of an hour of `at`."""
        start = at - at % SLOT_MS
        former = next((each for each in self.slots if each.start == start), None)
        now = (former or DeliverySlot(start)).most(lag, age)
        return self if now == former else replace(self, slots=put_nearest(self.slots, now, SLOTS_KEPT))


def take_over(state: str, at: int, previous: Status | None = None, reason: str | None = None) -> Status:
    """Return the first status of a new owner: it continues that of the former owner, with a higher epoch."""
    if previous is None:
        return Status(state=state, reason=reason, since=at, at=at, valid_until=at, epoch=at)
    return replace(previous, epoch=max(at, previous.epoch + 1)).transition(state, reason, at)


def to_record(status: Status) -> dict[str, Any]:
    """Return a status as a record of schemas/status.avsc: as `asdict`, without its copies of numbers and texts."""
    record: dict[str, Any] = _to_value(status)
    return record


def _to_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_to_value, value))
    names = _field_names(type(value))
    return {name: _to_value(getattr(value, name)) for name in names} if names else value


@cache
def _field_names(kind: type[Any]) -> Sequence[str]:
    return [each.name for each in fields(kind)] if is_dataclass(kind) else ()


def from_record(record: Mapping[str, Any]) -> Status:
    """Return the status of a record."""
    values = {f.name: record[f.name] for f in fields(Status) if f.name in record}
    values["transitions"] = tuple(Transition(**entry) for entry in values["transitions"])
    values["counts"] = tuple(HourCount(**entry) for entry in values["counts"])
    values["offsets"] = tuple(map(_group_offset, values["offsets"]))
    values["older_offsets"] = tuple(map(_group_offset, values.get("older_offsets", ())))
    values["deliveries"] = tuple(map(_delivery, values.get("deliveries", ())))
    values["slots"] = tuple(DeliverySlot(**entry) for entry in values.get("slots", ()))
    values["silence"] = Silence(**found) if (found := values.get("silence")) else None
    return Status(**values)


def _group_offset(entry: Mapping[str, Any]) -> GroupOffset:
    return GroupOffset(
        entry["topic"],
        entry["partition"],
        entry["offset"],
        _fingerprint(entry.get("last")),
        entry.get("live_from"),
        _fingerprint(entry.get("older_last")),
    )


def _delivery(entry: Mapping[str, Any]) -> DeliveryReport:
    retry, recent = entry["last_retry"], entry.get("recent")
    values = {"last_retry": retry and RetriedRequest(**retry), "recent": recent and RecentEvents(**recent)}
    return DeliveryReport(**{**entry, **values})


def _fingerprint(stored: Mapping[str, Any] | None) -> StoredFingerprint | None:
    return StoredFingerprint(stored["offset"], stored["checksum"], stored["timestamp"]) if stored else None


def service_key(service: str) -> str:
    """Return the key of this process's record on the status topic: `produce/HOST-PID`."""
    return f"{service}/{process_name()}"


def process_name() -> str:
    """Return the name of this process: `HOST-PID`."""
    return f"{socket.gethostname()}-{os.getpid()}"


_DELIVERY = "delivery/"


def delivery_key(destination: str, started_ms: int) -> str:
    """Return the key of the record on this process's delivery to a destination: `delivery/NAME/HOST-PID-STARTED`.

    A process that starts again has another one, so it never replaces what the former process counted.
    """
    return f"{_DELIVERY}{destination}/{socket.gethostname()}-{os.getpid()}-{started_ms}"


def delivery_destination(key: str) -> str | None:
    """Return the destination of such a key; None: the key is another one."""
    return key.removeprefix(_DELIVERY).rpartition("/")[0] if key.startswith(_DELIVERY) else None


_DESTINATIONS = "destinations "


def destinations_text(names: Iterable[str]) -> str:
    """Return the reason of a consumer process: the destinations that it delivers to."""
    return _DESTINATIONS + ", ".join(names)


def destinations_of(process: Status) -> Sequence[str]:
    """Return the destinations that the reason of a consumer process names; every release writes them first."""
    first = (process.reason or "").partition(";")[0]
    return first.removeprefix(_DESTINATIONS).split(", ") if first.startswith(_DESTINATIONS) else ()
