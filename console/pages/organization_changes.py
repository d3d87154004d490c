"""Forms that change one organization: add, modify, test, pause, resume, delete."""

import re
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.context import ConsoleContext, refresh_soon
from console.errors import status_of
from console.forms import form_route, who
from console.pages.organization_detail import find_view, unknown
from console.rendering import Pages, redirect
from management.connection_test import DuplicateOrganizationError
from management.formatting import iso_seconds
from management.organizations import commands
from management.organizations.request import FIELDS, read_change
from management.organizations.results import ChangeResult
from management.organizations.validation import InputError, OrganizationChange
from management.organizations.view import OrganizationView
from relay.errors import RelayError
from relay.timestamps import DAY_MS

_SECRET_FIELDS = {"api_key"}
_DOUBLED_NAME = re.compile(r"^(\S+): (?=\1 )")
Fields = Mapping[str, str]


def page_of(name: str) -> str:
    """Return the address of an organization's page."""
    return f"/organization?name={quote(name, safe='')}"


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    changes = _Changes(context, pages)
    return [
        Route("/organizations/add", changes.show_add, methods=["GET"]),
        form_route(context, "/organizations/add", changes.add),
        Route("/organization/modify", changes.show_modify, methods=["GET"]),
        form_route(context, "/organization/modify", changes.modify),
        form_route(context, "/organization/test", changes.test),
        form_route(context, "/organization/state", changes.set_state),
        Route("/organization/delete", changes.show_delete, methods=["GET"]),
        form_route(context, "/organization/delete", changes.delete),
    ]


class _Changes:
    """The handlers. Each calls the function of `management` that the command line calls, and shows what it raises."""

    def __init__(self, context: ConsoleContext, pages: Pages) -> None:
        self._context = context
        self._pages = pages

    async def show_add(self, request: Request) -> Response:
        return self._render_add(request, {})

    async def add(self, request: Request, fields: Fields) -> Response:
        operator = self._context.operator_for(who(request))
        name = fields.get("name", "").strip() or None
        try:
            change = read_change(_of_organization(fields), operator.input_rules)
            if change.key is None:
                raise InputError("The API key is missing.")
            result = await commands.add(operator, change, name, test="untested" not in fields)
        except RelayError as error:
            return self._render_add(request, fields, error)
        return await self._done(result)

    async def show_modify(self, request: Request) -> Response:
        name = request.query_params.get("name", "")
        view = find_view(self._context, name)
        if view is None:
            return unknown(self._context, self._pages, request, name)
        return self._render_modify(request, view, _stored_fields(view))

    async def modify(self, request: Request, fields: Fields) -> Response:
        name = fields.get("name", "")
        view = find_view(self._context, name)
        if view is None:
            return unknown(self._context, self._pages, request, name)
        operator = self._context.operator_for(who(request))
        try:
            change = _changed(view, fields, read_change(_with_cleared(fields), operator.input_rules))
            result = await commands.modify(
                operator, name, change, test="untested" not in fields, etag=_etag(fields)
            )
        except RelayError as error:
            return self._render_modify(request, view, fields, error)
        return await self._done(result)

    async def test(self, request: Request, fields: Fields) -> Response:
        name = fields.get("name", "")
        try:
            message = await commands.test(self._context.operator_for(who(request)), name)
        except RelayError as error:
            text = f"The connection does not work. {_told(error)}"
            return redirect(self._context, page_of(name), [text], failed=True)
        return redirect(self._context, page_of(name), [message])

    async def set_state(self, request: Request, fields: Fields) -> Response:
        name, state = fields.get("name", ""), "paused" if fields.get("state") == "paused" else "active"
        context = self._context
        try:
            result = await commands.set_state(
                context.connection,
                name,
                state,
                author=who(request),
                now_ms=context.now_ms(),
                etag=_etag(fields),
            )
        except RelayError as error:
            return redirect(context, page_of(name), [str(error)], failed=True)
        return await self._done(result)

    async def show_delete(self, request: Request) -> Response:
        return self._render_delete(request, request.query_params.get("name", ""))

    async def delete(self, request: Request, fields: Fields) -> Response:
        name, context = fields.get("name", ""), self._context
        try:
            if fields.get("confirmation", "").strip() != name:
                raise InputError(f"Type {name} to confirm.")
            result = await commands.delete(
                context.connection,
                name,
                author=who(request),
                now_ms=context.now_ms(),
                etag=_etag(fields),
            )
        except RelayError as error:
            return self._render_delete(request, name, error)
        await refresh_soon(context)
        return redirect(context, "/organizations", _sentences(result))

    async def _done(self, result: ChangeResult) -> Response:
        await refresh_soon(self._context)  # so that the next page shows the change
        return redirect(self._context, page_of(result.name), _sentences(result))

    def _render_add(self, request: Request, fields: Fields, error: RelayError | None = None) -> Response:
        return self._pages.render(
            request,
            "organization_add.html",
            HTTPStatus.OK if error is None else status_of(error),
            fields=_shown(fields),
            more_given=bool(fields.keys() - {"url", "user", "api_key"}),
            max_backfill_days=self._context.operator.input_rules.max_backfill_days,
            **_problem(error),
        )

    def _render_modify(
        self, request: Request, view: OrganizationView, fields: Fields, error: RelayError | None = None
    ) -> Response:
        return self._pages.render(
            request,
            "organization_modify.html",
            HTTPStatus.OK if error is None else status_of(error),
            view=view,
            organization=view.organization,
            fields=_shown(fields),
            etag=fields.get("etag", view.organization.etag),
            max_backfill_days=self._context.operator.input_rules.max_backfill_days,
            **_problem(error),
        )

    def _render_delete(self, request: Request, name: str, error: RelayError | None = None) -> Response:
        view = find_view(self._context, name)
        stored = self._context.view.snapshot.organizations
        if view is None and name not in stored.unreadable and name not in stored.misplaced:
            return unknown(self._context, self._pages, request, name)
        return self._pages.render(
            request,
            "organization_delete.html",
            HTTPStatus.OK if error is None else status_of(error),
            name=name,
            etag="" if view is None else view.organization.etag,
            **_problem(error),
        )


def _problem(error: RelayError | None) -> dict[str, Any]:
    """Return what a form shows of an error: its sentence, and the organization that it names, for a link."""
    other = error.other if isinstance(error, DuplicateOrganizationError) else None
    return {"problem": None if error is None else _told(error), "other": other}


def _told(error: RelayError) -> str:
    """Return the sentence of an error; where the name of the organization is its host, the sentence begins with it once."""
    return _DOUBLED_NAME.sub("", str(error))


def _sentences(result: ChangeResult) -> list[str]:
    return [f"{result.name}: {result.action}.", *result.remarks]


def _etag(fields: Fields) -> str | None:
    return fields.get("etag") or None


def _of_organization(fields: Fields) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name in FIELDS}


def _with_cleared(fields: Fields) -> dict[str, Any]:
    """Return the fields of a form that shows the stored values: a field that was emptied takes its default."""
    cleared = {"interval_seconds": 0, "backfill_days": 0, "key_expires": "never"}
    return cleared | _of_organization(fields)


def _stored_fields(view: OrganizationView) -> dict[str, str]:
    organization = view.organization
    stored: dict[str, Any] = {
        "url": organization.url,
        "user": organization.user,
        "api_key_ref": organization.credential_reference,
        "interval_seconds": organization.interval_seconds,
        "backfill_days": _backfill_days(view),
        "key_expires": organization.credential_expires and iso_seconds(organization.credential_expires)[:10],
    }
    return {name: str(value) for name, value in stored.items() if value}


def _backfill_days(view: OrganizationView) -> int:
    organization = view.organization
    if organization.backfill_from is None:
        return 0
    return round((organization.added - organization.backfill_from) / DAY_MS)


def _changed(view: OrganizationView, fields: Fields, change: OrganizationChange) -> OrganizationChange:
    """Return the change without the values that the form only repeats, so that they are not set again.

    `backfill_from` is by the source's clock, which the number of days does not show; a reference is sealed anew.
    """
    stored = _stored_fields(view)
    same_days = fields.get("backfill_days") == stored.get("backfill_days")
    same_reference = fields.get("api_key_ref") == stored.get("api_key_ref") and "api_key" not in fields
    return replace(
        change,
        backfill_days=None if same_days else change.backfill_days,
        key=None if same_reference else change.key,
    )


def _shown(fields: Fields) -> dict[str, str]:
    """Return the fields that a form shows again; never the key."""
    return {name: value for name, value in fields.items() if name not in _SECRET_FIELDS}
