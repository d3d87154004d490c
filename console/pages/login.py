"""Signing in and out."""

from http import HTTPStatus

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from console.auth import SESSION_MS, clean_name
from console.context import ConsoleContext
from console.forms import form_route, read_form
from console.rendering import Pages
from console.security import client_address, session_cookie

log = structlog.get_logger(__name__)


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    async def show(request: Request) -> Response:
        code = request.query_params.get("code")
        if code is None:
            return pages.render(request, "login.html", problem=None, name="")
        # The code is used up before anything is answered, so a second request with it signs nobody in.
        if context.access.use_link_code(code, context.now_ms()):
            return _signed_in(context, request, context.operator.author)
        problem = "This link has been used, or is older than ten minutes. Sign in with the token."
        return pages.render(request, "login.html", HTTPStatus.FORBIDDEN, problem=problem, name="")

    async def sign_in(request: Request) -> Response:
        now, address = context.now_ms(), client_address(request)
        form = await read_form(request, max_fields=5)
        token, name = form.get("token", "").strip(), form.get("name", "")
        if wait := context.throttle.wait_seconds(address, now):
            response = pages.render(
                request,
                "login.html",
                HTTPStatus.TOO_MANY_REQUESTS,
                problem=f"Too many wrong tokens. Try again in {wait} seconds.",
                name=name,
            )
            response.headers["Retry-After"] = str(wait)
            return response
        if not context.access.accepts(token):
            context.throttle.failed(address, now)
            log.warning("A sign-in with a wrong token was refused.", address=address)
            problem = "The token is wrong. It is that of console.token, or of the file that the log of the console names."
            return pages.render(request, "login.html", HTTPStatus.FORBIDDEN, problem=problem, name=name)
        who = clean_name(name)
        if who is None:
            problem = "Give your name, of at most 80 characters. The history of changes shows it."
            return pages.render(
                request, "login.html", HTTPStatus.UNPROCESSABLE_ENTITY, problem=problem, name=""
            )
        return _signed_in(context, request, f"{who} (console)")

    async def sign_out(_request: Request, _fields: object) -> Response:
        response = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
        response.delete_cookie(session_cookie(context), secure=context.secure, httponly=True, samesite="lax")
        return response

    return [
        Route("/login", show, methods=["GET"]),
        Route("/login", sign_in, methods=["POST"]),
        form_route(context, "/sign-out", sign_out),
    ]


def _signed_in(context: ConsoleContext, request: Request, who: str) -> Response:
    log.info("A person signed in to the console.", who=who, address=client_address(request))
    response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
    response.set_cookie(
        session_cookie(context),
        context.access.sign_in(who, context.now_ms()),
        max_age=SESSION_MS // 1000,
        path="/",
        httponly=True,
        secure=context.secure,
        samesite="lax",
    )
    return response
