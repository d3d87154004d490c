"""What has been read of an organization, in words: windows, ranges that its source fails to serve, and the pace of its backfill. Pure."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from management.formatting import iso_seconds
from management.organizations.view import OrganizationView
from producer.state.checkpoint import Checkpoint

_MAX_RANGES = 20
_WATCHED = 500
_PACE_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class WindowFact:
    """One thing that has been read: its name, the instant up to which (ms UTC; None: see the text), and what that means."""

    name: str
    up_to: int | None
    meaning: str


def describe_windows(checkpoint: Checkpoint | None) -> list[WindowFact]:
    """Return what has been read, from the checkpoint. None: no producer has written one, so nothing is known."""
    if checkpoint is None:
        return []
    facts = [
        WindowFact(
            "Live windows", checkpoint.window_end, "Every new event created before then has been asked for."
        ),
        WindowFact(
            "Re-read of the last day",
            checkpoint.day_mark,
            "Late events of the day before then have been looked for.",
        ),
        WindowFact(
            "Re-read of the last week",
            checkpoint.week_mark,
            "Late events of the week before then have been looked for.",
        ),
    ]
    if checkpoint.outage is not None:
        text = f"Nothing was read from {iso_seconds(checkpoint.outage.start)} to {iso_seconds(checkpoint.outage.end)}; whether Jira kept all events of it is still to be asked."
        facts.append(WindowFact("Outage", None, text))
    ranges = checkpoint.unread_ranges
    for each in ranges[:_MAX_RANGES]:
        text = f"Jira fails to serve {iso_seconds(each.start)} to {iso_seconds(each.end)}. It is asked for again by itself; events are complete up to its begin alone."
        facts.append(WindowFact("Unread range", None, text))
    if len(ranges) > _MAX_RANGES:
        facts.append(WindowFact("Unread ranges", None, f"{len(ranges) - _MAX_RANGES:,} more."))
    if checkpoint.id_reuse is not None:
        reuse = checkpoint.id_reuse
        text = f"{reuse.count:,} events since {iso_seconds(reuse.since)} have ids that Jira had given before, as after a restore of the site."
        facts.append(WindowFact("Ids used again", reuse.last, text))
    return facts


@dataclass(frozen=True, slots=True)
class BackfillPace:
    """How far a running backfill is. `part`: from 0 to 1. `left_ms`: at its pace since `since` (ms UTC); None: not known yet."""

    part: float
    reached: int
    wanted_from: int
    left_ms: int | None
    since: int


class PaceWatch:
    """Remembers where the backfills of the last organizations asked for were up to an hour ago, for the time that is left."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, list[tuple[int, int]]] = OrderedDict()

    def pace(self, view: OrganizationView) -> BackfillPace | None:
        """Return how far the backfill is, by the last status. None: none is running, as far as a producer reports."""
        status, organization = view.status, view.organization
        wanted = organization.backfill_from
        if status is None or status.backfilled_to is None or wanted is None or wanted >= organization.added:
            return None
        at, reached = status.at, status.backfilled_to
        first_at, first_reached = self._first(organization.name, at, reached)
        gained, took = first_reached - reached, at - first_at
        left = None if gained <= 0 or took <= 0 else round((reached - wanted) * took / gained)
        part = (organization.added - reached) / (organization.added - wanted)
        return BackfillPace(min(1.0, max(0.0, part)), reached, wanted, left and max(0, left), first_at)

    def _first(self, name: str, at: int, reached: int) -> tuple[int, int]:
        """Return the oldest observation of this run, of the last hour, and keep this one."""
        seen = [each for each in self._seen.pop(name, []) if each[0] > at - _PACE_MS and each[1] >= reached]
        if not seen or seen[-1][0] < at:
            seen.append((at, reached))
        self._seen[name] = thinned(seen)
        while len(self._seen) > _WATCHED:
            self._seen.popitem(last=False)
        return seen[0]


def thinned(seen: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return at most 120 observations: every second one of more, with the first and the last."""
    return list(seen) if len(seen) <= 120 else [*seen[:-1:2], seen[-1]]
