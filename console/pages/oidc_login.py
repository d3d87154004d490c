"""Signing in at an identity provider."""

from dataclasses import asdict
from http import HTTPStatus

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from console.context import ConsoleContext
from console.oidc import ATTEMPT_MS, OidcLogin, SignInAttempt, UnknownAttemptError
from console.oidc_provider import OidcError
from console.pages.login import render_login, signed_in
from console.rendering import Pages
from console.security import client_address, own_origin, session_cookie

log = structlog.get_logger(__name__)


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    """Return the routes. Without a provider they lead to the login."""

    async def begin(request: Request) -> Response:
        if context.oidc is None:
            return RedirectResponse("/login", HTTPStatus.SEE_OTHER)
        try:
            address, attempt = await context.oidc.begin(own_origin(request, context))
        except OidcError as error:
            return render_login(context, pages, request, HTTPStatus.BAD_GATEWAY, str(error))
        response = RedirectResponse(address, HTTPStatus.SEE_OTHER)
        response.set_cookie(
            _cookie(context),
            context.access.sign_attempt(asdict(attempt)),
            max_age=ATTEMPT_MS // 1000,
            httponly=True,
            secure=context.secure,
            samesite="lax",
        )
        return response

    async def finish(request: Request) -> Response:
        if context.oidc is None:
            return RedirectResponse("/login", HTTPStatus.SEE_OTHER)
        response = await _finished(context, context.oidc, pages, request)
        response.delete_cookie(_cookie(context), secure=context.secure, httponly=True, samesite="lax")
        return response

    return [
        Route("/login/provider", begin, methods=["GET"]),
        Route("/login/callback", finish, methods=["GET"]),
    ]


async def _finished(context: ConsoleContext, oidc: OidcLogin, pages: Pages, request: Request) -> Response:
    now, address = context.now_ms(), client_address(request)
    if wait := oidc.throttle.wait_seconds(address, now):
        problem = f"Too many sign-ins were refused. Try again in {wait} seconds."
        return render_login(context, pages, request, HTTPStatus.TOO_MANY_REQUESTS, problem)
    kept = context.access.attempt(request.cookies.get(_cookie(context)), now)
    attempt = None if kept is None else SignInAttempt(**kept)
    try:
        person = await oidc.finish(attempt, request.query_params, own_origin(request, context))
    except OidcError as error:
        # What costs the provider nothing is not counted: anybody could keep the people behind a proxy out with it.
        if not isinstance(error, UnknownAttemptError):
            oidc.throttle.failed(address, now)
        log.warning("A sign-in at the identity provider was refused.", reason=str(error), address=address)
        return render_login(context, pages, request, HTTPStatus.FORBIDDEN, str(error))
    return signed_in(context, request, f"{person.name} (console)", person.role, provider=True)


def _cookie(context: ConsoleContext) -> str:
    return f"{session_cookie(context)}-attempt"
