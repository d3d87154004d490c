"""Moves of offsets and lost ranges by HTTP."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.api.answers import PREFIX, answering, document, read_fields
from console.context import ConsoleContext, refresh_soon
from console.forms import who
from management.destination_move import move
from management.destinations import require_known
from management.fields import flag_of, require_fields, text_of
from management.lost_ranges import dismiss, lost_range_document, read_lost_ranges
from management.move_request import plan_request, read_move
from management.offset_texts import move_document

_ONE = f"{PREFIX}/destinations/{{name}}"
_REMEDY = "Choose a later time, or use `jira-relay destinations`, whose counts have no such end."


def routes(context: ConsoleContext) -> list[BaseRoute]:
    async def move_offsets(request: Request, direction: str) -> Response:
        """Move the offsets; with `dry_run`, count the events alone."""
        name, fields = request.path_params["name"], dict(await read_fields(request))
        require_known(context.destinations, name)
        is_dry_run = flag_of(fields, "dry_run")
        fields.pop("dry_run", None)
        require_fields(fields, ("flow", "to"))
        asked = read_move(name, fields | {"direction": direction})
        planned = await context.long_reads.run(lambda: plan_request(context.connection, asked), _REMEDY)
        failure, moved = None, bool(planned.moves) and not is_dry_run
        if moved:
            failure = await move(context.connection, planned, who(request), context.now_ms())
            await refresh_soon(context)
        return document(move_document(planned, moved=moved) | {"failure": failure})

    async def rewind(request: Request) -> Response:
        return await move_offsets(request, "rewind")

    async def skip(request: Request) -> Response:
        return await move_offsets(request, "skip")

    async def lost(request: Request) -> Response:
        name = request.path_params["name"]
        found = await read_lost_ranges(context.connection, context.destinations, name, context.now_ms())
        documents = map(lost_range_document, found.ranges, found.remedies)
        return document({"ranges": list(documents), "problems": list(found.unreadable)})

    async def dismiss_lost(request: Request) -> Response:
        name, fields = request.path_params["name"], await read_fields(request)
        require_fields(fields, ("entry",))
        found, failure = await dismiss(
            context.connection,
            context.destinations,
            name,
            text_of(fields, "entry") or "",
            who(request),
            context.now_ms(),
        )
        await refresh_soon(context)
        return document({"destination": name, "dismissed": found.name, "failure": failure})

    return [
        Route(f"{_ONE}/rewind", answering(rewind), methods=["POST"]),
        Route(f"{_ONE}/skip", answering(skip), methods=["POST"]),
        Route(f"{_ONE}/lost", answering(lost), methods=["GET"]),
        Route(f"{_ONE}/lost/dismiss", answering(dismiss_lost), methods=["POST"]),
    ]
