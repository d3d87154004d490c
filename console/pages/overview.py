"""The first page: is all well, and if not, what is wrong, since when, and what to do."""

from collections import Counter

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.context import ConsoleContext
from console.pages.replays import TEXTS
from console.rendering import Pages
from management.installation import problems_of
from management.organizations.view import STATES
from management.overview import day_total, find_causes

MEMBERS_SHOWN = 8


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    async def show(request: Request) -> Response:
        organizations, destinations = context.organizations(), context.destination_views()
        words = Counter(view.state_word for view in organizations)
        return pages.render(
            request,
            "overview.html",
            causes=find_causes(organizations, destinations),
            problems=problems_of(context.view.snapshot),
            members_shown=MEMBERS_SHOWN,
            organization_count=len(organizations),
            paused_count=words["paused"],
            unpolled_count=words["no owner"] + words["starting"],
            states=sorted(words.items(), key=lambda each: (_place(each[0]), each[0])),
            destinations=destinations,
            replays=[each for each in context.replays() if not each.ended],
            texts=TEXTS,
            events=sum(day_total(view.counts, view.now_ms).events for view in organizations),
            events_have_arrived=any(view.status and view.status.last_event for view in organizations),
        )

    return [Route("/", show, methods=["GET"])]


def _place(word: str) -> int:
    return STATES.index(word) if word in STATES else len(STATES)
