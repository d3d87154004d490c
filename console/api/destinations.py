"""Destinations by HTTP."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.api.answers import PREFIX, answering, document, require_known
from console.context import ConsoleContext, refresh_soon
from console.forms import who
from management.destination_offsets import FlowOffsets, read_offsets
from management.destinations import require_known as require_destination
from management.destinations import set_paused

_ROOT = f"{PREFIX}/destinations"


def routes(context: ConsoleContext) -> list[BaseRoute]:
    async def list_all(_request: Request) -> Response:
        require_known(context.view.snapshot)
        return document([view.document() for view in context.destination_views()])

    async def show(request: Request) -> Response:
        require_known(context.view.snapshot)
        name = request.path_params["name"]
        views = {view.name: view for view in context.destination_views()}
        if name not in views:
            require_destination(context.destinations, name)
        return document(views[name].full_document())

    async def offsets(request: Request) -> Response:
        name = request.path_params["name"]
        require_destination(context.destinations, name)
        return document([_flow(each) for each in await read_offsets(context.connection, name)])

    async def set_state(request: Request, *, paused: bool) -> Response:
        name = request.path_params["name"]
        result = await set_paused(
            context.connection, context.destinations, name, who(request), context.now_ms(), paused=paused
        )
        await refresh_soon(context)
        return document(
            {
                "destination": name,
                "state": "paused" if paused else "running",
                "changed": result.changed,
                "failure": result.failure,
            }
        )

    async def pause(request: Request) -> Response:
        return await set_state(request, paused=True)

    async def resume(request: Request) -> Response:
        return await set_state(request, paused=False)

    return [
        Route(_ROOT, answering(list_all), methods=["GET"]),
        Route(f"{_ROOT}/{{name}}", answering(show), methods=["GET"]),
        Route(f"{_ROOT}/{{name}}/offsets", answering(offsets), methods=["GET"]),
        Route(f"{_ROOT}/{{name}}/pause", answering(pause), methods=["POST"]),
        Route(f"{_ROOT}/{{name}}/resume", answering(resume), methods=["POST"]),
    ]


def _flow(flow: FlowOffsets) -> dict[str, Any]:
    return {
        "flow": flow.flow,
        "group": flow.group,
        "topic": flow.topic,
        "members": flow.members,
        "partitions": [
            {
                "partition": each.partition,
                "committed": None if each.progress is None else each.progress.offset,
                "log_start": each.log_start,
                "log_end": each.log_end,
                "lag": each.lag,
            }
            for each in flow.partitions
        ],
    }
