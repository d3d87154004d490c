"""What chaos is judged by, beyond what the sandbox judges: order, repeats at the sink, the history of changes. All pure."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sandbox.verdict import PublishedEvent

COMMIT_SECONDS = 3.0
"""What was accepted this long before a consumer died may not have been committed: it commits each 0.2 s, on a busy machine."""
RETURN_SECONDS = 12.0
"""So long after a cut or a freeze a consumer may not be back in its group, and commit nothing."""


@dataclass(frozen=True, slots=True)
class RowArrival:
    """A row at the sink; `at` in seconds since 1970. `unacknowledged`: whoever sent it got no answer."""

    uid: str
    at: float
    unacknowledged: bool


def find_disorder(
    published: Sequence[PublishedEvent], visible_from: Mapping[tuple[str, int], int], skewed: set[str]
) -> list[str]:
    """Breaches of the promised order, in words. `published` in the order of offsets within each organization and topic.

    Within a transaction (all its events have one `collected`, no other transaction of the partition has it): by created,
    then id. Live events across transactions: of two, the one that is older by both and could be seen no later stands
    first. Where Jira's own clock was moved, only the first is promised.
    """
    breaches = []
    for organization, history, events in _group_events(published):
        breaches += _disorder_within_transactions(organization, events)
        if not history and organization not in skewed:
            live = [event for event in events if event["mode"] == "live"]
            breaches += _disorder_across_transactions(organization, live, visible_from)
    return breaches


def _group_events(published: Sequence[PublishedEvent]) -> Iterable[tuple[str, bool, list[dict[str, Any]]]]:
    rows: dict[tuple[str, bool], list[dict[str, Any]]] = defaultdict(list)
    for one in published:
        rows[one.organization, one.history].append(one.event)
    for (organization, history), events in sorted(rows.items()):
        yield organization, history, events


def _disorder_within_transactions(organization: str, events: Sequence[dict[str, Any]]) -> Iterable[str]:
    for before, after in pairwise(events):
        if before["collected"] > after["collected"]:
            yield f"{organization}: {after['id']} was collected before {before['id']}, which stands before it"
        if before["collected"] == after["collected"] and _order_key(before) > _order_key(after):
            yield f"{organization}: {before['id']} stands before {after['id']} in one transaction, but is younger"


def _disorder_across_transactions(
    organization: str, events: Sequence[dict[str, Any]], visible_from: Mapping[tuple[str, int], int]
) -> Iterable[str]:
    youngest = (0, 0)
    for place, event in enumerate(events):
        if _order_key(event) < youngest:
            first_visible = visible_from[organization, event["id"]]
            for earlier in events[:place]:
                older = event["created"] < earlier["created"] and event["id"] < earlier["id"]
                if older and first_visible < visible_from[organization, earlier["id"]]:
                    yield f"{organization}: {earlier['id']} stands before {event['id']}, which is older and was seen earlier"
                    break
        youngest = max(youngest, _order_key(event))


def _order_key(event: Mapping[str, Any]) -> tuple[int, int]:
    return event["created"], event["id"]


@dataclass(frozen=True, slots=True)
class Repeats:
    """How many rows came again, how many of these since nobody had got the answer, and which, in words, for no reason."""

    rows: int
    unacknowledged: int
    unexplained: list[str]


def find_repeats(arrived: Iterable[RowArrival], disturbances: Iterable[tuple[float, float]]) -> Repeats:
    """What came again.

    Reasons are an answer that never came, and a disturbance between Kafka and the sink after which what had just been
    accepted, and was not committed yet, had to be sent again.
    """
    rows: dict[str, list[RowArrival]] = defaultdict(list)
    for row in arrived:
        rows[row.uid].append(row)
    periods = list(disturbances)
    count, unacknowledged, unexplained = 0, 0, []
    for uid, same in rows.items():
        for first, again in pairwise(same):
            count += 1
            unacknowledged += first.unacknowledged
            if not first.unacknowledged and not _is_explained(first.at, again.at, periods):
                unexplained.append(f"{uid} came again after {again.at - first.at:.1f} s")
    return Repeats(count, unacknowledged, unexplained)


def _is_explained(first: float, again: float, disturbances: Iterable[tuple[float, float]]) -> bool:
    return any(
        began - COMMIT_SECONDS <= first <= ended + RETURN_SECONDS and again >= began
        for began, ended in disturbances
    )


def find_broken_history(changes: Iterable[Mapping[str, Any]], now: Mapping[str, Any]) -> list[str]:
    """Where the history of changes, in the order of offsets, does not lead from one state to the next and to `now`."""
    last: dict[str, Any] = {}
    breaches = []
    for change in changes:
        name = change["organization"]
        before = None if change["before"] is None else json.loads(change["before"])
        if before != last.get(name):
            breaches.append(
                f"{name}: the change {change['what']!r} at {change['at']} began from another state"
            )
        last[name] = None if change["after"] is None else json.loads(change["after"])
    return breaches + [
        f"{name}: the last change led to another state than the one that stands"
        for name in sorted(last.keys() | now.keys())
        if last.get(name) != now.get(name)
    ]
