"""What happened at one organization lately: its last events, late arrivals, dead letters and changes."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.context import ConsoleContext
from console.long_reads import TooLongError
from console.pages.events import BUSY_REMEDY
from console.pages.organization_detail import find_view, unknown
from console.pages.organization_rows import OrganizationRow
from console.rendering import Pages
from management.bounded_read import read_bounded
from management.change_history import ChangeEntry, ChangeQuery
from management.dead_letter_list import LetterListing, list_letters
from management.events.query import EventQuery
from management.events.search import SearchResult, search_events
from relay.dead_letters.selection import LetterSelection
from relay.errors import RelayError
from relay.timestamps import DAY_MS

ROWS = 10
_LATE_DAYS = 2

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Activity:
    """Each part, or the reason why it cannot be read now."""

    events: SearchResult | str
    late: SearchResult | str
    letters: LetterListing | str
    changes: Sequence[ChangeEntry] | str


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    async def show(request: Request) -> Response:
        name = request.query_params.get("name", "")
        view = find_view(context, name)
        if view is None:
            return unknown(context, pages, request, name)
        row = OrganizationRow(view)
        return pages.render(
            request,
            "organization_activity.html",
            row=row,
            organization=view.organization,
            activity=await _bounded_activity(context, name),
        )

    return [Route("/organization/activity", show, methods=["GET"])]


async def _bounded_activity(context: ConsoleContext, name: str) -> Activity:
    """Return the activity, as one of the few long reads at a time; where no place gets free, the reason for each part."""
    try:
        return await context.long_reads.run(lambda: _activity(context, name), BUSY_REMEDY)
    except TooLongError as error:
        return Activity(*[str(error)] * 4)


async def _activity(context: ConsoleContext, name: str) -> Activity:
    timing = context.timing

    def found(query: EventQuery) -> Coroutine[Any, Any, SearchResult]:
        search = timing.activity_search
        return search_events(context.connection, context.registry, query, limit=ROWS, timing=search)

    async def bounded(work: Coroutine[Any, Any, T]) -> T | str:
        return await read_bounded(work, timing.activity_seconds)

    late_from = context.now_ms() - _LATE_DAYS * DAY_MS
    letters = LetterSelection(organizations=frozenset({name}))
    return Activity(
        *await asyncio.gather(
            bounded(found(EventQuery(name))),
            bounded(found(EventQuery(name, mode="late", from_ms=late_from))),
            bounded(list_letters(context.connection, letters, ROWS)),
            bounded(_changes(context, name)),
        )
    )


async def _changes(context: ConsoleContext, name: str) -> list[ChangeEntry]:
    state = await context.changes.refresh()
    if state.failure is not None:
        raise RelayError(state.failure)
    return list(islice(context.changes.select(ChangeQuery("organization", name)), ROWS))
