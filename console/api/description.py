"""The OpenAPI document by HTTP."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.api.answers import PREFIX, document
from console.api.openapi import OPERATIONS
from console.api.openapi.document import build_document
from console.context import ConsoleContext


def routes(context: ConsoleContext) -> list[BaseRoute]:
    described = build_document(OPERATIONS, context.version)

    async def show(_request: Request) -> Response:
        return document(described)

    return [Route(f"{PREFIX}/openapi.json", show, methods=["GET"])]
