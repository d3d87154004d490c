"""The producers' part of a replay: how far each organization is read from its source, as they report it. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from management.formatting import iso_milliseconds, iso_seconds
from relay.avro.codec import BadBody, NotAvro, UnknownSchema
from relay.replays.job import KnownReplay
from relay.replays.refill import RefillProgress, UnreadRange

MAX_NAMED = 3
"""Organizations whose shortfall is in a sentence; the others are counted."""
_UNREADABLE = (NotAvro, BadBody, UnknownSchema)


@dataclass(frozen=True, slots=True)
class ReplayPart:
    """One organization's part of a replay. Instants are ms UTC; None: not reported yet."""

    organization: str
    state: str
    """not begun, running, done, failed, or unknown: a later release has written the report."""
    since: int | None = None
    at: int | None = None
    read_to: int | None = None
    events: int = 0
    unreadable: int = 0
    unread: tuple[UnreadRange, ...] = ()
    """What the source failed to serve, so that it is left out."""
    reason: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the part as JSON has it."""
        times = {name: iso_milliseconds(getattr(self, name)) for name in ("since", "at", "read_to")}
        unread = [
            {"start": iso_milliseconds(one.start), "end": iso_milliseconds(one.end)} for one in self.unread
        ]
        return asdict(self) | times | {"unread": unread}

    def cells(self) -> tuple[str, ...]:
        """Return the part as a row of a table with the titles PART_TITLES."""
        since = "" if self.since is None else iso_seconds(self.since)
        read_to = "" if self.read_to is None else iso_seconds(self.read_to)
        counts = f"{self.events:,}", f"{self.unreadable:,}"
        return self.organization, self.state, since, read_to, *counts, self.reason or ""


PART_TITLES = ("organization", "state", "since", "read to", "events", "unreadable", "reason")


def parts_of(replay: KnownReplay) -> Sequence[ReplayPart]:
    """Return the part of each organization, in the order of the job; empty: the producers have no part in the replay."""
    names = replay.job.organizations if replay.job.content == "refill" else sorted(replay.producers)
    return [_part(name, replay.producers.get(name)) for name in names]


def _part(name: str, value: bytes | None) -> ReplayPart:
    if value is None:
        return ReplayPart(name, "not begun")
    try:
        found = RefillProgress.from_value(value)
    except _UNREADABLE:
        return ReplayPart(name, "unknown", reason="A later release has written its report.")
    return ReplayPart(
        name,
        found.state,
        found.since,
        found.at,
        found.read_to,
        found.events,
        found.unreadable,
        found.unread,
        found.reason,
    )


def shortfall_text(replay: KnownReplay) -> str | None:
    """Return what the producers left out of the parts of a refill that have ended. None: nothing."""
    if replay.job.content != "refill":
        return None
    texts = [each.reason for each in parts_of(replay) if each.state in {"done", "failed"} and each.reason]
    if len(texts) > MAX_NAMED:
        texts[MAX_NAMED:] = [
            f"{len(texts) - MAX_NAMED} more organizations lack something: `jira-relay replay show {replay.job.id}`."
        ]
    return " ".join(texts) or None


def has_unread(replay: KnownReplay) -> bool:
    """Return whether the source failed to serve records of a part, so that events may be missing."""
    return any(each.unread for each in parts_of(replay))
