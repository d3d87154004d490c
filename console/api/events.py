"""Events, as JSON. Values that may be personal are hidden, unless a call asks for them: that is recorded."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.api.answers import PREFIX, answering, document
from console.context import ConsoleContext
from console.forms import who
from console.pages.events import deliveries_of, fields_of
from console.pages.events import search as search_bounded
from management.events.query import read_query
from management.events.search import SearchResult
from management.events.stored_event import EventAddress, StoredEvent, read_event
from management.formatting import iso_milliseconds
from management.personal_data import record_view

_ROOT = f"{PREFIX}/events"
_ONE = f"{_ROOT}/{{topic}}/{{partition}}/{{offset}}"


def routes(context: ConsoleContext) -> list[BaseRoute]:
    async def search(request: Request) -> Response:
        query = read_query(fields_of(request.query_params))
        place = request.query_params.get("place", "")
        return document(_result(await search_bounded(context, query, place)))

    async def read(request: Request) -> StoredEvent:
        address = "/".join(request.path_params[name] for name in ("topic", "partition", "offset"))
        return await read_event(context.connection, context.registry, EventAddress.parse(address))

    async def answer(found: StoredEvent, *, personal: bool) -> Response:
        deliveries = [each.document() for each in await deliveries_of(context, found)]
        return document(found.document(personal=personal) | {"destinations": deliveries})

    async def show(request: Request) -> Response:
        return await answer(await read(request), personal=False)

    async def reveal(request: Request) -> Response:
        found = await read(request)
        await record_view(context.connection, found.organization, found.uid, who(request), context.now_ms())
        return await answer(found, personal=True)

    return [
        Route(_ROOT, answering(search), methods=["GET"]),
        Route(f"{_ONE}/reveal", answering(reveal), methods=["POST"]),
        Route(_ONE, answering(show), methods=["GET"]),
    ]


def _result(result: SearchResult) -> dict[str, Any]:
    return {
        "events": [each.document() for each in result.events],
        "records_read": result.records,
        "finished": result.finished,
        "read_from": iso_milliseconds(result.read_from),
        "place": result.place or None,
        "undecodable": result.undecodable,
        "problems": list(result.problems),
    }
