"""Pages from templates: values are escaped, times and sentences have one form on all pages."""

import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from console.auth import Notice, Session
from console.context import ConsoleContext
from console.graph import age_bars, bars, known_bars, lag_bars
from console.permissions import AccessRole
from management.formatting import age, duration, iso_seconds
from relay.timestamps import is_instant, parse_iso, to_iso

MESSAGES_COOKIE = "jira-relay-messages"
_COMMAND_OR_INSTANT = re.compile(r"`([^`]{1,400})`|\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")
"""An instant within a command stays as it is."""
_LINK = re.compile(r"https://(?:id|admin|support|status)\.atlassian\.com(?:/[\w./?=&%-]*[\w/])?")
"""Addresses that become links: pages of Atlassian alone, where no customer writes. A message may quote text from a site, so no other address does."""


class Pages:
    """Renders the pages of one console."""

    def __init__(self, context: ConsoleContext) -> None:
        self._context = context
        self._environment = Environment(
            loader=PackageLoader("console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "ago": self._ago,
            "instant": instant,
            "sentence": sentence_markup,
            "query": lambda text: quote(str(text), safe=""),
            "number": lambda value: f"{value:,}",
            "bars": bars,
            "known_bars": known_bars,
            "lag_bars": lag_bars,
            "age_bars": age_bars,
            "duration": duration,
            "json": lambda value: json.dumps(value, ensure_ascii=False, indent=2),
        }

    def render(
        self, request: Request, template: str, status: HTTPStatus = HTTPStatus.OK, **values: Any
    ) -> Response:
        """Return the page, with what every page shows: who is signed in, the age of the data, and a waiting notice."""
        context = self._context
        session: Session | None = request.scope.get("session")
        cookie = request.cookies.get(MESSAGES_COOKIE)
        shared = {
            "request_path": request.url.path,
            "session": session,
            "may_change": session is not None and session.role >= AccessRole.OPERATOR,
            "form_token": "" if session is None else context.access.form_token(session),
            "snapshot": context.view.snapshot,
            "now_iso": to_iso(context.now_ms()),
            "notice": context.access.notice(cookie),
            "version": context.version,
            "is_refusal": HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR,
        }
        content = self._environment.get_template(template).render({**shared, **values})
        response = HTMLResponse(content, status)
        if cookie is not None and "hx-request" not in request.headers:
            response.delete_cookie(MESSAGES_COOKIE)
        if status == HTTPStatus.NOT_FOUND and "hx-request" in request.headers:
            response.headers["HX-Refresh"] = (
                "true"  # what the page shows is gone, so the browser loads it again
            )
        return response

    def _ago(self, ms: int | None) -> Markup:
        """Return an instant as its age, which the page keeps current. None: an empty text."""
        if ms is None:
            return Markup()
        return _time(ms, age(ms, self._context.now_ms()), "ago")


def instant(ms: int | None) -> Markup:
    """Return an instant in UTC, which the page shows in the reader's zone. None: an empty text."""
    return Markup() if ms is None else _time(ms, iso_seconds(ms).replace("T", " "), "instant")


def _time(ms: int, text: str, kind: str) -> Markup:
    if not is_instant(ms):
        return Markup("<span>{}</span>").format(text)
    return Markup('<time class="{}" datetime="{}" title="{}">{}</time>').format(
        kind, to_iso(ms), iso_seconds(ms), text
    )


def sentence_markup(text: str) -> Markup:
    """Return an operator's sentence as markup: commands in a fixed font, instants, and links to account pages; all else is escaped."""
    escaped = str(escape(text))
    escaped = _COMMAND_OR_INSTANT.sub(_command_or_instant, escaped)
    return Markup(  # noqa: S704 - escaped above; the patterns add only these tags
        _LINK.sub(r'<a href="\g<0>" rel="noopener noreferrer" target="_blank">\g<0></a>', escaped)
    )


def _command_or_instant(match: re.Match[str]) -> str:
    command, instant_text = match.groups()
    if command is not None:
        return f"<code>{command}</code>"
    found = parse_iso(instant_text)
    return instant_text if found is None else str(instant(found.ms))


def redirect(
    context: ConsoleContext, location: str, sentences: Sequence[str], *, failed: bool = False
) -> Response:
    """Return an answer that leads to another page of the console, which then shows the sentences."""
    response = Response(status_code=HTTPStatus.SEE_OTHER, headers={"Location": location})
    response.set_cookie(
        MESSAGES_COOKIE,
        context.access.sign_notice(Notice(tuple(sentences), failed)),
        max_age=60,
        httponly=True,
        secure=context.secure,
        samesite="lax",
    )
    return response
