"""The dead letters: their numbers by destination and reason, the newest ones, and one with its content."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.context import ConsoleContext
from console.errors import status_of
from console.forms import form_route, who
from console.rendering import Pages
from management.dead_letter_documents import decode_text
from management.dead_letter_fields import SELECTION_FIELDS, read_selection
from management.dead_letter_list import list_letters
from management.dead_letter_summary import OTHER_REASONS, ReasonGroup, shared_part
from management.dead_letter_words import describe_letter
from management.dead_letters import DeadLetterContent, parse_address, read_dead_letter, read_story
from management.personal_data import record_view, without_personal_data
from relay.dead_letters.closings import LetterState
from relay.dead_letters.letter import DeadLetter
from relay.errors import RelayError

NEWEST = 50
PRODUCER = "producer"
"""The service that writes the letters of unreadable records."""
MAX_CONTENT_CHARS = 100_000
_LIST_REMEDY = "Choose one organization, of which one partition is read, or run `jira-relay dead-letters list`, which has no such end."
_SHOW_REMEDY = "Run `jira-relay dead-letters show`, which has no such end."
_STATES: tuple[LetterState, ...] = ("open", "redriven", "failed again", "duplicate")


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    handlers = _DeadLetters(context, pages)
    return [
        Route("/dead-letters", handlers.show_all, methods=["GET"]),
        Route("/dead-letter", handlers.show, methods=["GET"]),
        form_route(context, "/dead-letter/reveal", handlers.reveal),
    ]


class _DeadLetters:
    """The handlers. Each reads the topic: it is too large to be followed, and nobody has it open for long."""

    def __init__(self, context: ConsoleContext, pages: Pages) -> None:
        self._context = context
        self._pages = pages

    async def show_all(self, request: Request) -> Response:
        context = self._context
        fields = {
            name: request.query_params[name]
            for name in (*SELECTION_FIELDS, "state")
            if request.query_params.get(name, "").strip()
        }
        if "state" not in request.query_params:
            fields["state"] = "open"
        listing, problem = None, None
        try:
            selection = read_selection(fields)
            listing = await context.long_reads.run(
                lambda: list_letters(context.connection, selection, NEWEST), _LIST_REMEDY
            )
        except RelayError as error:
            problem = error
        return self._pages.render(
            request,
            "dead_letters.html",
            HTTPStatus.OK if problem is None else status_of(problem),
            fields={name: fields.get(name, "") for name in (*SELECTION_FIELDS, "state")},
            is_filtered=bool(fields.keys() - {"state"}),
            states=_STATES,
            destinations=sorted(context.destinations),
            listing=listing,
            problem=None if problem is None else str(problem),
            links_of=_links_of(fields.get("state", ""), context.destinations),
        )

    async def show(self, request: Request) -> Response:
        return await self._show(request, request.query_params.get("at", ""), revealed=False)

    async def reveal(self, request: Request, fields: Mapping[str, str]) -> Response:
        return await self._show(request, fields.get("at", ""), revealed=True)

    async def _show(self, request: Request, address: str, *, revealed: bool) -> Response:
        context = self._context
        try:
            partition, offset = parse_address(address)
            found = await context.long_reads.run(
                lambda: read_dead_letter(context.connection, partition, offset, context.registry),
                _SHOW_REMEDY,
            )
            story = await context.long_reads.run(
                lambda: read_story(context.connection, found.dead_letter), _SHOW_REMEDY
            )
            if revealed:  # what is not recorded is not shown
                letter = found.dead_letter
                key = letter.organization or f"destination/{letter.written_by}"
                await record_view(context.connection, key, _named(found), who(request), context.now_ms())
        except RelayError as error:
            return self._pages.render(
                request, "dead_letter_unknown.html", status_of(error), address=address, problem=str(error)
            )
        letter = found.dead_letter
        text, is_hidden = _content(found, revealed=revealed)
        return self._pages.render(
            request,
            "dead_letter.html",
            letter=letter,
            found=found,
            is_open=story.closed_by is None,
            closed_by=None if story.closed_by is None else story.closed_by.address,
            sentences=describe_letter(found, story, context.destinations),
            content=text,
            is_hidden=is_hidden,
            revealed=revealed,
            redrive_link=_link_of(letter, context.destinations),
        )


def _links_of(state: str, destinations: Mapping[str, Any]) -> Any:
    """Return a function from a group of letters to the links that show and redrive them; None: there is no such link."""

    def links(group: ReasonGroup) -> tuple[str | None, str | None]:
        if group.reason == OTHER_REASONS:
            return None, None
        query = {"reason": shared_part(group.reason), "state": state}
        if group.written_by not in destinations:
            redriven = group.written_by == PRODUCER and group.states["open"]
            return f"/dead-letters?{urlencode(query)}", _producer_link(group.reason) if redriven else None
        shown = f"/dead-letters?{urlencode(query | {'destination': group.written_by})}"
        return shown, _redrive_link(group.written_by, group.reason) if group.states["open"] else None

    return links


def _link_of(letter: DeadLetter, destinations: Mapping[str, Any]) -> str | None:
    """Return the form that redrives letters of this reason. None: there is no such form."""
    if letter.destination is None:
        return _producer_link(letter.reason) if letter.written_by == PRODUCER else None
    return _redrive_link(letter.destination, letter.reason) if letter.destination in destinations else None


def _redrive_link(destination: str | None, reason: str) -> str:
    query = {"destination": destination or "", "reason": shared_part(reason)}
    return f"/dead-letters/redrive?{urlencode(query)}"


def _producer_link(reason: str) -> str:
    return f"/dead-letters/producers?{urlencode({'reason': shared_part(reason)})}"


def _named(found: DeadLetterContent) -> str:
    """Return the letter, and the event that it has, as the history of changes names them."""
    letter: DeadLetter = found.dead_letter
    event = found.decoded.record if found.decoded and found.decoded.subject == "AuditEvent" else {}
    name = f"dead letter {letter.address}"
    return (
        f"{name} ({event['organization']}/{event['id']})" if {"organization", "id"} <= event.keys() else name
    )


def _content(found: DeadLetterContent, *, revealed: bool) -> tuple[str | None, bool]:
    """Return what the page shows of the content, and whether it hides a part. None: it hides all.

    An event shows what happened, and not to whom; of other bytes nobody knows what they hold.
    """
    decoded = found.decoded
    if decoded is not None and decoded.subject == "AuditEvent":
        record = decoded.record if revealed else without_personal_data(decoded.record)
        return _cut(json.dumps(record, indent=2, ensure_ascii=False)), not revealed
    if not revealed:
        return None, bool(found.content)
    if decoded is not None:
        return _cut(json.dumps(decoded.record, indent=2, ensure_ascii=False)), False
    text = decode_text(found.content)
    return _cut(found.content.hex(" ") if text is None else text), False


def _cut(text: str) -> str:
    if len(text) <= MAX_CONTENT_CHARS:
        return text
    return f"{text[:MAX_CONTENT_CHARS]}… (the first {MAX_CONTENT_CHARS:,} of {len(text):,} characters)"
