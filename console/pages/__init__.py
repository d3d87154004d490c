"""The pages: each module has its handlers and returns its routes; `PAGES` lists them all."""

from collections.abc import Callable, Sequence

from starlette.routing import BaseRoute

from console.context import ConsoleContext
from console.pages import (
    changes,
    completeness,
    completeness_repair,
    dead_letter_redrive,
    dead_letters,
    destination_losses,
    destination_moves,
    destinations,
    events,
    login,
    oidc_login,
    organization_activity,
    organization_bulk,
    organization_changes,
    organization_detail,
    organization_table,
    overview,
    producer_redrive,
    replay_start,
    replays,
)
from console.rendering import Pages

PAGES: Sequence[Callable[[ConsoleContext, Pages], list[BaseRoute]]] = (
    login.routes,
    oidc_login.routes,
    overview.routes,
    organization_table.routes,
    organization_detail.routes,
    organization_activity.routes,
    organization_bulk.routes,
    organization_changes.routes,
    destinations.routes,
    destination_moves.routes,
    destination_losses.routes,
    replays.routes,
    replay_start.routes,
    events.routes,
    changes.routes,
    completeness.routes,
    completeness_repair.routes,
    dead_letters.routes,
    dead_letter_redrive.routes,
    producer_redrive.routes,
)
