"""Signing in and out."""

from http import HTTPStatus

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from console.auth import SESSION_MS, Session, clean_name
from console.context import ConsoleContext
from console.forms import form_route, read_form
from console.permissions import AccessRole
from console.rendering import Pages, redirect
from console.security import client_address, own_origin, session_cookie

_NOT_KEPT = (
    "You are signed out here. Kafka did not keep that: {} A copy of your cookie could be used at another console until the session's"
    " end, twelve hours after its sign-in."
)

log = structlog.get_logger(__name__)


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    async def show(request: Request) -> Response:
        # A link preview asks by HEAD: it must not use up the code.
        code = request.query_params.get("code") if request.method == "GET" else None
        if code is None:
            return render_login(context, pages, request, sign_out_url=await _sign_out_url(context, request))
        # The code is used up before anything is answered, so a second request with it signs nobody in.
        if context.access.use_link_code(code, context.now_ms()):
            return signed_in(context, request, context.operator.author)
        problem = "This link has been used, or is older than ten minutes. Sign in with the token."
        return render_login(context, pages, request, HTTPStatus.FORBIDDEN, problem)

    async def sign_in(request: Request) -> Response:
        now, address = context.now_ms(), client_address(request)
        form = await read_form(request, max_fields=5)
        token, name = form.get("token", "").strip(), form.get("name", "")
        if wait := context.throttle.wait_seconds(address, now):
            problem = f"Too many wrong tokens. Try again in {wait} seconds."
            response = render_login(context, pages, request, HTTPStatus.TOO_MANY_REQUESTS, problem, name)
            response.headers["Retry-After"] = str(wait)
            return response
        if not context.access.accepts(token):
            context.throttle.failed(address, now)
            log.warning("A sign-in with a wrong token was refused.", address=address)
            problem = "The token is wrong. It is that of console.token, or of the file that the log of the console names."
            return render_login(context, pages, request, HTTPStatus.FORBIDDEN, problem, name)
        who = clean_name(name)
        if who is None:
            problem = "Give your name, of at most 80 characters. The history of changes shows it."
            return render_login(context, pages, request, HTTPStatus.UNPROCESSABLE_ENTITY, problem)
        # Nobody proves a name that is typed; beside proven ones the history of changes tells them apart.
        how = "console" if context.oidc is None else "console, by token"
        return signed_in(context, request, f"{who} ({how})")

    async def sign_out(request: Request, _fields: object) -> Response:
        session: Session = request.scope["session"]
        location = "/login?left" if session.provider else "/login"
        failure = await context.sign_out(session)
        if failure is None:
            response: Response = RedirectResponse(location, HTTPStatus.SEE_OTHER)
        else:
            response = redirect(context, location, [_NOT_KEPT.format(failure)], failed=True)
        response.delete_cookie(session_cookie(context), secure=context.secure, httponly=True, samesite="lax")
        return response

    return [
        Route("/login", show, methods=["GET"]),
        Route("/login", sign_in, methods=["POST"]),
        form_route(context, "/sign-out", sign_out),
    ]


async def _sign_out_url(context: ConsoleContext, request: Request) -> str | None:
    """Return where the session at the identity provider ends, for somebody who has just left."""
    if context.oidc is None or "left" not in request.query_params:
        return None
    return await context.oidc.sign_out_url(own_origin(request, context))


def render_login(
    context: ConsoleContext,
    pages: Pages,
    request: Request,
    status: HTTPStatus = HTTPStatus.OK,
    problem: str | None = None,
    name: str = "",
    **values: str | None,
) -> Response:
    """Return the login page. `problem`: why nobody was signed in."""
    return pages.render(
        request,
        "login.html",
        status,
        problem=problem,
        name=name,
        has_token=context.access.has_token,
        has_provider=context.oidc is not None,
        **{"sign_out_url": None, **values},
    )


def signed_in(
    context: ConsoleContext,
    request: Request,
    who: str,
    role: AccessRole = AccessRole.OPERATOR,
    *,
    provider: bool = False,
) -> Response:
    """Return the answer that gives the browser a session."""
    log.info("A person signed in to the console.", who=who, role=str(role), address=client_address(request))
    response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
    response.set_cookie(
        session_cookie(context),
        context.access.sign_in(who, context.now_ms(), role, provider=provider),
        max_age=SESSION_MS // 1000,
        path="/",
        httponly=True,
        secure=context.secure,
        samesite="lax",
    )
    return response
