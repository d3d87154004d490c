"""The first page: is all well, and if not, what is wrong, since when, and what to do."""

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.context import ConsoleContext
from console.pages.replays import TEXTS
from console.rendering import Pages
from management.overview import Cause

MEMBERS_SHOWN = 8


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    async def show(request: Request) -> Response:
        found = context.installation()
        words = dict(found.states)
        return pages.render(
            request,
            "overview.html",
            causes=found.causes,
            member_page=member_page,
            problems=found.problems,
            members_shown=MEMBERS_SHOWN,
            organization_count=len(found.organizations),
            paused_count=words.get("paused", 0),
            unpolled_count=words.get("no owner", 0) + words.get("starting", 0),
            states=found.states,
            destinations=found.destinations,
            replays=found.replays,
            texts=TEXTS,
            events=found.last_day.events,
            events_have_arrived=any(view.status and view.status.last_event for view in found.organizations),
        )

    return [Route("/", show, methods=["GET"])]


def member_page(cause: Cause, name: str) -> str:
    """Return the address of the page that shows more of one that a cause affects."""
    quoted = quote(name, safe="")
    match cause.state:
        case "dead letters":
            return f"/dead-letters?{cause.subject}={quoted}&state="
        case "lost ranges":
            return f"/destination?name={quoted}#lost"
        case "differing" | "unproven":
            return f"/completeness/organization?name={quoted}"
        case _:
            return f"/{cause.subject}?name={quoted}"
