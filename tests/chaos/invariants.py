"""Pure checks of the chaos judge beyond those of the sandbox: order, repeats at the destination, history of changes."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sandbox.verdict import PublishedEvent

COMMIT_SECONDS = 3.0
"""Rows accepted this long before a consumer's death may not be committed. It commits every 0.2 s; the rest is load."""
RETURN_SECONDS = 12.0
"""This long after a cut or a freeze, a consumer may be outside of its group and commit nothing."""


@dataclass(frozen=True, slots=True)
class RowArrival:
    """A row at the destination. `at` is seconds since 1970. `unacknowledged`: its sender got no answer."""

    uid: str
    at: float
    unacknowledged: bool


def find_disorder(
    published: Sequence[PublishedEvent], visible_from: Mapping[tuple[str, int], int], skewed: set[str]
) -> list[str]:
    """Return a sentence for each breach of the promised order.

    `published` is in the order of offsets within each organization and topic.

    1. Within a transaction, events are ordered by created, then id. `collected` identifies a transaction: all of its
       events have the same, and no other transaction of the partition has it.
    2. Of two live events in different transactions, the first is the one that is older by created and id and became
       visible no later than the other.
    3. For organizations in `skewed`, whose Jira had a wrong clock, only the first rule is checked.
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
            yield f"{organization}: {after['id']} was collected before {before['id']}, but follows it"
        if before["collected"] == after["collected"] and _order_key(before) > _order_key(after):
            yield f"{organization}: {before['id']} precedes {after['id']} in a transaction, but is younger"


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
                    yield (
                        f"{organization}: {earlier['id']} precedes {event['id']}, which is older and was visible earlier"
                    )
                    break
        youngest = max(youngest, _order_key(event))


def _order_key(event: Mapping[str, Any]) -> tuple[int, int]:
    return event["created"], event["id"]


@dataclass(frozen=True, slots=True)
class Repeats:
    """Counts of repeated rows and of those after a lost answer, and a sentence for each repeat without a reason."""

    rows: int
    unacknowledged: int
    unexplained: list[str]


def find_repeats(arrived: Iterable[RowArrival], disturbances: Iterable[tuple[float, float]]) -> Repeats:
    """Find the repeated rows, and those without a reason.

    Reasons are a lost answer, and a disturbance between Kafka and the destination, after which rows that were
    accepted but not yet committed are sent again. `disturbances` are begin and end in seconds since 1970.
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
                unexplained.append(f"{uid} arrived again after {again.at - first.at:.1f} s")
    return Repeats(count, unacknowledged, unexplained)


def _is_explained(first: float, again: float, disturbances: Iterable[tuple[float, float]]) -> bool:
    return any(
        began - COMMIT_SECONDS <= first <= ended + RETURN_SECONDS and again >= began
        for began, ended in disturbances
    )


def find_broken_history(changes: Iterable[Mapping[str, Any]], now: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each gap in the history of changes, which must lead from state to state, and to `now`.

    `changes` is in the order of offsets; `now` has the present state of each organization.
    """
    last: dict[str, Any] = {}
    breaches = []
    for change in changes:
        name = change["organization"]
        before = _state(change["before"])
        if before != last.get(name):
            breaches.append(
                f"{name}: the change {change['what']!r} at {change['at']} began from another state"
            )
        last[name] = _state(change["after"])
    return breaches + [
        f"{name}: the last change led to another state than the present one"
        for name in sorted(last.keys() | now.keys())
        if last.get(name) != now.get(name)
    ]


def _state(described: str | None) -> dict[str, Any] | None:
    """Return the state before or after a change. A change says that its key is another one, a state does not."""
    if described is None:
        return None
    state: dict[str, Any] = json.loads(described)
    another = ", replaced by another key"
    return {
        name: value.removesuffix(another) if isinstance(value, str) else value
        for name, value in state.items()
    }
