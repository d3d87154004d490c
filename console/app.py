"""The application: every route in one list, behind the guard."""

from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from console import problems
from console.api import API
from console.context import ConsoleContext
from console.pages import PAGES
from console.permissions import AccessRole, with_permissions
from console.problems import ProblemKind, problem
from console.rendering import Pages
from console.security import BodyTooLargeError, BodyTooSlowError, Guard, is_api, refusal


def create_app(context: ConsoleContext) -> ASGIApp:
    """Return the ASGI application of a console."""
    pages = Pages(context)

    async def on_http_error(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
        headers = error.headers if isinstance(error, HTTPException) else None
        if is_api(request):
            return problem(
                _kind(status),
                f"The API has no such call: {request.method} {request.url.path[:300]}.",
                headers,
            )
        if status == HTTPStatus.NOT_FOUND and "session" in request.scope:
            return pages.render(request, "not_found.html", HTTPStatus.NOT_FOUND)
        return PlainTextResponse(f"{HTTPStatus(status).phrase}.\n", status, headers)

    def refuse(request: Request, needed: AccessRole) -> Response:
        if is_api(request):
            return problem(problems.ROLE_MISSING, f"This call needs the role {needed}.")
        return pages.render(request, "role_missing.html", HTTPStatus.FORBIDDEN, needed=str(needed))

    routes: list[BaseRoute] = [
        Mount("/static", StaticFiles(packages=[("console", "static")])),
        *with_permissions(
            [
                *(route for page in PAGES for route in page(context, pages)),
                *(route for subject in API for route in subject(context)),
            ],
            refuse,
        ),
    ]
    application = Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: on_http_error,
            BodyTooLargeError: _on_large_body,
            BodyTooSlowError: _on_slow_body,
            ClientDisconnect: _on_disconnect,
            Exception: _on_defect,
        },
    )
    return Guard(application, context)


def _kind(status: int) -> ProblemKind:
    return problems.METHOD_NOT_ALLOWED if status == HTTPStatus.METHOD_NOT_ALLOWED else problems.NO_SUCH_CALL


async def _on_large_body(request: Request, _error: Exception) -> Response:
    return refusal(request, problems.BODY_TOO_LARGE, "The request is too large.")


async def _on_slow_body(request: Request, _error: Exception) -> Response:
    return refusal(request, problems.BODY_TOO_SLOW, "The request did not arrive in time. Send it again.")


async def _on_disconnect(_request: Request, _error: Exception) -> Response:
    return Response(status_code=HTTPStatus.REQUEST_TIMEOUT)  # nobody reads it: the client is gone


async def _on_defect(request: Request, _error: Exception) -> Response:
    """Answer what a defect leaves unanswered; Starlette raises it again, so that the log has it."""
    return refusal(request, problems.INTERNAL, "The console has a defect; its log has the details.")
