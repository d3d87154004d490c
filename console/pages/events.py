"""Events: search, one event with its delivery to each destination, personal data behind a recorded click, a live tail."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.context import ConsoleContext
from console.errors import status_of
from console.forms import form_route, who
from console.rendering import Pages
from management.change_history import ALL_ORGANIZATIONS
from management.events.delivery import read_deliveries, read_moves
from management.events.delivery_words import DeliveryFinding
from management.events.query import EventQuery, read_query
from management.events.search import SearchResult, search_events
from management.events.stored_event import EventAddress, StoredEvent, read_event
from management.organizations.names import unknown_name_text
from management.personal_data import SEARCHED, record_view
from relay.errors import RelayError

FIELDS = ("organization", "id", "text", "from", "to")
PAGE_EVENTS = 50
BUSY_REMEDY = "Too many people read from Kafka at once, or Kafka is slow: try again in a minute."


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    events = _Events(context, pages)
    return [
        Route("/events", events.search, methods=["GET"]),
        form_route(context, "/events/search", events.search_personal),
        Route("/events/live", events.live, methods=["GET"]),
        Route("/event", events.show, methods=["GET"]),
        form_route(context, "/event/reveal", events.reveal),
    ]


class _Events:
    def __init__(self, context: ConsoleContext, pages: Pages) -> None:
        self._context = context
        self._pages = pages

    async def search(self, request: Request) -> Response:
        fields = fields_of(request.query_params)
        if not any(fields.values()) and "newest" not in request.query_params:
            return self._render_search(request, fields)
        try:
            query = read_query(fields)
            result = await search(self._context, query, request.query_params.get("place", ""))
        except RelayError as error:
            return self._render_search(request, fields, error=error)
        return self._render_search(request, fields, result=result)

    async def search_personal(self, request: Request, given: Mapping[str, str]) -> Response:
        """Search in values that may be personal. That is recorded first; the list shows none of them."""
        context, fields = self._context, fields_of(given)
        try:
            query = read_query(fields, personal=True)
            await record_personal_search(context, query, who(request))
            result = await search(context, query, given.get("place", ""))
        except RelayError as error:
            return self._render_search(request, fields, error=error)
        return self._render_search(request, fields, result=result, personal=True)

    def _render_search(
        self,
        request: Request,
        fields: Mapping[str, str],
        *,
        result: SearchResult | None = None,
        error: RelayError | None = None,
        personal: bool = False,
    ) -> Response:
        further = {"newest": "1", **{name: value for name, value in fields.items() if value}}
        return self._pages.render(
            request,
            "events.html",
            HTTPStatus.OK if error is None else status_of(error),
            fields=fields,
            result=result,
            problem=None if error is None else str(error),
            personal=personal,
            further=urlencode(further | {"place": result.place}) if result is not None else "",
        )

    async def live(self, request: Request) -> Response:
        fields = fields_of(request.query_params)
        query = EventQuery(organization=fields["organization"], text=fields["text"])
        context = self._context
        view = await context.tail.view(query, PAGE_EVENTS)
        own = urlencode({name: fields[name] for name in ("organization", "text") if fields[name]})
        return self._pages.render(
            request,
            "events_live.html",
            fields=fields,
            view=view,
            unknown=unknown_organization(context, query.organization, part=True),
            read_at=view.state.as_of,
            own=own,
        )

    async def show(self, request: Request) -> Response:
        return await self._event(request, request.query_params.get("at", ""))

    async def reveal(self, request: Request, fields: Mapping[str, str]) -> Response:
        return await self._event(request, fields.get("at", ""), personal=True)

    async def _event(self, request: Request, at: str, *, personal: bool = False) -> Response:
        context = self._context
        try:
            async with asyncio.timeout(context.timing.event_seconds):
                found = await read_event(context.connection, context.registry, EventAddress.parse(at))
            if personal:
                await record_view(
                    context.connection, found.organization, found.uid, who(request), context.now_ms()
                )
        except TimeoutError:
            problem = f"Kafka did not answer within {context.timing.event_seconds:g} s. Load the page again."
            return self._pages.render(
                request, "event_unknown.html", HTTPStatus.SERVICE_UNAVAILABLE, problem=problem
            )
        except RelayError as error:
            return self._pages.render(request, "event_unknown.html", status_of(error), problem=str(error))
        return self._pages.render(
            request,
            "event.html",
            found=found,
            record=found.shown(personal=personal),
            personal=personal,
            deliveries=await deliveries_of(context, found),
        )


async def search(context: ConsoleContext, query: EventQuery, place: str) -> SearchResult:
    """Search events, as one of the few long reads at a time. Raises RelayError.

    Where nothing was found, its problems say that there is no such organization.
    """
    found = await context.long_reads.run(
        lambda: search_events(
            context.connection, context.registry, query, place, PAGE_EVENTS, context.timing.search
        ),
        BUSY_REMEDY,
    )
    unknown = () if found.events else unknown_organization(context, query.organization)
    return replace(found, problems=(*unknown, *found.problems))


def unknown_organization(context: ConsoleContext, name: str, *, part: bool = False) -> tuple[str, ...]:
    """Return a text if there is no organization of this name, or with this part in its name; none where that is not known."""
    snapshot = context.view.snapshot
    stored = snapshot.organizations
    names = {*stored.organizations, *stored.unreadable}
    if not name or snapshot.as_of is None or snapshot.failure is not None:
        return ()
    is_known = any(name.casefold() in each.casefold() for each in names) if part else name in names
    return () if is_known else (unknown_name_text(name, names),)


def fields_of(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of a search; one that is missing is empty."""
    return {name: parameters.get(name, "").strip()[:300] for name in FIELDS}


async def deliveries_of(context: ConsoleContext, found: StoredEvent) -> list[DeliveryFinding]:
    """Return what became of an event at each destination that the settings or a running consumer know."""
    changes = await read_moves(context.changes)
    others = {view.name for view in context.destination_views()} - context.destinations.keys()
    return await read_deliveries(
        context.connection, context.destinations, others, found, changes, context.timing.delivery
    )


async def record_personal_search(context: ConsoleContext, query: EventQuery, person: str) -> None:
    """Record a search in personal data, without its text, which is personal itself. Raises RelayError."""
    of = f"events of {query.organization or ALL_ORGANIZATIONS}"
    key = query.organization or ALL_ORGANIZATIONS
    await record_view(context.connection, key, of, person, context.now_ms(), deed=SEARCHED)
