"""The HTTP API: the functions of the command line, as JSON; `API` lists the routes of each subject."""

from collections.abc import Callable, Sequence

from starlette.routing import BaseRoute

from console.api import changes, description, destinations, events, organizations, overview, replays
from console.context import ConsoleContext

API: Sequence[Callable[[ConsoleContext], list[BaseRoute]]] = (
    description.routes,
    overview.routes,
    organizations.routes,
    destinations.routes,
    replays.routes,
    events.routes,
    changes.routes,
)
