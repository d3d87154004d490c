"""Who may use each route: one table for pages and API, and the check in front of every handler."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import IntEnum

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from relay.aio import cancellation_requested


class AccessRole(IntEnum):
    """The rights of a person or of an API token; each role has those of the ones before it."""

    VIEWER = 1
    OPERATOR = 2

    @classmethod
    def of(cls, name: str) -> "AccessRole":
        """Return the role of this name, in small letters. Raises KeyError."""
        return cls[name.upper()]

    def __str__(self) -> str:
        return self.name.lower()


PERMISSIONS: Mapping[str, AccessRole | None] = {
    "GET /login": None,
    "POST /login": None,
    "GET /login/provider": None,
    "GET /login/callback": None,
    "POST /sign-out": AccessRole.VIEWER,
    "GET /": AccessRole.VIEWER,
    "GET /organizations": AccessRole.VIEWER,
    "GET /organizations/bulk": AccessRole.OPERATOR,
    "POST /organizations/bulk": AccessRole.OPERATOR,
    "POST /organizations/bulk/confirm": AccessRole.OPERATOR,
    "GET /organization": AccessRole.VIEWER,
    "GET /organization/activity": AccessRole.VIEWER,
    "GET /organizations/add": AccessRole.OPERATOR,
    "POST /organizations/add": AccessRole.OPERATOR,
    "GET /organization/modify": AccessRole.OPERATOR,
    "POST /organization/modify": AccessRole.OPERATOR,
    "POST /organization/test": AccessRole.OPERATOR,
    "POST /organization/state": AccessRole.OPERATOR,
    "GET /organization/delete": AccessRole.OPERATOR,
    "POST /organization/delete": AccessRole.OPERATOR,
    "GET /events": AccessRole.VIEWER,
    "POST /events/search": AccessRole.OPERATOR,
    "GET /events/live": AccessRole.VIEWER,
    "GET /event": AccessRole.VIEWER,
    "POST /event/reveal": AccessRole.OPERATOR,
    "GET /changes": AccessRole.VIEWER,
    "GET /completeness": AccessRole.VIEWER,
    "GET /completeness/organization": AccessRole.VIEWER,
    "GET /completeness/day": AccessRole.VIEWER,
    "POST /completeness/repair/plan": AccessRole.OPERATOR,
    "POST /completeness/repair": AccessRole.OPERATOR,
    "GET /destinations": AccessRole.VIEWER,
    "GET /destination": AccessRole.VIEWER,
    "POST /destination/state": AccessRole.OPERATOR,
    "GET /destination/move": AccessRole.OPERATOR,
    "POST /destination/move/plan": AccessRole.OPERATOR,
    "POST /destination/move": AccessRole.OPERATOR,
    "POST /destination/lost/dismiss": AccessRole.OPERATOR,
    "POST /api/v1/destinations/{name}/rewind": AccessRole.OPERATOR,
    "POST /api/v1/destinations/{name}/skip": AccessRole.OPERATOR,
    "GET /api/v1/destinations/{name}/lost": AccessRole.VIEWER,
    "POST /api/v1/destinations/{name}/lost/dismiss": AccessRole.OPERATOR,
    "GET /replays": AccessRole.VIEWER,
    "GET /replay": AccessRole.VIEWER,
    "GET /replays/start": AccessRole.OPERATOR,
    "POST /replays/plan": AccessRole.OPERATOR,
    "POST /replays/start": AccessRole.OPERATOR,
    "POST /replay/wish": AccessRole.OPERATOR,
    "GET /dead-letters": AccessRole.VIEWER,
    "GET /dead-letter": AccessRole.VIEWER,
    "POST /dead-letter/reveal": AccessRole.OPERATOR,
    "GET /dead-letters/redrive": AccessRole.OPERATOR,
    "POST /dead-letters/redrive/plan": AccessRole.OPERATOR,
    "POST /dead-letters/redrive": AccessRole.OPERATOR,
    "GET /dead-letters/producers": AccessRole.OPERATOR,
    "POST /dead-letters/producers/plan": AccessRole.OPERATOR,
    "POST /dead-letters/producers": AccessRole.OPERATOR,
    "GET /api/v1/dead-letters": AccessRole.VIEWER,
    "POST /api/v1/dead-letters/redrive": AccessRole.OPERATOR,
    "GET /api/v1/replays": AccessRole.VIEWER,
    "POST /api/v1/replays": AccessRole.OPERATOR,
    "GET /api/v1/replays/{id}": AccessRole.VIEWER,
    "POST /api/v1/replays/{id}/pause": AccessRole.OPERATOR,
    "POST /api/v1/replays/{id}/resume": AccessRole.OPERATOR,
    "POST /api/v1/replays/{id}/cancel": AccessRole.OPERATOR,
    "GET /api/v1/openapi.json": AccessRole.VIEWER,
    "GET /api/v1/overview": AccessRole.VIEWER,
    "GET /api/v1/organizations": AccessRole.VIEWER,
    "GET /api/v1/organizations/{name}": AccessRole.VIEWER,
    "PUT /api/v1/organizations/{name}": AccessRole.OPERATOR,
    "DELETE /api/v1/organizations/{name}": AccessRole.OPERATOR,
    "POST /api/v1/organizations/{name}/test": AccessRole.OPERATOR,
    "POST /api/v1/organizations/{name}/pause": AccessRole.OPERATOR,
    "POST /api/v1/organizations/{name}/resume": AccessRole.OPERATOR,
    "GET /api/v1/events": AccessRole.VIEWER,
    "GET /api/v1/events/{topic}/{partition}/{offset}": AccessRole.VIEWER,
    "POST /api/v1/events/{topic}/{partition}/{offset}/reveal": AccessRole.OPERATOR,
    "GET /api/v1/changes": AccessRole.VIEWER,
    "GET /api/v1/completeness": AccessRole.VIEWER,
    "GET /api/v1/completeness/{name}": AccessRole.VIEWER,
    "GET /api/v1/completeness/{name}/{day}": AccessRole.VIEWER,
    "POST /api/v1/completeness/{name}/{day}/repair": AccessRole.OPERATOR,
    "GET /api/v1/destinations": AccessRole.VIEWER,
    "GET /api/v1/destinations/{name}": AccessRole.VIEWER,
    "GET /api/v1/destinations/{name}/offsets": AccessRole.VIEWER,
    "POST /api/v1/destinations/{name}/pause": AccessRole.OPERATOR,
    "POST /api/v1/destinations/{name}/resume": AccessRole.OPERATOR,
}
"""The least role for each method and path. None: it needs no session. Reading needs a viewer; what changes something, or
reveals personal data, an operator."""

RouteHandler = Callable[[Request], Awaitable[Response]]
RoleRefusal = Callable[[Request, AccessRole], Response]


class KafkaClientEndedError(Exception):
    """aiokafka cancelled what a handler waited for, though nobody asked. No other error of Kafka is a CancelledError."""


def route_keys(route: Route) -> list[str]:
    """Return the keys of a route in the table. HEAD needs what GET needs."""
    return [f"{method} {route.path}" for method in sorted(route.methods or ()) if method != "HEAD"]


def with_permissions(routes: Iterable[BaseRoute], refuse: RoleRefusal) -> list[Route]:
    """Return one route for each path, behind the check of the role of each method. Raises LookupError for a method and path
    that the table does not have.

    Routes of one path are joined, so that a refusal of another method names all that there are.
    """
    by_path: dict[str, list[Route]] = {}
    for route in routes:
        if not isinstance(route, Route):
            raise TypeError(f"{route} is no route with a method and a path, so it can have no role.")
        by_path.setdefault(route.path, []).append(route)
    return [_guarded(path, found, refuse) for path, found in by_path.items()]


def _guarded(path: str, routes: Iterable[Route], refuse: RoleRefusal) -> Route:
    handlers: dict[str, tuple[AccessRole | None, RouteHandler]] = {}
    for route in routes:
        if missing := [key for key in route_keys(route) if key not in PERMISSIONS]:
            raise LookupError(f"console/permissions.py has no role for {', '.join(missing)}.")
        for method in route.methods or ():
            key = f"{'GET' if method == 'HEAD' else method} {path}"
            handlers[method] = PERMISSIONS[key], route.endpoint

    async def checked(request: Request) -> Response:
        needed, handler = handlers[request.method]
        session = request.scope.get("session")
        if needed is not None and (session is None or session.role < needed):
            return refuse(request, needed)
        try:
            return await handler(request)
        except asyncio.CancelledError as error:
            if cancellation_requested():
                raise
            raise KafkaClientEndedError from error

    return Route(path, checked, methods=sorted(handlers))
