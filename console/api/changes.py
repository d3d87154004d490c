"""The history of changes, as JSON."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.api.answers import PREFIX, answering, document
from console.context import ConsoleContext
from console.pages.changes import PAGE_ROWS, page_number, read_query
from management.formatting import iso_milliseconds
from relay.errors import RelayError


def routes(context: ConsoleContext) -> list[BaseRoute]:
    async def show(request: Request) -> Response:
        query = read_query(request.query_params)
        state = await context.changes.refresh()
        if state.failure is not None:
            raise RelayError(state.failure)
        found = list(context.changes.select(query))
        page = page_number(request.query_params, len(found))
        return document(
            {
                "as_of": iso_milliseconds(state.as_of),
                "count": len(found),
                "page": page,
                "pages": max(1, -(-len(found) // PAGE_ROWS)),
                "older_than": iso_milliseconds(context.changes.oldest) if context.changes.is_cut else None,
                "problems": context.changes.problems,
                "changes": [each.document() for each in found[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]],
            }
        )

    return [Route(f"{PREFIX}/changes", answering(show), methods=["GET"])]
