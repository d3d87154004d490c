"""Moves of a destination's offsets: a form, then the exact count of the move, then its confirmation."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.context import ConsoleContext, refresh_soon
from console.errors import status_of
from console.forms import form_route, who
from console.plans import read_signed, require_recent
from console.rendering import Pages, redirect
from management.destination_move import PlannedMove, move
from management.destinations import require_known
from management.fields import FieldValues
from management.move_request import MoveRequest, plan_request, read_move
from management.offset_texts import move_text
from management.organizations.validation import InputError
from relay.errors import RelayError

_REMEDY = "Choose a later time, or run `jira-relay destinations rewind` or `skip`, which have no such end."
_FIELDS = ("name", "direction", "flow", "to")


def destination_page_of(name: str) -> str:
    """Return the address of a destination's page."""
    return f"/destination?name={quote(name, safe='')}"


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    handlers = _Moves(context, pages)
    return [
        Route("/destination/move", handlers.show, methods=["GET"]),
        form_route(context, "/destination/move/plan", handlers.plan),
        form_route(context, "/destination/move", handlers.confirm),
    ]


class _Moves:
    def __init__(self, context: ConsoleContext, pages: Pages) -> None:
        self._context = context
        self._pages = pages

    async def show(self, request: Request) -> Response:
        return self._render_form(request, dict(request.query_params))

    async def plan(self, request: Request, fields: Mapping[str, str]) -> Response:
        try:
            asked = self._asked(fields)
            planned = await self._planned(asked, None)
        except RelayError as error:
            return self._render_form(request, fields, error)
        return self._render_plan(request, asked, planned)

    async def confirm(self, request: Request, fields: Mapping[str, str]) -> Response:
        context = self._context
        try:
            asked, seen = self._read(fields.get("plan", ""))
        except RelayError as error:
            return self._render_form(request, fields, error)
        try:
            planned = await self._planned(asked, _ends(seen) if asked.to_ms is None else None)
            if _seen(planned) != seen:
                raise InputError(
                    "The offsets or the events have changed since they were counted. See the new count."
                )
        except InputError as error:
            return await self._again(request, asked, error)
        except RelayError as error:
            return self._render_form(request, asked.fields(), error)
        try:
            failure = await move(context.connection, planned, who(request), context.now_ms())
        except RelayError as error:
            return self._render_form(request, asked.fields(), error)
        await refresh_soon(context)
        done = f"Done: {move_text(planned).replace('would be', 'will be', 1)} Resume {asked.destination} to go on."
        return redirect(
            context,
            destination_page_of(asked.destination),
            [done, *filter(None, [failure])],
            failed=failure is not None,
        )

    async def _again(self, request: Request, asked: MoveRequest, error: InputError) -> Response:
        """Show the plan as it is now, or the form where there is none."""
        try:
            planned = await self._planned(asked, None)
        except RelayError as newer:
            return self._render_form(request, asked.fields(), newer)
        return self._render_plan(request, asked, planned, error)

    def _asked(self, fields: FieldValues) -> MoveRequest:
        require_known(self._context.destinations, str(fields.get("name", "")))
        chosen = {name: value for name, value in fields.items() if name in {"direction", "flow", "to"}}
        return read_move(str(fields["name"]), chosen)

    async def _planned(self, asked: MoveRequest, ends: Mapping[int, int] | None) -> PlannedMove:
        connection = self._context.connection
        return await self._context.long_reads.run(lambda: plan_request(connection, asked, ends), _REMEDY)

    def _read(self, value: str) -> tuple[MoveRequest, dict[str, Any]]:
        planned_at, asked, seen = read_signed(self._context, value, "move")
        require_recent(self._context, int(planned_at))
        fields = json.loads(asked)
        return self._asked(fields), json.loads(seen)

    def _render_form(
        self, request: Request, fields: Mapping[str, str], error: RelayError | None = None
    ) -> Response:
        context, name = self._context, fields.get("name", "")
        view = next((each for each in context.destination_views() if each.name == name), None)
        if view is None:
            return self._pages.render(request, "destination_unknown.html", HTTPStatus.NOT_FOUND, name=name)
        return self._pages.render(
            request,
            "destination_move.html",
            HTTPStatus.OK if error is None else status_of(error),
            view=view,
            fields={each: fields.get(each, "") for each in _FIELDS}
            | {"direction": "skip" if fields.get("direction") == "skip" else "rewind"},
            problem=None if error is None else str(error),
        )

    def _render_plan(
        self, request: Request, asked: MoveRequest, planned: PlannedMove, error: RelayError | None = None
    ) -> Response:
        context = self._context
        signed = [str(context.now_ms()), json.dumps(asked.fields()), json.dumps(_seen(planned))]
        return self._pages.render(
            request,
            "destination_move_plan.html",
            HTTPStatus.OK if error is None else status_of(error),
            asked=asked,
            planned=planned,
            text=move_text(planned),
            plan=context.access.sign_plan(["move", *signed]),
            problem=None if error is None else str(error),
        )


def _seen(planned: PlannedMove) -> dict[str, Any]:
    """Return what a person sees of a move, by which its confirmation is held to it."""
    offsets = {
        str(each.partition.partition): [each.before.offset, each.after.offset] for each in planned.moves
    }
    return {"events": planned.counts.events, "offsets": offsets}


def _ends(seen: Mapping[str, Any]) -> dict[int, int]:
    return {int(partition): after for partition, (_, after) in seen["offsets"].items()}
