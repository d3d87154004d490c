"""A whole installation at one instant, as the console and the command line show it: what needs an operator first. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from consumer.destinations.contract import DestinationConfig
from management.completeness.findings import completeness_findings
from management.destination_view import DestinationView
from management.destinations import view_destinations, view_unlisted
from management.formatting import iso_milliseconds
from management.live_view import Snapshot
from management.organizations.view import STATES, OrganizationView, build_views
from management.overview import Cause, Severity, day_total, find_causes
from management.replay.view import ReplayView
from relay.status.model import HourCount, Status

_SERVICES = {"produce": "producer", "consume": "consumer"}
"""The beginnings of keys on the status topic that name a process, and its word."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What is known at `now_ms`. `as_of`: when the topics were last read; `replays`: those that have not ended. Instants are ms UTC."""

    now_ms: int
    as_of: int | None
    organizations: Sequence[OrganizationView]
    destinations: Sequence[DestinationView]
    replays: Sequence[ReplayView]
    processes: Mapping[str, int]
    """How many processes of each service report now, by its word."""
    causes: Sequence[Cause]
    problems: Sequence[str]
    failure: str | None = None
    """Why the topics cannot be read now. None: they can."""

    @property
    def is_failing(self) -> bool:
        """Whether a cause needs an operator now."""
        return any(cause.severity is Severity.FAILING for cause in self.causes)

    @property
    def states(self) -> Sequence[tuple[str, int]]:
        """How many organizations are in each state, those that need an operator first."""
        words = Counter(view.state_word for view in self.organizations)
        return sorted(words.items(), key=lambda each: (_place(each[0]), each[0]))

    @property
    def complete_up_to(self) -> int | None:
        """Up to when the events of every organization that is not paused are complete, in ms UTC. None: one has not reported it."""
        known = [
            None if view.status is None else view.status.complete_up_to
            for view in self.organizations
            if not view.organization.paused
        ]
        complete = [each for each in known if each is not None]
        return min(complete) if complete and len(complete) == len(known) else None

    @property
    def last_day(self) -> HourCount:
        """The counts of all organizations over the last 24 hours."""
        counts = [count for view in self.organizations for count in view.counts]
        return day_total(counts, self.now_ms)

    def document(self) -> dict[str, Any]:
        """Return the JSON document: instants in ISO 8601."""
        day = self.last_day
        return {
            "as_of": iso_milliseconds(self.as_of),
            "failing": self.is_failing,
            "causes": [cause.document() for cause in self.causes],
            "problems": list(self.problems),
            "processes": dict(self.processes),
            "organizations": {
                "count": len(self.organizations),
                "states": dict(self.states),
                "complete_up_to": iso_milliseconds(self.complete_up_to),
                "last_day": {"events": day.events, "late": day.late, "dead_letters": day.dead_letters},
            },
            "destinations": [view.document() for view in self.destinations],
            "replays": [
                {
                    "id": view.job.id,
                    "destination": view.job.destination,
                    "state": view.state,
                    "reason": view.reason or None,
                    "fraction": view.fraction,
                }
                for view in self.replays
            ],
        }


def view_installation(
    snapshot: Snapshot,
    destinations: Mapping[str, DestinationConfig],
    now_ms: int,
    key_ids: Sequence[str] = (),
) -> Installation:
    """Return the installation of a snapshot. `destinations`: those of the settings; `key_ids`: as `build_views` takes them."""
    organizations = build_views(snapshot.organizations.organizations, snapshot.statuses, now_ms, key_ids)
    destination_views = all_destination_views(snapshot, destinations, now_ms)
    return Installation(
        now_ms,
        snapshot.as_of,
        organizations,
        destination_views,
        [view for view in snapshot.replays.views(now_ms) if not view.ended],
        _processes(snapshot.statuses.items(), now_ms),
        find_causes(organizations, destination_views, completeness_findings(snapshot.statuses, now_ms)),
        problems_of(snapshot),
        snapshot.failure,
    )


def all_destination_views(
    snapshot: Snapshot, destinations: Mapping[str, DestinationConfig], now_ms: int
) -> list[DestinationView]:
    """Return the destinations of the settings, sorted by name, then those that only consumers have."""
    listed = view_destinations(destinations, snapshot.statuses, snapshot.pauses, snapshot.lost_ranges, now_ms)
    return [*listed, *view_unlisted(destinations, snapshot.statuses, now_ms)]


def problems_of(snapshot: Snapshot) -> list[str]:
    """Return a sentence for each record and batch that cannot be read, and one while the replays cannot be."""
    replays = snapshot.replays
    failure = [] if replays.failure is None else [f"The replays cannot be read now: {replays.failure}"]
    return [
        *(text for _, text in snapshot.organizations.problems),
        *snapshot.problems,
        *failure,
        *replays.problems,
    ]


def _processes(statuses: Iterable[tuple[str, Status]], now_ms: int) -> dict[str, int]:
    found = dict.fromkeys(_SERVICES.values(), 0)
    for key, status in statuses:
        word = _SERVICES.get(key.partition("/")[0])
        if word is not None and now_ms <= status.valid_until:
            found[word] += 1
    return found


def _place(word: str) -> int:
    return STATES.index(word) if word in STATES else len(STATES)
