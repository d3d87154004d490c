"""The history of changes: who did what to which object, and when, with filters."""

from collections.abc import Mapping
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.context import ConsoleContext
from console.rendering import Pages
from management.change_history import ChangeEntry, ChangeQuery
from management.organizations.validation import InputError
from management.times import parse_time
from relay.timestamps import DAY_MS

PAGE_ROWS = 100
FILTERS = ("q", "subject", "name", "who", "what", "from", "to")


def read_query(parameters: Mapping[str, str]) -> ChangeQuery:
    """Return the conditions of a request. A day as `to` is meant to its end. Raises InputError for what is no time."""
    given = {name: parameters.get(name, "").strip()[:300] for name in FILTERS}
    until = parse_time(given["to"]) if given["to"] else None
    if until is not None and len(given["to"]) == len("2026-11-25"):
        until += DAY_MS
    return ChangeQuery(
        given["subject"],
        given["name"],
        given["who"],
        given["what"],
        given["q"],
        parse_time(given["from"]) if given["from"] else None,
        until,
    )


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    async def show(request: Request) -> Response:
        history = context.changes
        state = await history.refresh()
        fields = {name: request.query_params.get(name, "").strip() for name in FILTERS}
        found: list[ChangeEntry] = []
        problem = None
        try:
            found = list(history.select(read_query(request.query_params)))
        except InputError as error:
            problem = str(error)
        page = page_number(request.query_params, len(found))
        return pages.render(
            request,
            "changes.html",
            history=history,
            read=state,
            read_at=state.as_of,
            fields=fields,
            problem=problem,
            found=len(found),
            rows=found[(page - 1) * PAGE_ROWS : page * PAGE_ROWS],
            page=page,
            pages=max(1, -(-len(found) // PAGE_ROWS)),
            link=lambda **changes: link_of(fields, **changes),
        )

    return [Route("/changes", show, methods=["GET"])]


def page_number(parameters: Mapping[str, str], found: int) -> int:
    """Return the number of the page that a request names, from 1 to the last."""
    text = parameters.get("page", "1")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 1
    return min(max(1, number), max(1, -(-found // PAGE_ROWS)))


def link_of(fields: Mapping[str, str], **changes: object) -> str:
    """Return the address of the history with these filters, and others for `changes`."""
    kept = {name: value for name, value in {**fields, **changes}.items() if value and value != 1}
    return f"/changes?{urlencode(kept)}" if kept else "/changes"
