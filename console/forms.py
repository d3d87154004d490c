"""Forms: every one is read here, and refused without the token of its session."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.auth import Session
from console.context import ConsoleContext

MAX_FIELDS = 60
MAX_CHOICES = 500
"""Objects of one form that may be chosen together."""
FormHandler = Callable[[Request, Mapping[str, str]], Awaitable[Response]]
ChoiceHandler = Callable[[Request, Mapping[str, str], Sequence[str]], Awaitable[Response]]


class StaleFormError(Exception):
    """The form was not made by the session that sends it, or is too old."""


async def read_form(request: Request, max_fields: int = MAX_FIELDS) -> dict[str, str]:
    """Return the fields of a form as text that can be encoded: a multipart form may name a charset that makes lone surrogates."""
    return dict(await _items(request, max_fields))


async def _items(request: Request, most: int) -> list[tuple[str, str]]:
    """Return the fields of a form. Starlette refuses more than `most` of them with 400."""
    async with request.form(max_files=0, max_fields=most) as form:
        return [
            (_encodable(name), _encodable(value))
            for name, value in form.multi_items()
            if isinstance(value, str)
        ]


def _encodable(text: str) -> str:
    return text.encode(errors="replace").decode()


def form_route(context: ConsoleContext, path: str, handler: FormHandler) -> Route:
    """Return the route of a form. Its handler gets the fields as text; a field that is left empty is missing."""

    async def checked(request: Request) -> Response:
        fields = await read_form(request)
        _require_session(context, request, fields.pop("form_token", ""))
        return await handler(request, {name: value for name, value in fields.items() if value.strip()})

    return Route(path, checked, methods=["POST"])


def choice_route(context: ConsoleContext, path: str, handler: ChoiceHandler) -> Route:
    """Return the route of a form with any number of fields `name`. Its handler gets their values, and the other fields."""

    async def checked(request: Request) -> Response:
        items = await _items(request, MAX_CHOICES + MAX_FIELDS)
        fields = {name: value for name, value in items if name != "name"}
        _require_session(context, request, fields.pop("form_token", ""))
        return await handler(request, fields, [value for name, value in items if name == "name"])

    return Route(path, checked, methods=["POST"])


def _require_session(context: ConsoleContext, request: Request, token: str) -> None:
    session: Session = request.scope["session"]
    if not context.access.accepts_form(session, token):
        raise StaleFormError


def who(request: Request) -> str:
    """Return the person of a request, as the history of changes names them."""
    session: Session = request.scope["session"]
    return session.who
