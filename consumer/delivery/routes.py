"""Routes: the part of a target that the events of an organization go to, such as an index of their own.

`by_organization` of a destination sets them. The pump makes bodies of one route each, and a body names its route.
"""

from collections.abc import Iterator, Mapping, Sequence

from consumer.delivery.batch import Rows
from relay.kafka import Record


def by_route(rows: Rows, routes: Mapping[str, str]) -> Iterator[tuple[str | None, Rows]]:
    """Divide into the rows of each route, in order. `routes`: by organization; None: the organization has no route."""
    if not routes:
        yield None, rows
        return
    places: dict[str | None, list[int]] = {}
    for index, record in enumerate(rows.tracked.records):
        places.setdefault(route_of_record(record, routes), []).append(index)
    for route, indices in places.items():
        yield route, rows.select(indices)


def route_of(rows: Rows, routes: Mapping[str, str]) -> str | None:
    """Return the route of rows that have one route, as `by_route` divides them."""
    return route_of_record(rows.tracked.records[0], routes) if routes and len(rows) else None


def route_of_record(record: Record, routes: Mapping[str, str]) -> str | None:
    """Return the route of an event, whose organization is the key of its record: the decoder has compared both."""
    return routes.get((record.key or b"").decode("utf-8", "replace"))


def organizations_of(route: str | None, routes: Mapping[str, str]) -> str:
    """Return the organizations of a route, for messages: the route itself may be a URL that holds a secret."""
    if route is None:
        return "organizations without a route of their own"
    return named_first(sorted(name for name, each in routes.items() if each == route))


def named_first(names: Sequence[str], most: int = 3) -> str:
    """Return the first names, and how many more there are."""
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return " and ".join(filter(None, (", ".join(names[:most]), *more)))
