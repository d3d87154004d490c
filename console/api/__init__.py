"""The HTTP API: the functions of the command line, as JSON; `API` lists the routes of each subject."""

from collections.abc import Callable, Sequence

from starlette.routing import BaseRoute

from console.api import changes, dead_letters, destinations, organizations, overview, replays
from console.context import ConsoleContext

API: Sequence[Callable[[ConsoleContext], list[BaseRoute]]] = (
    overview.routes,
    organizations.routes,
    destinations.routes,
    replays.routes,
    changes.routes,
    dead_letters.routes,
)
