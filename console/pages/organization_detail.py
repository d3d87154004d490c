"""The page of one organization."""

from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.context import ConsoleContext
from console.pages.organization_rows import OrganizationRow
from console.rendering import Pages
from management.bounded_read import read_bounded
from management.organizations.backfill import BackfillProgress, backfill_progress, read_checkpoint
from management.organizations.view import OrganizationView
from management.organizations.windows import describe_windows


def find_view(context: ConsoleContext, name: str) -> OrganizationView | None:
    """Return the organization of this name, as the last snapshot has it."""
    return next((view for view in context.organizations() if view.organization.name == name), None)


def unknown(context: ConsoleContext, pages: Pages, request: Request, name: str) -> Response:
    """Return the page for a name that no readable organization has.

    500: it exists, but its record cannot be read. 503: the topics were never read, so nothing is known.
    """
    snapshot = context.view.snapshot
    problem = dict(snapshot.organizations.problems).get(name)
    status = HTTPStatus.NOT_FOUND if problem is None else HTTPStatus.INTERNAL_SERVER_ERROR
    return pages.render(
        request,
        "organization_unknown.html",
        HTTPStatus.SERVICE_UNAVAILABLE if snapshot.as_of is None else status,
        name=name,
        problem=problem,
    )


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    async def show(request: Request) -> Response:
        name = request.query_params.get("name", "")
        view = find_view(context, name)
        if view is None:
            return unknown(context, pages, request, name)
        # The part of the page that is live is asked for every few seconds, and has no need of the checkpoint.
        is_live_part = "hx-request" in request.headers
        return pages.render(
            request,
            "organization.html",
            row=OrganizationRow(view),
            view=view,
            organization=view.organization,
            pace=context.pace.pace(view),
            **({"backfill": "", "windows": ()} if is_live_part else await _progress(context, view)),
        )

    return [Route("/organization", show, methods=["GET"])]


async def _progress(context: ConsoleContext, view: OrganizationView) -> dict[str, Any]:
    """Return how far the backfill has come, in words, and what has been read."""
    wanted_from, name = view.organization.backfill_from, view.organization.name
    checkpoint = await read_bounded(
        read_checkpoint(context.connection, name), context.timing.backfill_seconds
    )
    if isinstance(checkpoint, str):
        return {"backfill": f"not known now: {checkpoint}", "windows": None}
    progress = BackfillProgress("not requested")
    if wanted_from is not None:
        progress = backfill_progress(wanted_from, checkpoint)
    return {"backfill": progress.describe(), "windows": describe_windows(checkpoint)}
