"""The HTTP API: the functions of the command line, as JSON; `API` lists the routes of each subject."""

from collections.abc import Callable, Sequence

from starlette.routing import BaseRoute

from console.api import (
    changes,
    completeness,
    dead_letters,
    description,
    destination_moves,
    destinations,
    events,
    organizations,
    overview,
    replays,
)
from console.context import ConsoleContext

API: Sequence[Callable[[ConsoleContext], list[BaseRoute]]] = (
    description.routes,
    overview.routes,
    organizations.routes,
    destinations.routes,
    destination_moves.routes,
    replays.routes,
    events.routes,
    changes.routes,
    completeness.routes,
    dead_letters.routes,
)
