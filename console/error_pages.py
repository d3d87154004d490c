"""The answers to what no handler answers: a problem document to a script, a page with a way back to a browser."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from console import problems
from console.errors import UNAVAILABLE
from console.forms import StaleFormError
from console.permissions import AccessRole, KafkaClientEndedError
from console.problems import ProblemKind, problem
from console.rendering import Pages

API_PREFIX = "/api/"
ErrorHandler = Callable[[Request, Exception], Awaitable[Response]]
_TITLES = {
    HTTPStatus.BAD_REQUEST: "The request cannot be read",
    HTTPStatus.FORBIDDEN: "Refused",
    HTTPStatus.METHOD_NOT_ALLOWED: "Not possible here",
    HTTPStatus.REQUEST_TIMEOUT: "Too slow",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Too large",
    HTTPStatus.MISDIRECTED_REQUEST: "Another host",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The console has a defect",
    HTTPStatus.SERVICE_UNAVAILABLE: "Kafka did not answer",
}
_DETAILS = {
    HTTPStatus.BAD_REQUEST: "The console cannot read the request, and did nothing. Go back, load the page again, and repeat the step.",
    HTTPStatus.METHOD_NOT_ALLOWED: "The address belongs to a form: open the page of the form first.",
}
_DEFECT = "The console has a defect; its log has the details."
_AFTER_DEFECT = "Load the page again. After a step that changes something, look first whether it was done: the page Changes shows it."

log = structlog.get_logger(__name__)


class BodyTooLargeError(Exception):
    """The body is larger than it says, or does not say how large it is."""


class BodyTooSlowError(Exception):
    """The body has not arrived in time."""


def is_api(request: Request) -> bool:
    """Return whether a request is to the API, so that every answer is JSON."""
    return request.url.path.startswith(API_PREFIX)


class ErrorAnswers:
    """The answers of one console. They never fail: what is wrong with a page may be wrong with its error page too."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def refusal(self, request: Request, kind: ProblemKind, detail: str) -> Response:
        """Return a refusal. `detail`: the sentences of this case."""
        return problem(kind, detail) if is_api(request) else self._page(request, kind.status, detail)

    def missing_role(self, request: Request, needed: AccessRole) -> Response:
        """Return the refusal of a step that the person's role does not allow."""
        if is_api(request):
            return problem(problems.ROLE_MISSING, f"This call needs the role {needed}.")
        return self._pages.render(request, "role_missing.html", HTTPStatus.FORBIDDEN, needed=str(needed))

    async def on_http_error(self, request: Request, error: Exception) -> Response:
        status, headers = HTTPStatus.INTERNAL_SERVER_ERROR, None
        if isinstance(error, HTTPException):
            status, headers = HTTPStatus(error.status_code), error.headers
        if is_api(request):
            is_method = status == HTTPStatus.METHOD_NOT_ALLOWED
            kind = problems.METHOD_NOT_ALLOWED if is_method else problems.NO_SUCH_CALL
            detail = f"The API has no such call: {request.method} {request.url.path[:300]}."
            return problem(kind, detail, headers)
        if status == HTTPStatus.NOT_FOUND:
            return self._pages.render(request, "not_found.html", status)
        return self._page(request, status, _DETAILS.get(status, f"{status.phrase}."), headers)

    async def on_large_body(self, request: Request, _error: Exception) -> Response:
        return self.refusal(request, problems.BODY_TOO_LARGE, "The request is too large.")

    async def on_slow_body(self, request: Request, _error: Exception) -> Response:
        detail = "The request did not arrive in time. Send it again."
        return self.refusal(request, problems.BODY_TOO_SLOW, detail)

    async def on_stale_form(self, request: Request, _error: Exception) -> Response:
        detail = "The form is too old, or was not made by this session. Go back, load the page again, and repeat the step."
        return self._page(request, HTTPStatus.FORBIDDEN, detail)

    async def on_disconnect(self, _request: Request, _error: Exception) -> Response:
        return Response(status_code=HTTPStatus.REQUEST_TIMEOUT)  # nobody reads it: the client is gone

    async def on_kafka_client_end(self, request: Request, _error: Exception) -> Response:
        detail = "The client of Kafka ended a request. If this lasts, see the log of the broker."
        return self.refusal(request, UNAVAILABLE, detail if is_api(request) else f"{detail} {_AFTER_DEFECT}")

    async def on_defect(self, request: Request, _error: Exception) -> Response:
        """Answer what a defect leaves unanswered; Starlette raises it again, so that the log has it."""
        detail = _DEFECT if is_api(request) else f"{_DEFECT} {_AFTER_DEFECT}"
        return self.refusal(request, problems.INTERNAL, detail)

    def _page(
        self, request: Request, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None
    ) -> Response:
        title = _TITLES.get(status, status.phrase)
        try:
            response = self._pages.render(request, "error.html", status, title=title, detail=detail)
        except Exception as error:  # noqa: BLE001 - whatever it is, the person gets an answer
            log.warning("An error page could not be rendered.", reason=repr(error)[:300])
            return PlainTextResponse(f"{title}. {detail}\n", status, headers)
        response.headers.update(headers or {})
        return response

    def handlers(self) -> dict[Any, ErrorHandler]:
        """Return the handler of each error that Starlette passes on."""
        return {
            HTTPException: self.on_http_error,
            BodyTooLargeError: self.on_large_body,
            BodyTooSlowError: self.on_slow_body,
            StaleFormError: self.on_stale_form,
            ClientDisconnect: self.on_disconnect,
            KafkaClientEndedError: self.on_kafka_client_end,
            Exception: self.on_defect,
        }
