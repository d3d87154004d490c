"""Organizations by HTTP. A name is one segment of the path, percent-encoded: a new organization has no slash in its name."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.api.answers import (
    PREFIX,
    answering,
    creates_only,
    document,
    documents,
    etag_of,
    read_fields,
    require_known,
)
from console.context import ConsoleContext, refresh_soon
from console.forms import who
from management.organizations import commands
from management.organizations.put import put
from management.organizations.request import read_change
from management.organizations.results import ChangeResult
from management.organizations.store import UnreadableOrganizationError, require_existing
from management.organizations.validation import InputError

_ROOT = f"{PREFIX}/organizations"
_ONE = f"{_ROOT}/{{name}}"


def routes(context: ConsoleContext) -> list[BaseRoute]:
    api = _Organizations(context)
    return [
        Route(_ROOT, answering(api.list_all), methods=["GET"]),
        Route(f"{_ONE}/test", answering(api.test), methods=["POST"]),
        Route(f"{_ONE}/pause", answering(api.pause), methods=["POST"]),
        Route(f"{_ONE}/resume", answering(api.resume), methods=["POST"]),
        Route(_ONE, answering(api.show), methods=["GET"]),
        Route(_ONE, answering(api.put), methods=["PUT"]),
        Route(_ONE, answering(api.delete), methods=["DELETE"]),
    ]


class _Organizations:
    """The handlers: each reads the snapshot, or calls the function that the command line calls."""

    def __init__(self, context: ConsoleContext) -> None:
        self._context = context

    async def list_all(self, _request: Request) -> Response:
        require_known(self._context.view.snapshot)
        return documents(view.document() for view in self._context.organizations())

    async def show(self, request: Request) -> Response:
        require_known(self._context.view.snapshot)
        name = request.path_params["name"]
        if problem := self._context.view.snapshot.organizations.unreadable.get(name):
            raise UnreadableOrganizationError(problem)
        views = {view.organization.name: view for view in self._context.organizations()}
        organization = require_existing(views[name].organization if name in views else None, name)
        return document(views[name].document(), organization.etag)

    async def put(self, request: Request) -> Response:
        fields = dict(await read_fields(request))
        test = fields.pop("test", True)
        if not isinstance(test, bool):
            raise InputError("test must be true or false.")
        operator = self._context.operator_for(who(request))
        change = read_change(fields, operator.input_rules)
        result = await put(
            operator,
            request.path_params["name"],
            change,
            test=test,
            etag=etag_of(request),
            creates_only=creates_only(request),
        )
        return await self._changed(result)

    async def delete(self, request: Request) -> Response:
        result = await commands.delete(
            self._context.connection,
            request.path_params["name"],
            author=who(request),
            now_ms=self._context.now_ms(),
            etag=etag_of(request),
        )
        return await self._changed(result)

    async def test(self, request: Request) -> Response:
        name = request.path_params["name"]
        message = await commands.test(self._context.operator_for(who(request)), name)
        return document({"name": name, "message": message})

    async def pause(self, request: Request) -> Response:
        return await self._set_state(request, "paused")

    async def resume(self, request: Request) -> Response:
        return await self._set_state(request, "active")

    async def _set_state(self, request: Request, state: str) -> Response:
        result = await commands.set_state(
            self._context.connection,
            request.path_params["name"],
            state,
            author=who(request),
            now_ms=self._context.now_ms(),
            etag=etag_of(request),
        )
        return await self._changed(result)

    async def _changed(self, result: ChangeResult) -> Response:
        """Return the result; the next request sees the change."""
        await refresh_soon(self._context)
        status = HTTPStatus.CREATED if result.action == "added" else HTTPStatus.OK
        return document(
            {"name": result.name, "what": result.action, "remarks": result.remarks}, status=status
        )
