"""Requests and answers of the API: JSON documents, entity tags, and problems (RFC 9457)."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from console.errors import kind_of
from console.problems import problem
from management.live_view import Snapshot
from management.organizations.validation import InputError
from relay.errors import RelayError

PREFIX = "/api/v1"
_ENTITY_TAG = re.compile(r'(?:W/)?"?([0-9]{1,18}-[0-9a-f]{1,16})"?')

_TURN = 20
"""Values of a long list between two turns of other requests."""

Handler = Callable[[Request], Awaitable[Response]]


def answering(handler: Handler) -> Handler:
    """Return the handler with each RelayError as a problem document."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except RelayError as error:
            return problem(kind_of(error), str(error))

    return answer


def document(value: Any, etag: str | None = None, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return a JSON document. `etag`: of the organization in it."""
    headers = {} if etag is None else {"ETag": f'"{etag}"'}
    return JSONResponse(value, status, headers)


def documents(values: Iterable[Any]) -> Response:
    """Return a JSON list, made while it is sent: ten thousand organizations are 50 MB, and other requests go on meanwhile."""
    return StreamingResponse(_json_list(values), media_type="application/json")


async def _json_list(values: Iterable[Any]) -> AsyncIterator[str]:
    separator = "["
    for number, value in enumerate(values):
        yield separator + json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        separator = ","
        if number % _TURN == _TURN - 1:
            await asyncio.sleep(0)
    yield "]" if separator == "," else "[]"


def require_known(snapshot: Snapshot) -> None:
    """Raise RelayError if the topics have never been read: an empty list would say that there is nothing."""
    if snapshot.as_of is None:
        raise RelayError(snapshot.failure or "The topics have not been read yet. Try again in a moment.")


async def read_fields(request: Request) -> Mapping[str, Any]:
    """Return the object in the body. Raises InputError."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise InputError("The body must be JSON, with Content-Type: application/json.")
    try:
        found = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise InputError("The body is not valid JSON.") from None
    if not isinstance(found, dict):
        raise InputError("The body must be a JSON object.")
    return found


def creates_only(request: Request) -> bool:
    """Return whether the request may not change what exists: `If-None-Match: *`. Raises InputError for another value."""
    text = request.headers.get("if-none-match", "").strip()
    if text not in {"", "*"}:
        raise InputError("If-None-Match must be *, which adds an organization and changes none.")
    return text == "*"


def etag_of(request: Request) -> str | None:
    """Return the entity tag in If-Match. None: the request names none. Raises InputError."""
    text = request.headers.get("if-match", "").strip()
    if text in {"", "*"}:
        return None
    match = _ENTITY_TAG.fullmatch(text)
    if match is None:
        raise InputError("If-Match must be the ETag of the organization, as GET answers it.")
    return match[1]
