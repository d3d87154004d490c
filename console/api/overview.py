"""What needs an operator, as JSON."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.api.answers import PREFIX, answering, document, require_known
from console.context import ConsoleContext
from management.formatting import iso_milliseconds


def routes(context: ConsoleContext) -> list[BaseRoute]:
    async def show(_request: Request) -> Response:
        snapshot = context.view.snapshot
        require_known(snapshot)
        found = context.installation()
        return document(
            {
                "as_of": iso_milliseconds(snapshot.as_of),
                "failure": snapshot.failure,
                "problems": list(found.problems),
                "causes": [cause.document() for cause in found.causes],
            }
        )

    return [Route(f"{PREFIX}/overview", answering(show), methods=["GET"])]
