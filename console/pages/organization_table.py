"""The table of organizations."""

from collections import Counter

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.context import ConsoleContext
from console.pages.organization_rows import RowQuery, select
from console.rendering import Pages
from management.organizations.view import STATES


def routes(context: ConsoleContext, pages: Pages) -> list[BaseRoute]:
    async def show(request: Request) -> Response:
        views = context.organizations()
        query = RowQuery.of(request.query_params)
        counted = Counter(view.state_word for view in views)
        return pages.render(
            request,
            "organizations.html",
            query=query,
            found=select(views, query),
            total=len(views),
            states=[(word, counted[word]) for word in dict.fromkeys((*STATES, *sorted(counted)))],
            problems=context.view.snapshot.organizations.problems,
            own_link=query.link(page=query.page),
        )

    return [Route("/organizations", show, methods=["GET"])]
