"""What needs an operator, as JSON."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.api.answers import PREFIX, answering, document, require_known
from console.context import ConsoleContext
from management.formatting import iso_milliseconds
from management.overview import Cause, find_causes


def routes(context: ConsoleContext) -> list[BaseRoute]:
    async def show(_request: Request) -> Response:
        snapshot = context.view.snapshot
        require_known(snapshot)
        causes = find_causes(context.organizations(), context.destination_views())
        return document(
            {
                "as_of": iso_milliseconds(snapshot.as_of),
                "failure": snapshot.failure,
                "problems": [*(text for _, text in snapshot.organizations.problems), *snapshot.problems],
                "causes": [_document(cause) for cause in causes],
            }
        )

    return [Route(f"{PREFIX}/overview", answering(show), methods=["GET"])]


def _document(cause: Cause) -> dict[str, object]:
    return {
        "severity": cause.severity.name.lower(),
        "subject": cause.subject,
        "state": cause.state,
        "reason": cause.reason,
        "since": iso_milliseconds(cause.since),
        "members": [
            {"name": each.name, "since": iso_milliseconds(each.since), "detail": each.detail or None}
            for each in cause.members
        ],
    }
