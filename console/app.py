"""The application: every route in one list, behind the guard."""

from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from console.api import API
from console.api.answers import problem
from console.context import ConsoleContext
from console.pages import PAGES
from console.rendering import Pages
from console.security import API_PREFIX, BodyTooLargeError, Guard


def create_app(context: ConsoleContext) -> ASGIApp:
    """Return the ASGI application of a console."""
    pages = Pages(context)

    async def on_http_error(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
        if request.url.path.startswith(API_PREFIX):
            return problem(
                HTTPStatus(status), f"The API has no such call: {request.method} {request.url.path[:300]}."
            )
        if status == HTTPStatus.NOT_FOUND and "session" in request.scope:
            return pages.render(request, "not_found.html", HTTPStatus.NOT_FOUND)
        return PlainTextResponse(f"{HTTPStatus(status).phrase}.\n", status)

    async def on_large_body(_request: Request, _error: Exception) -> Response:
        return PlainTextResponse("The request is too large.\n", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    routes: list[BaseRoute] = [
        Mount("/static", StaticFiles(packages=[("console", "static")])),
        *(route for page in PAGES for route in page(context, pages)),
        *(route for subject in API for route in subject(context)),
    ]
    application = Starlette(
        routes=routes,
        exception_handlers={HTTPException: on_http_error, BodyTooLargeError: on_large_body},
    )
    return Guard(application, context)
