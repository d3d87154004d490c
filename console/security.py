"""What protects every request: the host it names, where it comes from, its size, its login; and the headers of every answer."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console import problems
from console.api_tokens import ApiTokenError
from console.auth import Session
from console.context import ConsoleContext
from console.error_pages import BodyTooLargeError, BodyTooSlowError, ErrorAnswers, is_api
from console.permissions import PERMISSIONS
from console.problems import problem

MAX_BODY_BYTES = 256 * 1024
_OPEN_PATHS = {key.split(" ")[1] for key, role in PERMISSIONS.items() if role is None}
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}

log = structlog.get_logger(__name__)

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self';"
        " manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: browsers would then send `Origin: null` with the console's own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


def session_cookie(context: ConsoleContext) -> str:
    """Return the name of the session's cookie. Cookies do not know ports, so two consoles on one machine differ by name."""
    if context.secure:
        return "__Host-jira-relay"
    ports = sorted(str(urlsplit(origin).port or 80) for origin in context.origins)
    return f"jira-relay-{ports[0]}"


def own_origin(request: Request, context: ConsoleContext) -> str:
    """Return the origin under which the browser reaches the console; the guard has checked the host."""
    host = request.headers.get("host", "")
    return next(origin for origin in context.origins if urlsplit(origin).netloc == host)


class Guard:
    """Middleware that refuses what no handler may see, and puts the session into `scope["session"]`.

    1. The host must be one of the console's own: another site's name that resolves to this machine is refused.
    2. A request that changes something must come from a page of the console, as Origin and Sec-Fetch-Site say.
    3. A body has at most 256 KB, and arrives in 30 seconds.
    4. Every path but the login and static files needs a session, or for the API a token as bearer.
    """

    def __init__(self, app: ASGIApp, context: ConsoleContext, errors: ErrorAnswers) -> None:
        self._app = app
        self._errors = errors
        self._context = context
        self._hosts = {urlsplit(origin).netloc for origin in context.origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Request(scope))
        app = self._app if refusal is None else refusal
        bounded = _bounded(receive, self._context.timing.body_seconds)
        await app(scope, bounded, self._with_headers(scope, send))

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if host not in self._hosts:
            detail = f"The console does not answer for the host {host[:100]!r}. Set console.public_url to the URL that browsers use."
            return self._errors.refusal(request, problems.FOREIGN_HOST, detail)
        if request.method not in _SAFE_METHODS and not self._is_own(request.headers):
            detail = "The request comes from another site and was refused."
            return self._errors.refusal(request, problems.FOREIGN_ORIGIN, detail)
        if _is_too_large(request.headers):
            return self._errors.refusal(request, problems.BODY_TOO_LARGE, "The request is too large.")
        return self._login_refusal(request)

    def _is_own(self, headers: Mapping[str, str]) -> bool:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        return (origin is None or origin in self._context.origins) and site in {None, "same-origin", "none"}

    def _login_refusal(self, request: Request) -> Response | None:
        path = request.url.path
        if path in _OPEN_PATHS or path.startswith("/static/"):
            return None
        context = self._context
        session = context.session(request.cookies.get(session_cookie(context)))
        if is_api(request) and "authorization" in request.headers:
            return self._bearer_refusal(request)
        if session is not None:
            request.scope["session"] = session
            return None
        if is_api(request):
            return _unauthorized("The request has no login: send the token as `Authorization: Bearer TOKEN`.")
        if "hx-request" in request.headers:
            return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"HX-Refresh": "true"})
        return RedirectResponse("/login", HTTPStatus.SEE_OTHER)

    def _bearer_refusal(self, request: Request) -> Response | None:
        context, now, address = self._context, self._context.now_ms(), client_address(request)
        scheme, _, text = request.headers["authorization"].partition(" ")
        token = text.strip() if scheme.lower() == "bearer" else ""
        try:
            session, reason = self._script_of(token, now), None
        except ApiTokenError as error:
            session, reason = None, str(error)
        if session is None:
            # Only now: a token of a script is too long to be guessed, so no other script behind the same proxy keeps it out.
            if wait := context.bearer_throttle.wait_seconds(address, now):
                detail = f"Too many wrong tokens; try again in {wait} s."
                return problem(problems.TOO_MANY_ATTEMPTS, detail, {"Retry-After": str(wait)})
            if not context.access.accepts(token):
                return self._wrong_token(request, reason)
            session = Session("API token (console)", "", 0)
        request.scope["session"] = session
        return None

    def _wrong_token(self, request: Request, reason: str | None) -> Response:
        """Return the refusal of a token; `reason`: why that of a script is not accepted any more, None: nobody knows it."""
        if reason is not None:
            return _unauthorized(reason)
        address = client_address(request)
        self._context.bearer_throttle.failed(address, self._context.now_ms())
        log.warning("A request with a wrong token was refused.", address=address)
        return _unauthorized("The token is wrong. It is that of console.token, or one of console.api_tokens.")

    def _script_of(self, token: str, now_ms: int) -> Session | None:
        """Return the session of a script with this token. None: no script has it. Raises ApiTokenError if it has expired."""
        tokens = self._context.api_tokens
        found = None if tokens is None else tokens.find(token, now_ms)
        return None if found is None else Session(f"API token {found.name}", "", 0, found.role)

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if self._context.secure:
                    headers["Strict-Transport-Security"] = "max-age=31536000"
            await send(message)

        del scope
        return send_with_headers


def _bounded(receive: Receive, seconds: float) -> Receive:
    """Return a receiver that bounds the body: its bytes, and the seconds from the request's beginning to the body's end."""
    received = 0
    deadline: float | None = asyncio.get_running_loop().time() + seconds

    async def bounded_receive() -> Message:
        nonlocal received, deadline
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise BodyTooSlowError from None
        received += len(message.get("body", b""))
        if received > MAX_BODY_BYTES:
            raise BodyTooLargeError
        if not message.get("more_body", False):
            deadline = None  # later calls wait for the end of the connection
        return message

    return bounded_receive


def _is_too_large(headers: Headers) -> bool:
    length = headers.get("content-length", "0")
    return not length.isdigit() or int(length) > MAX_BODY_BYTES


def client_address(request: Request) -> str:
    """Return the address of the peer. Headers of proxies are not believed."""
    return "unknown" if request.client is None else request.client.host


def _unauthorized(detail: str) -> Response:
    return problem(problems.UNAUTHORIZED, detail, {"WWW-Authenticate": "Bearer"})
