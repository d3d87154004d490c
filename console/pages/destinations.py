"""The destinations: state, lag and offsets of each, pause and resume."""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.context import ConsoleContext, refresh_soon
from console.forms import form_route, who
from console.pages.destination_losses import lost_ranges_of
from console.pages.replays import TEXTS
from console.rendering import Pages, redirect
from management.bounded_read import read_bounded
from management.destination_offsets import FlowOffsets, read_offsets
from management.destinations import set_paused
from relay.errors import RelayError


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    async def show_all(request: Request) -> Response:
        return pages.render(request, "destinations.html", views=context.destination_views())

    async def show(request: Request) -> Response:
        name = request.query_params.get("name", "")
        view = next((each for each in context.destination_views() if each.name == name), None)
        if view is None:
            return pages.render(request, "destination_unknown.html", HTTPStatus.NOT_FOUND, name=name)
        # The live part of the page has no offsets: each reading of them asks the groups' coordinators.
        is_live_part = "hx-request" in request.headers
        flows, problem = ([], None) if is_live_part else await _offsets(context, name)
        lost, lost_problem = (
            (None, None) if is_live_part or not view.lost_ranges else await lost_ranges_of(context, name)
        )
        return pages.render(
            request,
            "destination.html",
            view=view,
            flows=flows,
            offsets_problem=problem,
            lost=lost,
            lost_problem=lost_problem,
            replays=[each for each in context.replays() if each.job.destination == name and not each.ended],
            texts=TEXTS,
        )

    async def set_state(request: Request, fields: Mapping[str, str]) -> Response:
        name, paused = fields.get("name", ""), fields.get("state") == "paused"
        try:
            result = await set_paused(
                context.connection,
                context.destinations,
                name,
                who(request),
                context.now_ms(),
                paused=paused,
            )
        except RelayError as error:
            return redirect(context, "/destinations", [str(error)], failed=True)
        await refresh_soon(context)
        sentences = [_done(name, paused=paused, changed=result.changed), *filter(None, [result.failure])]
        return redirect(context, "/destinations", sentences, failed=result.failure is not None)

    return [
        Route("/destinations", show_all, methods=["GET"]),
        Route("/destination", show, methods=["GET"]),
        form_route(context, "/destination/state", set_state),
    ]


async def _offsets(context: ConsoleContext, name: str) -> tuple[list[FlowOffsets], str | None]:
    """Return where the groups of a destination are, and why that is not known."""
    found = await read_bounded(read_offsets(context.connection, name), context.timing.offsets_seconds)
    return ([], f"The offsets cannot be read now: {found}") if isinstance(found, str) else (found, None)


def _done(name: str, *, paused: bool, changed: bool) -> str:
    if not changed:
        return f"{name} is {'paused' if paused else 'running'} already."
    if paused:
        return (
            f"{name} is paused. Its consumers stop within a minute. Events wait in Kafka; those that wait longer than Kafka keeps"
            " them are lost to it."
        )
    return f"{name} is resumed. Its consumers go on within a minute."
