"""Who may use each route: one table for pages and API, and the check in front of every handler."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import IntEnum

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route


class Role(IntEnum):
    """The rights of a person or of an API token; each role has those of the ones before it."""

    VIEWER = 1
    OPERATOR = 2

    @classmethod
    def of(cls, name: str) -> "Role":
        """Return the role of this name, in small letters. Raises KeyError."""
        return cls[name.upper()]

    def __str__(self) -> str:
        return self.name.lower()


PERMISSIONS: Mapping[str, Role | None] = {
    "GET /login": None,
    "POST /login": None,
    "POST /sign-out": Role.VIEWER,
    "GET /": Role.VIEWER,
    "GET /organizations": Role.VIEWER,
    "GET /organization": Role.VIEWER,
    "GET /organizations/add": Role.OPERATOR,
    "POST /organizations/add": Role.OPERATOR,
    "GET /organization/modify": Role.OPERATOR,
    "POST /organization/modify": Role.OPERATOR,
    "POST /organization/test": Role.OPERATOR,
    "POST /organization/state": Role.OPERATOR,
    "GET /organization/delete": Role.OPERATOR,
    "POST /organization/delete": Role.OPERATOR,
    "GET /destinations": Role.VIEWER,
    "GET /destination": Role.VIEWER,
    "POST /destination/state": Role.OPERATOR,
    "GET /api/v1/openapi.json": Role.VIEWER,
    "GET /api/v1/overview": Role.VIEWER,
    "GET /api/v1/organizations": Role.VIEWER,
    "GET /api/v1/organizations/{name:path}": Role.VIEWER,
    "PUT /api/v1/organizations/{name:path}": Role.OPERATOR,
    "DELETE /api/v1/organizations/{name:path}": Role.OPERATOR,
    "POST /api/v1/organizations/{name:path}/test": Role.OPERATOR,
    "POST /api/v1/organizations/{name:path}/pause": Role.OPERATOR,
    "POST /api/v1/organizations/{name:path}/resume": Role.OPERATOR,
    "GET /api/v1/destinations": Role.VIEWER,
    "GET /api/v1/destinations/{name}": Role.VIEWER,
    "GET /api/v1/destinations/{name}/offsets": Role.VIEWER,
    "POST /api/v1/destinations/{name}/pause": Role.OPERATOR,
    "POST /api/v1/destinations/{name}/resume": Role.OPERATOR,
}
"""The least role for each method and path. None: it needs no session. Reading needs a viewer; what changes something, or
reveals personal data, an operator."""

Endpoint = Callable[[Request], Awaitable[Response]]
Refusal = Callable[[Request, Role], Response]


def route_keys(route: Route) -> list[str]:
    """Return the keys of a route in the table. HEAD needs what GET needs."""
    return [f"{method} {route.path}" for method in sorted(route.methods or ()) if method != "HEAD"]


def with_permissions(routes: Iterable[BaseRoute], refuse: Refusal) -> list[Route]:
    """Return the routes, each behind the check of its role. Raises LookupError for a route that the table does not have."""
    return [_guarded(route, refuse) for route in routes]


def _guarded(route: BaseRoute, refuse: Refusal) -> Route:
    if not isinstance(route, Route):
        raise TypeError(f"{route} is no route with a method and a path, so it can have no role.")
    keys = route_keys(route)
    if missing := [key for key in keys if key not in PERMISSIONS]:
        raise LookupError(f"console/permissions.py has no role for {', '.join(missing)}.")
    needed = max((PERMISSIONS[key] or 0 for key in keys), default=0)
    endpoint: Endpoint = route.endpoint

    async def checked(request: Request) -> Response:
        session = request.scope.get("session")
        if needed and (session is None or session.role < needed):
            return refuse(request, Role(needed))
        return await endpoint(request)

    return Route(route.path, checked, methods=sorted(route.methods or ()))
