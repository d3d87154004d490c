"""Problem documents (RFC 9457): every refusal of the API has a type that scripts can rely on."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from starlette.responses import JSONResponse, Response

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:jira-audit-relay:problem:"


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A kind of problem. `name`: the end of its type; it never changes."""

    name: str
    status: HTTPStatus

    @property
    def type(self) -> str:
        return TYPE_PREFIX + self.name


UNAUTHORIZED = ProblemKind("unauthorized", HTTPStatus.UNAUTHORIZED)
ROLE_MISSING = ProblemKind("role-missing", HTTPStatus.FORBIDDEN)
FOREIGN_ORIGIN = ProblemKind("foreign-origin", HTTPStatus.FORBIDDEN)
FOREIGN_HOST = ProblemKind("foreign-host", HTTPStatus.MISDIRECTED_REQUEST)
NO_SUCH_CALL = ProblemKind("no-such-call", HTTPStatus.NOT_FOUND)
METHOD_NOT_ALLOWED = ProblemKind("method-not-allowed", HTTPStatus.METHOD_NOT_ALLOWED)
BODY_TOO_LARGE = ProblemKind("body-too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
BODY_TOO_SLOW = ProblemKind("body-too-slow", HTTPStatus.REQUEST_TIMEOUT)
TOO_MANY_ATTEMPTS = ProblemKind("too-many-attempts", HTTPStatus.TOO_MANY_REQUESTS)
INTERNAL = ProblemKind("internal", HTTPStatus.INTERNAL_SERVER_ERROR)


def problem(kind: ProblemKind, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a problem document. `detail`: the sentence of this case."""
    document = {
        "type": kind.type,
        "title": kind.status.phrase,
        "status": kind.status.value,
        "detail": detail,
    }
    return JSONResponse(document, kind.status, headers, media_type=MEDIA_TYPE)
