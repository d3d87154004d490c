"""Forms: every one is read here, and refused without the token of its session."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from console.auth import Session
from console.context import ConsoleContext

MAX_FIELDS = 60
FormHandler = Callable[[Request, Mapping[str, str]], Awaitable[Response]]


async def read_form(request: Request, max_fields: int = MAX_FIELDS) -> dict[str, str]:
    """Return the fields of a form as text that can be encoded: a multipart form may name a charset that makes lone surrogates."""
    async with request.form(max_files=0, max_fields=max_fields) as form:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
    return {_encodable(name): _encodable(value) for name, value in fields.items()}


def _encodable(text: str) -> str:
    return text.encode(errors="replace").decode()


def form_route(context: ConsoleContext, path: str, handler: FormHandler) -> Route:
    """Return the route of a form. Its handler gets the fields as text; a field that is left empty is missing."""

    async def checked(request: Request) -> Response:
        session: Session = request.scope["session"]
        fields = await read_form(request)
        if not context.access.accepts_form(session, fields.pop("form_token", "")):
            return PlainTextResponse(
                "The form is too old, or was not made by this session. Go back, load the page again, and repeat the step.\n",
                HTTPStatus.FORBIDDEN,
            )
        return await handler(request, {name: value for name, value in fields.items() if value.strip()})

    return Route(path, checked, methods=["POST"])


def who(request: Request) -> str:
    """Return the person of a request, as the history of changes names them."""
    session: Session = request.scope["session"]
    return session.who
