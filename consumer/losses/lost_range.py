"""A range of offsets that Kafka deleted before a destination accepted its events. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from relay.timestamps import DAY_MS, to_iso_any

MAX_RANGES = 20
"""Ranges of one partition of one destination that are kept apart; a later one widens the last of them."""
SOURCE_DAYS = 180
"""How long Jira keeps audit records by default (Atlassian: "Audit activities in Jira", retention of the audit log)."""


@dataclass(frozen=True, slots=True)
class LostRange:
    """Offsets [start, stop) of one partition, `lost` of which the destination had not accepted. Instants are ms UTC.

    `collected_from`: when the last event before them was collected; None: no such event is known. `collected_until`: when the
    first one after them was; None: none has arrived yet. `at`: when the loss was noticed.
    """

    destination: str
    topic: str
    partition: int
    start: int
    stop: int
    lost: int
    collected_from: int | None
    collected_until: int | None
    at: int

    @property
    def key(self) -> str:
        """The key of its record; a loss that is found again, after a kill, has the same one."""
        return f"{key_prefix(self.destination)}{self.topic}.{self.partition}.{self.start}"

    @property
    def name(self) -> str:
        """Its short name in commands, such as `events/3/1200`."""
        return f"{self.topic.rpartition('.')[2]}/{self.partition}/{self.start}"

    @property
    def collected_before(self) -> int:
        """The instant before which all of its events were collected."""
        return self.at if self.collected_until is None else self.collected_until

    def widened(self, other: "LostRange") -> "LostRange":
        """Return the range from this one's start to the end of both."""
        return replace(
            other,
            start=self.start,
            stop=max(self.stop, other.stop),
            lost=self.lost + other.lost if other.start != self.start else max(self.lost, other.lost),
            collected_from=self.collected_from,
            at=min(self.at, other.at) if other.start == self.start else other.at,
        )


def key_prefix(destination: str) -> str:
    """Return the beginning of the keys of a destination's lost ranges; no flow has this name."""
    return f"{destination}.lost."


def merged(known: Iterable[LostRange], found: LostRange) -> LostRange:
    """Return the range to write for a loss that was found beside those that are known."""
    same = sorted(
        (each for each in known if (each.topic, each.partition) == (found.topic, found.partition)),
        key=lambda each: each.start,
    )
    for each in same:
        if each.start <= found.start and found.stop <= each.stop:
            return each  # found again after a kill
    for each in same:
        if each.start == found.start:
            return each.widened(found)
    return same[-1].widened(found) if len(same) >= MAX_RANGES and same[-1].start < found.start else found


def loss_text(lost: LostRange, archives: Sequence[str], now_ms: int) -> str:
    """Return the text of the status about a lost range. `archives`: destinations that keep events in an object store."""
    since = "" if lost.collected_from is None else f", and since {to_iso_any(lost.collected_from)}"
    return (
        f"Kafka deleted events before they were accepted: offsets {lost.start} to {lost.stop - 1} of {lost.topic}, partition"
        f" {lost.partition}. They had been collected before {to_iso_any(lost.collected_before)}{since}. Later events are delivered."
        f" {remedy(lost, archives, now_ms)}"
    )


def remedy(lost: LostRange, archives: Sequence[str], now_ms: int) -> str:
    """Return what brings the lost events to the destination, with the exact command."""
    command = f"jira-relay replay start --destination {lost.destination} --lost {lost.name}"
    if archives:
        return f"Run `{command} --archive {archives[0]}` to send exactly these events again."
    if now_ms - lost.collected_before < SOURCE_DAYS * DAY_MS:
        return f"Run `{command}` to read them from the source again."
    return (
        f"No object store has them, and the source keeps records for {SOURCE_DAYS} days, so they are gone."
        f" Run `jira-relay destinations dismiss {lost.destination} {lost.name}`."
    )


def losses_text(ranges: Sequence[LostRange], archives: Sequence[str], now_ms: int) -> str | None:
    """Return the text of the status about all lost ranges of a destination: the latest one, and how many there are."""
    if not ranges:
        return None
    latest = max(ranges, key=lambda each: (each.at, each.topic, each.partition, each.start))
    text = loss_text(latest, archives, now_ms)
    if len(ranges) == 1:
        return text
    return f"{text} `jira-relay destinations lost {latest.destination}` lists all {len(ranges)} lost ranges."
