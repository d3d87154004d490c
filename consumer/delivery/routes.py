"""Routes: the part of a target that the events of an organization go to, such as an index of their own.

`by_organization` of a destination sets them. The pump makes bodies of one route each, and a body names its route.
"""

from collections.abc import Iterator, Mapping

from consumer.delivery.batch import Rows
from relay.kafka import Record


def by_route(rows: Rows, routes: Mapping[str, str]) -> Iterator[tuple[str | None, Rows]]:
    """Divide into the rows of each route, in order. `routes`: by organization; None: the organization has no route."""
    if not routes:
        yield None, rows
        return
    places: dict[str | None, list[int]] = {}
    for index, record in enumerate(rows.tracked.records):
        places.setdefault(_route(record, routes), []).append(index)
    for route, indices in places.items():
        yield route, rows.select(indices)


def route_of(rows: Rows, routes: Mapping[str, str]) -> str | None:
    """Return the route of rows that have one route, as `by_route` divides them."""
    return _route(rows.tracked.records[0], routes) if routes and len(rows) else None


def _route(record: Record, routes: Mapping[str, str]) -> str | None:
    """Return the route of an event, whose organization is the key of its record: the decoder has compared both."""
    return routes.get((record.key or b"").decode("utf-8", "replace"))
